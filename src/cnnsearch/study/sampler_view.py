"""The trials of a study as its sampler sees them."""

from collections.abc import Container

import optuna
from optuna.trial import FrozenTrial, TrialState

from cnnsearch.study.trial import ATTRIBUTE


class SamplerView(optuna.Study):
    """A study whose candidates the sampler sees as ended at their last rung, so that it learns from all rungs.

    In the storage those that wait, or are trained on, are running; a sampler would take them for bad until they end.
    """

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        found = super()._get_trials(deepcopy, None, use_cache)
        shown = [_as_pruned(trial) if _waits(trial) else trial for trial in found]
        return [trial for trial in shown if states is None or trial.state in states]


def _waits(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.RUNNING and trial.user_attrs.get(ATTRIBUTE, {}).get("state") == "waiting"


def _as_pruned(trial: FrozenTrial) -> FrozenTrial:
    shown = optuna.trial.create_trial(
        state=TrialState.PRUNED,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )
    # samplers take the trials' order from it, and up to which of them they have read the space
    shown.number, shown._trial_id = trial.number, trial._trial_id
    return shown
