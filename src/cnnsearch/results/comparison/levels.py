"""What is compared of one hyperparameter: its few values, or the two halves of its range."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from cnnsearch.spaces.distributions import Distribution

FEW = 3
"""A numeric hyperparameter of so many values is compared value by value."""


class Level(NamedTuple):
    """One thing to compare: how it is called, and the value that stands for it where one is needed."""

    label: str
    value: Any


class Levels(NamedTuple):
    """What is compared of one hyperparameter; for halves `cut` is the highest value of the lower one."""

    levels: tuple[Level, ...]
    cut: float | None = None

    def of(self, value: Any) -> str:
        """The label of the level that `value` belongs to."""
        if self.cut is not None:
            return self.levels[1 if value > self.cut else 0].label
        return next((level.label for level in self.levels if level.value == value), str(value))


def levels(distribution: Distribution) -> Levels:
    """The levels of one hyperparameter."""
    if distribution.kind == "choice":
        return Levels(tuple(Level(str(choice), choice) for choice in distribution.choices))
    if distribution.size <= FEW:
        parts = max(1, int(distribution.size) - 1)
        values = [at(distribution, part / parts) for part in range(int(distribution.size))]
        return Levels(tuple(Level(f"{value:.4g}", value) for value in values))
    cut = at(distribution, 0.5)
    halves = (Level(f"up to {cut:.3g}", at(distribution, 0.25)), Level(f"above {cut:.3g}", at(distribution, 0.75)))
    return Levels(halves, cut)


def at(distribution: Distribution, part: float) -> Any:
    """The value at this part of a range, from 0 to 1, on its own scale and its own steps; a middle choice."""
    if distribution.kind == "choice":
        return distribution.choices[round(part * (len(distribution.choices) - 1))]
    low, high = distribution.low, distribution.high
    if distribution.log:
        value = math.exp(math.log(low) + part * math.log(high / low))
    else:
        value = low + part * (high - low)
    if step := distribution.step or (1 if distribution.kind == "int" else 0):
        value = low + math.floor((value - low) / step + 0.5 - 1e-9) * step
    return round(value) if distribution.kind == "int" else round(value, 12)


def seen(trials: Iterable[FrozenTrial]) -> dict[str, Distribution]:
    """The distribution of every hyperparameter that a trial drew and that has more than one value."""
    found: dict[str, Distribution] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            if name not in found and not distribution.single():
                found[name] = _ours(distribution)
    return found


def scaled(distribution: Distribution, value: Any) -> float:
    """Where a number stands in its range, 0 at its lower end and 1 at its upper."""
    low, high = distribution.low, distribution.high
    if distribution.log:
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def _ours(distribution: BaseDistribution) -> Distribution:
    if isinstance(distribution, CategoricalDistribution):
        return Distribution("choice", distribution.choices[0], tuple(distribution.choices))
    fields = vars(distribution)
    kind = "int" if type(distribution).__name__ == "IntDistribution" else "float"
    low, high, log = fields["low"], fields["high"], fields["log"]
    return Distribution(kind, low, low=low, high=high, step=None if log else fields["step"], log=log)
