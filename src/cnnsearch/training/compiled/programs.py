"""Keeps compiled candidates, so that a candidate with an equal plan reuses the program and does not compile.

A trial that is resumed, and the same plan with another seed, have equal plans.
"""

from collections import OrderedDict
from typing import Any

from cnnsearch.spaces.plan import Plan

MOST = 8
"""The number of candidates that are kept, each with its weights, its optimizer and its program."""

MOST_PARAMS = 10_000_000
"""The number of parameters that all kept candidates may have: with their optimizers about 120 MB."""


def key(plan: Plan) -> str:
    """The key of a plan's program. It does not depend on a constant learning rate, on epochs or on callbacks."""
    if not plan.schedule:
        plan = plan.configure("optimizer", learning_rate=0)
    return plan.replace(callbacks=(), epochs=1).key


class CompiledCandidates:
    """The candidates that were trained last, by the key of their program."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def reuse(self, plan: Plan, new: Any) -> Any:
        """The Candidate `new` with its own initial weights, in the compiled model of an earlier one if there is one."""
        if not new.compiled:
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
