"""The levels of a hyperparameter that are compared: its few values, or the lower and the upper half of its range."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from optuna.trial import FrozenTrial

from cnnsearch.spaces.distributions import Distribution
from cnnsearch.study.optuna_distributions import from_optuna

MAX_VALUES = 3
"""A numeric hyperparameter with at most this many values is compared value by value."""


class Level(NamedTuple):
    """One level: its label, and the value that represents it in a controlled trial."""

    label: str
    value: Any


class Levels(NamedTuple):
    """The levels of one hyperparameter; for two halves, `threshold` is the highest value of the lower half."""

    levels: tuple[Level, ...]
    threshold: float | None = None

    def label_of(self, value: Any) -> str:
        """The label of the level that `value` belongs to."""
        if self.threshold is not None:
            return self.levels[1 if value > self.threshold else 0].label
        return next((level.label for level in self.levels if level.value == value), str(value))


def levels(distribution: Distribution) -> Levels:
    """The levels of one hyperparameter."""
    if distribution.kind == "choice":
        return Levels(tuple(Level(str(choice), choice) for choice in distribution.choices))
    if distribution.size <= MAX_VALUES:
        parts = max(1, int(distribution.size) - 1)
        values = [value_at(distribution, part / parts) for part in range(int(distribution.size))]
        return Levels(tuple(Level(f"{value:.4g}", value) for value in values))
    threshold = value_at(distribution, 0.5)
    lower = Level(f"up to {threshold:.3g}", value_at(distribution, 0.25))
    upper = Level(f"above {threshold:.3g}", value_at(distribution, 0.75))
    return Levels((lower, upper), threshold)


def value_at(distribution: Distribution, position: float) -> Any:
    """The value at a position from 0 (lower end) to 1 (upper end), on the distribution's scale, rounded to its step."""
    if distribution.kind == "choice":
        return distribution.choices[round(position * (len(distribution.choices) - 1))]
    low, high = distribution.low, distribution.high
    if distribution.log:
        value = math.exp(math.log(low) + position * math.log(high / low))
    else:
        value = low + position * (high - low)
    if step := distribution.step or (1 if distribution.kind == "int" else 0):
        # as Optuna computes it, rounding errors included: a controlled trial then has the value of the others
        value = min(high, math.floor((value - low) / step + 0.5 - 1e-9) * step + low)
    if distribution.kind == "int":
        return round(value)
    return value if step else round(value, 12)


def position_of(distribution: Distribution, value: Any) -> float:
    """The position of a number in its range, from 0 (lower end) to 1 (upper end)."""
    low, high = distribution.low, distribution.high
    if distribution.log:
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def distributions(trials: Iterable[FrozenTrial]) -> dict[str, Distribution]:
    """The distribution of every hyperparameter that a trial drew and that has more than one value."""
    found: dict[str, Distribution] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            if name not in found and not distribution.single():
                found[name] = from_optuna(distribution)
    return found
