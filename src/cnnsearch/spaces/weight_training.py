"""How the weights of a plan are trained: averages of them, and groups of weights with their own rates."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cnnsearch.spaces.sentences import require

GROUP = {"rate": 1.0, "decay": True, "until": 0}
"""What a group of weights may have of its own: a factor of the learning rate (0: the weights do not change), whether
weight decay applies, and the number of epochs after which the weights do not change any more (0: they always do)."""


@dataclass(frozen=True)
class Averaging:
    """Averages of the trained weights over the steps of a training: slow weights that follow the trained ones.

    Each `every` steps a slow weight becomes d times itself plus (1 - d) times the trained weight. d is `decay` times
    the power `power` of the share of all steps that are done.

    Attributes:
        every: steps between two averages.
        decay: how much of the slow weights is kept at the end of the training, from 0 to below 1.
        power: how d grows; 0 for the same d in all steps.
        overwrite: whether training continues with the slow weights, as in lookahead (Zhang et al. 2019,
            arXiv:1907.08610). Else only validation and the final model use them.

    Raises:
        ValueError: if a value is out of its range.
    """

    every: int = 1
    decay: float = 0.99
    power: float = 0.0
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_whole(self, 1, "every")
        for name in ("decay", "power"):
            object.__setattr__(self, name, float(getattr(self, name)))
        require(0 <= self.decay < 1, f"decay must be in [0, 1), got {self.decay}")
        require(0 <= self.power < math.inf, f"power must be at least 0, got {self.power}")
        require(type(self.overwrite) is bool, f"overwrite must be true or false, got {self.overwrite!r}")


def check_whole(stage: Any, least: int, *names: str) -> None:
    """Raise a ValueError unless these fields of `stage` are whole numbers of at least `least`."""
    for name in names:
        value = getattr(stage, name)
        require(type(value) is int, f"{name} must be a whole number, got {value!r}")
        require(value >= least, f"{name} must be at least {least}, got {value}")


def check_patterns(name: str, patterns: Iterable[str]) -> None:
    """Raise a ValueError unless all are regular expressions."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ValueError(f"{name} must name weights by a regular expression, got {pattern!r}: {error}") from error


def check_group(pattern: str, group: dict[str, Any]) -> None:
    """Raise a ValueError unless `group` is a part of GROUP with values in their ranges."""
    unknown = ", ".join(map(repr, set(group) - set(GROUP)))
    require(not unknown, f"a group of weights has no {unknown}; it has {', '.join(GROUP)}")
    rate, decay, until = ({**GROUP, **group}[name] for name in GROUP)
    right = type(rate) in (int, float) and 0 <= rate < math.inf
    require(right, f"the rate of {pattern} must be a factor of at least 0, got {rate!r}")
    require(type(until) is int and until >= 0, f"until of {pattern} must be a number of epochs, got {until!r}")
    require(type(decay) is bool, f"decay of {pattern} must be true or false, got {decay!r}")
