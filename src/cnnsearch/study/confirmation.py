"""Confirmation: the scores of trials that were trained again on new seeds, with means and 95% intervals."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, variance
from typing import NamedTuple

from cnnsearch.study.config import trial_seed
from cnnsearch.study.study import Study

COVERED = 0.95
"""The confidence level: the share of intervals that contain the true mean."""


class Repeat(NamedTuple):
    """One more training of a trial on a new seed; `score` is None if it failed."""

    trial: int
    seed: int
    score: float | None
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Confirmed:
    """The scores of one trial on new seeds.

    `ci_half_width` is half the width of the mean's 95% interval, None for one seed.

    The search score is not one of them: the trial was chosen because that score was high.
    """

    trial: int
    scores: tuple[float, ...]
    ci_half_width: float | None

    @property
    def n(self) -> int:
        """The number of seeds."""
        return len(self.scores)

    @property
    def mean(self) -> float:
        """The mean score."""
        return fmean(self.scores)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval of the mean; None for one seed."""
        return None if self.ci_half_width is None else (self.mean - self.ci_half_width, self.mean + self.ci_half_width)

    def overlaps(self, other: "Confirmed") -> bool:
        """Whether the two intervals have a point in common. Without intervals they count as overlapping."""
        if self.ci_half_width is None or other.ci_half_width is None:
            return True
        return abs(self.mean - other.mean) <= self.ci_half_width + other.ci_half_width


def confirmed(study: Study) -> dict[int, Confirmed]:
    """The confirmed trials of a study, by number."""
    return summarised(Repeat(**found) for found in study.repeats())


def summarised(repeats: Iterable[Repeat]) -> dict[int, Confirmed]:
    """Means with their 95% intervals, by trial.

    Student's t with the standard deviation pooled over the trials, as in a one-way analysis of variance: three seeds
    of one trial are too few to estimate its standard deviation.
    """
    scores: dict[int, list[float]] = defaultdict(list)
    for repeat in repeats:
        if repeat.score is not None:
            scores[repeat.trial].append(repeat.score)
    freedom = sum(len(found) - 1 for found in scores.values())
    squares = sum((len(found) - 1) * variance(found) for found in scores.values() if len(found) > 1)
    spread = math.sqrt(squares / freedom) * _quantile(freedom) if freedom else None
    return {
        trial: Confirmed(trial, tuple(found), None if spread is None else spread / math.sqrt(len(found)))
        for trial, found in scores.items()
    }


def optimism(first: float, found: Confirmed, maximize: bool) -> float:
    """By how much the search score is better than the mean over new seeds."""
    return (first - found.mean) * (1 if maximize else -1)


def repeat_seed(study: Study, trial: int, turn: int) -> int:
    """The seed of the `turn`th repeat (from 0) of a trial: it depends only on the study's seed and both numbers."""
    return trial_seed(int(study.info["seed"]) + 1_299_709 * (turn + 1), trial)


def _quantile(freedom: int) -> float:
    """Student's t that COVERED of the distribution lies within, on both sides of 0.

    scipy has this function, but takes as long to import as all the rest of a leaderboard.
    """
    low, high = 0.0, 1.0
    while _within(high, freedom) < COVERED:
        high *= 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _within(middle, freedom) < COVERED else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """The share of Student's t distribution between -t and t (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    series = 0.0
    for power in range(1 + odd, freedom, 2):
        series += term
        term *= math.cos(angle) ** 2 * power / (power + 1)
    return 2 / math.pi * (angle + math.sin(angle) * series) if odd else math.sin(angle) * series
