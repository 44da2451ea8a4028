"""How long a candidate will take, by its multiply-adds and what was measured; which draws are skipped for it."""

import math
import random
import time
from collections.abc import Iterable
from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from cnnsearch.study.config import SearchConfig, trial_seed
from cnnsearch.study.trial import Trial

DRAWS = 10
"""After so many draws in a row that would not end in time nothing more is begun."""

KNOWN = 3
"""So many multiply-adds must have been drawn before one of them is called expensive."""

TRUST = 0.3
"""How much the first guess at the shares of `RuntimeModel` weighs against one trial: it speaks while there are few."""


class RuntimeModel(NamedTuple):
    """Seconds: of a trial before its first epoch, of every epoch, and of an epoch for each multiply-add."""

    start: float
    epoch: float
    rate: float

    def seconds(self, macs: int, epochs: float) -> float:
        """How long a candidate of so many multiply-adds takes for so many epochs, in seconds."""
        return self.start + epochs * (self.epoch + self.rate * macs)


def measured(records: Iterable[Trial]) -> RuntimeModel | None:
    """The pace of these trials; None where none was timed.

    Least squares of the relative errors, no share below 0. At first a trial is thought to start for as long as an epoch
    takes, and half of an epoch to be the same for all candidates; what is measured corrects that. Where multiply-adds
    are not known (0), every epoch takes the same.
    """
    timed = [
        (record.macs, record.epochs - record.resumed, record.seconds)
        for record in records
        if record.seconds > 0 and record.epochs > record.resumed and not record.failure
    ]
    if not timed:
        return None
    typical = median(seconds / epochs for _, epochs, seconds in timed)
    size = sum(macs for macs, _, _ in timed) / len(timed)
    # in units of the first guess, so that each share's is 1
    guess = RuntimeModel(typical, typical / 2 if size else typical, typical / 2 / size if size else 0.0)
    rows = [
        [guess.start / seconds, epochs * guess.epoch / seconds, epochs * macs * guess.rate / seconds]
        for macs, epochs, seconds in timed
    ]
    rows += [[TRUST * (row == column) for column in range(3)] for row in range(3)]
    shares = _nonnegative(np.array(rows), np.array([1.0] * len(timed) + [TRUST] * 3))
    return RuntimeModel(*(float(share * unit) for share, unit in zip(shares, guess, strict=True)))


def _nonnegative(rows: Any, wanted: Any) -> Any:
    """Least squares with three solutions of 0 or more: the best of those for each set of them that may not be 0."""
    square, right = rows.T @ rows, rows.T @ wanted
    best, least = np.zeros(3), math.inf
    for chosen in ([0, 1, 2], [0, 1], [0, 2], [1, 2], [0], [1], [2]):
        found = np.zeros(3)
        found[chosen] = np.linalg.solve(square[np.ix_(chosen, chosen)], right[chosen])
        error = found @ square @ found - 2 * right @ found
        if found.min() >= 0 and error < least:
            best, least = found, error
    return best


def left_of(record: Trial, pace: RuntimeModel, epochs: float) -> float:
    """Seconds that a trial which was left at `record` needs until it has so many epochs, at its own pace so far."""
    done = record.epochs - record.resumed
    own = record.seconds / pace.seconds(record.macs, done) if done > 0 and record.seconds > 0 else 1.0
    return own * pace.seconds(record.macs, epochs - record.epochs)


def over_cost_budget(record: Trial, drawn: list[int], cooled: float, seed: int) -> bool:
    """Whether a draw is skipped for its multiply-adds, given those of all that were `drawn`.

    What costs more than their median is kept with the probability (median / cost) ** (1 - cooled), so that early trials
    are cheap and late ones are chosen by their promise alone: cost-cooling (Lee et al., Cost-aware Bayesian
    Optimization, 2020, arXiv 2003.10870), which cools the improvement per second of Snoek et al. (Practical Bayesian
    Optimization of Machine Learning Algorithms, 2012), here by rejection, so that any sampler may draw. The cost is the
    first guess of `measured`, in which half of the median's epoch is the same for all, and not what was measured since:
    the same seed shall pass over the same draws.

    It is off unless asked for: it was not seen to help. In 24 simulated searches of 45 s by TPE with two workers (a
    forest fitted to 362 trainings on digits in place of training) it was 0.98 times as fast to what one plan by chance
    in 20 reaches (95% interval 0.80 to 1.21), and 1.20 times (0.90 to 1.61) where trainings were made to take time in
    proportion to their multiply-adds.
    """
    if not record.macs or len(drawn) < KNOWN:
        return False
    middle = median(drawn)
    kept: float = min(1.0, 2 * middle / (middle + record.macs)) ** (1 - min(1.0, cooled))
    return random.Random(trial_seed(seed, record.number)).random() >= kept


class Budget:
    """What a search may still begin: what will end by its deadline, and what is worth its cost.

    `closed`: nothing that is drawn would end in time any more.
    """

    def __init__(self, config: SearchConfig) -> None:
        self._config = config
        self._began, self._until = time.monotonic(), math.inf
        self._pace: RuntimeModel | None = None
        self._late = 0
        self.closed = False

    def note(self, until: float, known: Iterable[Trial]) -> None:
        """Take the deadline, as `time.monotonic` tells time, and what was measured until now."""
        self.closed &= until <= self._until
        self._until, self._pace = until, measured(known)

    def in_time(self, record: Trial, epochs: float) -> bool:
        """Whether a trial will have so many epochs by the deadline; while nothing was measured, it will."""
        if self._pace is None:
            return True
        return time.monotonic() + left_of(record, self._pace, epochs) <= self._until

    def passes_over(self, record: Trial, epochs: float, known: list[Trial], begun: int) -> bool:
        """Whether another is to be drawn: this one would not have so many epochs in time, or is too expensive for now.

        `known` are the records of all that was drawn, `begun` is the number of trials so far.
        """
        grid = self._config.tuner.sampler == "grid"
        drawn = [other.macs for other in known if other.macs]
        if not self.in_time(record, epochs):
            self._late += 1
            smallest = replace(record, macs=min(drawn, default=0))
            self.closed |= grid or self._late >= DRAWS or not self.in_time(smallest, epochs)
            return True
        self._late = 0
        if grid or not self._config.tuner.cost_aware:
            return False
        return over_cost_budget(record, drawn, self._cooled(begun), self._config.study.seed)

    def _cooled(self, begun: int) -> float:
        """How much of the search is behind it: of its trials, or of its time if that is more."""
        return max(begun / self._config.tuner.trials, (time.monotonic() - self._began) / (self._until - self._began))
