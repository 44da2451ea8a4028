"""Estimates how long a candidate takes, and decides which candidates are skipped because of time or cost."""

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
"""After this many drawn candidates in a row that would not end in time, no new trial starts."""

KNOWN = 3
"""At least this many candidates must have been drawn before one of them is called expensive."""

TRUST = 0.3
"""The weight of the first guess at the parts of `RuntimeModel`; one measured trial has the weight 1."""


class RuntimeModel(NamedTuple):
    """The seconds of a trial before its first epoch, of each epoch, and of each epoch per multiply-add."""

    start: float
    epoch: float
    rate: float

    def seconds(self, macs: int, epochs: float) -> float:
        """The seconds that a candidate with `macs` multiply-adds takes for `epochs` epochs."""
        return self.start + epochs * (self.epoch + self.rate * macs)


def fit_runtime_model(trials: Iterable[Trial]) -> RuntimeModel | None:
    """The runtime model of these trials; None if none has a measured time.

    It is fitted by least squares of the relative errors, with no part below 0. The first guess is that the start takes
    as long as an epoch, and that half of an epoch is the same for all candidates. If multiply-adds are not known (0),
    all epochs take the same time.
    """
    timed = [
        (trial.macs, trial.epochs - trial.resumed, trial.seconds)
        for trial in trials
        if trial.seconds > 0 and trial.epochs > trial.resumed and not trial.failure
    ]
    if not timed:
        return None
    typical = median(seconds / epochs for _, epochs, seconds in timed)
    size = sum(macs for macs, _, _ in timed) / len(timed)
    # in units of the first guess, so that the guess for each part is 1
    guess = RuntimeModel(typical, typical / 2 if size else typical, typical / 2 / size if size else 0.0)
    rows = [
        [guess.start / seconds, epochs * guess.epoch / seconds, epochs * macs * guess.rate / seconds]
        for macs, epochs, seconds in timed
    ]
    rows += [[TRUST * (row == column) for column in range(3)] for row in range(3)]
    shares = _nonnegative(np.array(rows), np.array([1.0] * len(timed) + [TRUST] * 3))
    return RuntimeModel(*(float(share * unit) for share, unit in zip(shares, guess, strict=True)))


def _nonnegative(rows: Any, wanted: Any) -> Any:
    """Least squares for three numbers of 0 or more. Each set of numbers that may be above 0 is tried."""
    square, right = rows.T @ rows, rows.T @ wanted
    best, least = np.zeros(3), math.inf
    for chosen in ([0, 1, 2], [0, 1], [0, 2], [1, 2], [0], [1], [2]):
        found = np.zeros(3)
        found[chosen] = np.linalg.solve(square[np.ix_(chosen, chosen)], right[chosen])
        error = found @ square @ found - 2 * right @ found
        if found.min() >= 0 and error < least:
            best, least = found, error
    return best


def remaining_seconds(trial: Trial, model: RuntimeModel, epochs: float) -> float:
    """The seconds that a trial needs until it has `epochs` epochs, at its own speed so far."""
    done = trial.epochs - trial.resumed
    own = trial.seconds / model.seconds(trial.macs, done) if done > 0 and trial.seconds > 0 else 1.0
    return own * model.seconds(trial.macs, epochs - trial.epochs)


def over_cost_budget(trial: Trial, drawn: list[int], cooled: float, seed: int) -> bool:
    """Whether to skip a drawn candidate because it has many multiply-adds, given those of all that were `drawn`.

    A candidate that costs more than the median is kept with the probability (median / cost) ** (1 - cooled). So early
    trials are cheap, and late ones are chosen by the sampler alone. This is cost-cooling (Lee et al., Cost-aware
    Bayesian Optimization, 2020, arXiv 2003.10870), a change of the improvement per second of Snoek et al. (Practical
    Bayesian Optimization of Machine Learning Algorithms, 2012). Here it rejects candidates, so any sampler can be used.
    The cost is the first guess of `fit_runtime_model`: half of the median's epoch is the same for all candidates.
    Measured times are not used, so that the same seed skips the same candidates.

    It is off by default, because no benefit was measured. In 24 simulated searches of 45 s by TPE with two workers (a
    forest fitted to 362 trainings on digits in place of training) it was 0.98 times as fast to what one plan by chance
    in 20 reaches (95% interval 0.80 to 1.21), and 1.20 times (0.90 to 1.61) where trainings were made to take time in
    proportion to their multiply-adds.
    """
    if not trial.macs or len(drawn) < KNOWN:
        return False
    middle = median(drawn)
    kept: float = min(1.0, 2 * middle / (middle + trial.macs)) ** (1 - min(1.0, cooled))
    return random.Random(trial_seed(seed, trial.number)).random() >= kept


class Budget:
    """Decides which trials may still start: those that end before the deadline and are not too expensive.

    Attributes:
        closed: whether no new candidate would end in time.
    """

    def __init__(self, config: SearchConfig) -> None:
        self._config = config
        self._began, self._until = time.monotonic(), math.inf
        self._runtime_model: RuntimeModel | None = None
        self._late = 0
        self.closed = False

    def note(self, until: float, known: Iterable[Trial]) -> None:
        """Set the deadline, a time of `time.monotonic`, and fit the runtime model to the `known` trials."""
        self.closed &= until <= self._until
        self._until, self._runtime_model = until, fit_runtime_model(known)

    def in_time(self, trial: Trial, epochs: float) -> bool:
        """Whether a trial will have `epochs` epochs before the deadline. Without a measured time it is True."""
        if self._runtime_model is None:
            return True
        return time.monotonic() + remaining_seconds(trial, self._runtime_model, epochs) <= self._until

    def should_skip(self, trial: Trial, epochs: float, known: list[Trial], begun: int) -> bool:
        """Whether to skip a candidate: it would not have `epochs` epochs in time, or is too expensive now.

        `known` are the trials drawn lately, `begun` is the number of trials so far.
        """
        grid = self._config.tuner.sampler == "grid"
        drawn = [other.macs for other in known if other.macs]
        if not self.in_time(trial, epochs):
            self._late += 1
            smallest = replace(trial, macs=min(drawn, default=0))
            self.closed |= grid or self._late >= DRAWS or not self.in_time(smallest, epochs)
            return True
        self._late = 0
        if grid or not self._config.tuner.cost_aware:
            return False
        return over_cost_budget(trial, drawn, self._part_done(begun), self._config.study.seed)

    def _part_done(self, begun: int) -> float:
        """The part of the search that is done, from 0 to 1: of its trials, or of its time if that is more."""
        return max(begun / self._config.tuner.trials, (time.monotonic() - self._began) / (self._until - self._began))
