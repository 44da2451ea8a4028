"""Pruning by Optuna's pruners, also in searches with several objectives."""

from collections.abc import Container
from typing import NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from cnnsearch.spaces.plugins import Catalog
from cnnsearch.study import samplers
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COSTS, Trial


class PrunerView(NamedTuple):
    """The trials that a pruner compares with. It has the parts of an Optuna study that pruners use."""

    direction: optuna.study.StudyDirection
    trials: list[FrozenTrial]

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """All trials. `states` is ignored, because all are complete."""
        return self.trials


class Pruning:
    """Decides after each epoch whether a trial stops.

    Optuna refuses reports in a study with several objectives (optuna#3450). The costs of a trial are known before its
    first epoch. So the same pruner compares its metric with that of the trials that cost no more.
    """

    def __init__(self, study: Study, pruner: str, epochs: int, known: Catalog = samplers.NO_PLUGINS) -> None:
        self._study, self._pruner = study, samplers.pruner(pruner, epochs, known)
        self._ended: list[tuple[tuple[int, ...], FrozenTrial]] = []

    def ended(self, record: Trial) -> None:
        """Compare other trials with this one from now on, if it was trained and the study has costs."""
        if self._study.costs and record.state in ("complete", "pruned") and record.history:
            self._ended.append((self._costs(record), self._frozen(record)))

    def report(self, trial: optuna.Trial, value: float, epoch: int) -> None:
        """Report the metric of an epoch to Optuna, whose pruners use it."""
        if not self._study.costs and not self._study.more:
            trial.report(value, epoch)

    def should_prune(self, trial: optuna.Trial, running: Trial, seen: list[float]) -> bool:
        """Whether `trial` stops; `seen` are its metrics from the first epoch on."""
        if not self._study.costs:
            return trial.should_prune()
        most = self._costs(running)
        no_more_expensive = [
            other for costs, other in self._ended if all(one <= own for one, own in zip(costs, most, strict=True))
        ]
        so_far = optuna.trial.create_trial(state=TrialState.RUNNING, intermediate_values=dict(enumerate(seen, 1)))
        return bool(self._pruner.prune(PrunerView(self._study.optuna.directions[0], no_more_expensive), so_far))

    def _costs(self, record: Trial) -> tuple[int, ...]:
        return tuple(getattr(record, COSTS[cost]) for cost in self._study.costs)

    def _frozen(self, record: Trial) -> FrozenTrial:
        metric = self._study.info["metric"]
        seen = {epoch: metrics[metric] for epoch, metrics in enumerate(record.history, 1)}
        return optuna.trial.create_trial(value=record.score, intermediate_values=seen)
