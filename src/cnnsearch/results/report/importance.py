"""Which choices the scores of a study hang on, beside what chance alone would show."""

import random
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

from cnnsearch.study.study import Study

LEAST = 15
"""Complete trials below which nothing is said."""

SHUFFLES = 19
"""A choice that does not matter passes all of so many shuffles by chance once in twenty."""


class Importance(NamedTuple):
    """A choice's share of the variance, and the largest share that it had when the scores were shuffled."""

    name: str
    share: float
    chance: float

    @property
    def clear(self) -> bool:
        """Whether it stands out from what chance shows."""
        return self.share > self.chance


def importances(study: Study) -> tuple[Importance, ...]:
    """The importance of each choice that every complete trial made, the clear ones first, then by share.

    Functional ANOVA (Hutter, Hoos and Leyton-Brown 2014), as Optuna has it, over the ranks of the complete trials:
    over the scores themselves one ruined trial outweighs all others. Empty below LEAST complete trials.
    """
    scores = {record.number: record.score for record in study.records() if record.state == "complete"}
    if len(scores) < LEAST:
        return ()
    trials = [trial for trial in study.optuna.get_trials(deepcopy=False) if trial.number in scores]
    order = sorted(scores, key=lambda number: scores[number] or 0.0)
    ranks = [order.index(trial.number) for trial in trials]
    found = _shares(trials, ranks)
    shuffled = [_shares(trials, random.Random(seed).sample(ranks, len(ranks))) for seed in range(SHUFFLES)]
    chance = {name: max(shares.get(name, 0.0) for shares in shuffled) for name in found}
    rows = [Importance(name, share, chance[name]) for name, share in found.items()]
    return tuple(sorted(rows, key=lambda row: (not row.clear, -row.share, row.name)))


def _shares(trials: Sequence[FrozenTrial], ranks: Sequence[int]) -> dict[str, float]:
    """The share of each choice that took more than one value."""
    with warnings.catch_warnings():
        # conditional choices are left out, which the report says itself
        warnings.simplefilter("ignore")
        study = optuna.create_study()
        study.add_trials([_with_value(trial, rank) for trial, rank in zip(trials, ranks, strict=True)])
        found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(n_trees=16, seed=0), normalize=False)
    varied = {name for name in found if len({str(trial.params[name]) for trial in trials}) > 1}
    return {name: float(share) for name, share in found.items() if name in varied}


def _with_value(trial: FrozenTrial, value: float) -> FrozenTrial:
    return optuna.trial.create_trial(params=trial.params, distributions=trial.distributions, value=value)
