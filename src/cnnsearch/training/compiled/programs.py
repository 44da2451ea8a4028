"""Keeps compiled candidates, so that a candidate of the same architecture reuses the program and does not compile.

A trial that is resumed, the same plan with another seed, a low-fidelity evaluation and the training after it have one
architecture. So have plans that differ only in the numbers of `shared_numbers`.
"""

from collections import OrderedDict
from typing import Any

from cnnsearch.spaces.plan import Plan
from cnnsearch.training.compiled import shared_numbers, suits

MOST = 8
"""The number of candidates that are kept, each with its weights, its optimizer and its program."""

MOST_PARAMS = 10_000_000
"""The number of parameters that all kept candidates may have: with their optimizers about 120 MB."""


class CompiledCandidates:
    """The candidates that were trained last, by the key of their program."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def reuse(self, plan: Plan, new: Any) -> Any:
        """The Candidate `new` with its own initial weights, in the compiled model of an earlier one if there is one."""
        # the program of Keras' `fit` has the numbers of the plan that it was made for
        if not new.compiled or not suits(new.model, new.callbacks):
            return new
        key = shared_numbers.key(plan)
        found = self._kept.pop(key, None)
        if found is not None:
            shared_numbers.copy(found.model, new.model)
            for into, by in zip(_variables(found.model), _variables(new.model), strict=True):
                into.assign(by)
            new = new._replace(model=found.model, core=found.core)
        self._kept[key] = new
        while len(self._kept) > MOST or sum(each.core.count_params() for each in self._kept.values()) > MOST_PARAMS:
            self._kept.popitem(last=False)
        return new


def _variables(model: Any) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]
