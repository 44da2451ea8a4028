"""The trials of a study in the form that its sampler reads."""

from collections.abc import Container

import optuna
from optuna.trial import FrozenTrial, TrialState

from cnnsearch.study.trial import ATTRIBUTE


class SamplerView(optuna.Study):
    """A study in which paused trials have the state PRUNED, so that the sampler learns from all rungs.

    In the storage they have the state RUNNING, and the sampler would treat them as bad until they end.
    """

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        found = super()._get_trials(deepcopy, None, use_cache)
        running = super()._get_trials(False, (TrialState.RUNNING,), False)
        if paused := {trial.number for trial in running if _is_paused(trial)}:
            found = [_as_pruned(trial) if trial.number in paused else trial for trial in found]
        return found if states is None else [trial for trial in found if trial.state in states]


def _is_paused(trial: FrozenTrial) -> bool:
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
    # samplers read the order of trials from it, and which trials they know already
    shown.number, shown._trial_id = trial.number, trial._trial_id
    return shown
