"""Compiled candidates for use again: an equal plan takes over the program of an earlier one and compiles none.

A candidate that goes on from a rung, and the same plan on a fresh seed, are such.
"""

from collections import OrderedDict
from typing import Any

from cnnsearch.spaces.plan import Plan

MOST = 8
"""So many are kept; each holds its weights, its optimizer's and its program."""

MOST_PARAMS = 10_000_000
"""So many parameters all that are kept may have: with their optimizers' some 120 MB."""


def key(plan: Plan) -> str:
    """What equal programs have in common; a rate alone is a variable of the program, and callbacks are outside."""
    if not plan.schedule:
        plan = plan.configure("optimizer", learning_rate=0)
    return plan.replace(callbacks=(), epochs=1).key


class Compiled:
    """The candidates that were trained last, by the key of their program."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def taken_over(self, plan: Plan, new: Any) -> Any:
        """The `training.Candidate` `new`, as it was made, in the compiled model of an earlier one if there is one."""
        if not new.lean:
            return new
        found = self._kept.pop(key(plan), None)
        if found is not None:
            for into, by in zip(_variables(found.model), _variables(new.model), strict=True):
                into.assign(by)
            new = new._replace(model=found.model, core=found.core)
        self._kept[key(plan)] = new
        while len(self._kept) > MOST or sum(each.core.count_params() for each in self._kept.values()) > MOST_PARAMS:
            self._kept.popitem(last=False)
        return new


def _variables(model: Any) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]
