"""The importance of each hyperparameter (functional ANOVA), compared with the importance that chance alone gives."""

import random
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

from cnnsearch.study.study import Study

MIN_TRIALS = 15
"""With fewer complete trials no importance is computed."""

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

    Functional ANOVA (Hutter, Hoos and Leyton-Brown 2014) in Optuna's implementation, over the ranks of the complete
    trials: with scores instead of ranks, one very bad trial would outweigh all others. Empty below MIN_TRIALS.
    """
    scores = {record.number: record.score for record in study.trials() if record.state == "complete"}
    if len(scores) < MIN_TRIALS:
        return ()
    trials = [trial for trial in study.optuna.get_trials(deepcopy=False) if trial.number in scores]
    order = sorted(scores, key=lambda number: scores[number] or 0.0)
    ranks = [order.index(trial.number) for trial in trials]
    found = _shares(trials, ranks)
    shuffled = [_shares(trials, random.Random(seed).sample(ranks, len(ranks))) for seed in range(SHUFFLES)]
    chance = {name: max(shares.get(name, 0.0) for shares in shuffled) for name in found}
    rows = [Importance(name, share, chance[name]) for name, share in found.items()]
    return tuple(sorted(rows, key=lambda row: (not row.above_chance, -row.share, row.name)))


def _shares(trials: Sequence[FrozenTrial], ranks: Sequence[int]) -> dict[str, float]:
    """The share of each hyperparameter that has more than one value."""
    with warnings.catch_warnings():
        # Optuna warns that conditional hyperparameters are left out; the report says so itself.
        warnings.simplefilter("ignore")
        study = optuna.create_study()
        study.add_trials([_with_value(trial, rank) for trial, rank in zip(trials, ranks, strict=True)])
        found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(n_trees=16, seed=0), normalize=False)
    varied = {name for name in found if len({str(trial.params[name]) for trial in trials}) > 1}
    return {name: float(share) for name, share in found.items() if name in varied}


def _with_value(trial: FrozenTrial, value: float) -> FrozenTrial:
    return optuna.trial.create_trial(params=trial.params, distributions=trial.distributions, value=value)
