"""The importance of each hyperparameter (functional ANOVA), compared with the importance that chance alone gives."""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from cnnsearch.core.metrics import mean_ranks
from cnnsearch.results.report import fanova
from cnnsearch.study.ranking import some
from cnnsearch.study.study import Study

MIN_TRIALS = 15
"""With fewer complete trials no importance is computed."""

MOST = 300
"""Of more complete trials so many are used, chosen at random: the time grows with their number."""

SHUFFLES = 19
"""The number of shuffles. A hyperparameter without effect exceeds all 19 by chance once in twenty times."""


class Importance(NamedTuple):
    """A hyperparameter's share of the variance, and its largest share when the scores were shuffled (`chance`)."""

    name: str
    share: float
    chance: float

    @property
    def above_chance(self) -> bool:
        """Whether the share is larger than with all shuffled scores."""
        return self.share > self.chance


def importances(study: Study) -> tuple[Importance, ...]:
    """The importance of each hyperparameter that all complete trials have; those above chance first, then by share.

    Functional ANOVA over the ranks of the complete trials, at most of MOST: with scores instead of ranks, one very bad
    trial would outweigh all others. Empty below MIN_TRIALS.
    """
    complete = [record for record in study.trials() if record.state == "complete"]
    if len(complete) < MIN_TRIALS:
        return ()
    complete = some(complete, MOST)
    scores = {record.number: record.score or 0.0 for record in complete}
    trials = [trial for trial in study.optuna.get_trials(deepcopy=False) if trial.number in scores]
    ranks = mean_ranks([scores[trial.number] for trial in trials]).tolist()
    space = {name: distribution for name, distribution in sorted(_shared(trials).items()) if not distribution.single()}
    varied = {name: d for name, d in space.items() if len({str(trial.params[name]) for trial in trials}) > 1}
    if not varied:
        return ()
    points = fanova.encoded([trial.params for trial in trials], space)
    shuffled = [random.Random(seed).sample(ranks, len(ranks)) for seed in range(SHUFFLES)]
    shares = {
        name: found for name, found in fanova.shares(points, np.array([ranks, *shuffled])).items() if name in varied
    }
    rows = [Importance(name, float(found[0]), float(found[1:].max())) for name, found in shares.items()]
    return tuple(sorted(rows, key=lambda row: (not row.above_chance, -row.share, row.name)))


def _shared(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """The hyperparameters that every trial has with the same distribution."""
    found = dict(trials[0].distributions)
    for trial in trials:
        own = trial.distributions
        found = {name: distribution for name, distribution in found.items() if own.get(name) == distribution}
    return found
