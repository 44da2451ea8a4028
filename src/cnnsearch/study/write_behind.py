"""A storage that reads from memory and writes later, when no worker waits for an answer."""

import copy
import json
import time
from collections import deque
from collections.abc import Callable, Container, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

MOST = 100
"""The largest number of pending writes."""

LONGEST = 1.0
"""Seconds. If the oldest pending write is older when another comes, all are written."""


class WriteBehindStorage(BaseStorage):
    """An Optuna storage for a study to which only this process adds running trials.

    Parameters, attributes and intermediate values of a running trial are pending until `write`, until a trial ends, or
    until there are MOST of them or LONGEST is over, because each write is a transaction of some milliseconds. Waiting
    trials are read from the storage each time, so that other processes may queue points.

    Errors of the storage are raised by the method that writes. The next `write` tries the failed writes again.
    """

    def __init__(self, storage: BaseStorage, study_id: int) -> None:
        self._storage, self._study = storage, study_id
        self._unwritten: deque[Callable[[], None]] = deque()
        self._since = 0.0
        self._trials: dict[int, FrozenTrial] = {}
        self._distributions: dict[str, BaseDistribution] = {}
        self._read()

    def write(self) -> None:
        """Write all pending changes, in their order."""
        while self._unwritten:
            self._unwritten[0]()
            self._unwritten.popleft()

    # -- pending writes ------------------------------------------------------------------------

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Set a parameter.

        Raises:
            ValueError: if it had another kind of distribution, or other choices, in an earlier trial.
        """
        check_distribution_compatibility(self._distributions.setdefault(param_name, distribution), distribution)
        self._note(trial_id, "params", param_name, distribution.to_external_repr(param_value_internal))
        self._note(trial_id, "distributions", param_name, distribution)
        self._later(self._storage.set_trial_param, trial_id, param_name, param_value_internal, distribution)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Set the value of an epoch."""
        self._note(trial_id, "intermediate_values", step, intermediate_value)
        self._later(self._storage.set_trial_intermediate_value, trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute."""
        value = _plain(value)
        self._note(trial_id, "user_attrs", key, value)
        self._later(self._storage.set_trial_user_attr, trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of Optuna's own."""
        value = _plain(value)
        self._note(trial_id, "system_attrs", key, value)
        self._later(self._storage.set_trial_system_attr, trial_id, key, value)

    def _note(self, trial_id: int, field: str, key: Any, value: Any) -> None:
        # a copy: trials that were returned earlier must not change
        changed = copy.copy(self._trials[trial_id])
        self.check_trial_is_updatable(trial_id, changed.state)
        setattr(changed, field, {**getattr(changed, field), key: value})
        self._trials[trial_id] = changed

    def _later(self, write: Callable[..., None], *arguments: Any) -> None:
        self._since = self._since if self._unwritten else time.monotonic()
        self._unwritten.append(lambda: write(*arguments))
        if len(self._unwritten) >= MOST or time.monotonic() - self._since > LONGEST:
            self.write()

    # -- the start and end of trials, written at once ----------------------------------------------------------------

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Start a trial, or queue one."""
        trial_id = self._storage.create_new_trial(study_id, template_trial)
        self._know(self._storage.get_trial(trial_id))
        return trial_id

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Start a waiting trial, or end one."""
        self.write()
        done = self._storage.set_trial_state_values(trial_id, state, values)
        self._know(self._storage.get_trial(trial_id))
        return done

    # -- reads ----------------------------------------------------------------------------

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One trial."""
        return copy.deepcopy(self._trials[trial_id])

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """All trials in the order of their numbers, or those in `states`."""
        # the caller is about to start a waiting trial
        if states is not None and TrialState.WAITING in states and TrialState.RUNNING not in states:
            self._read()
        found = [trial for trial in self._trials.values() if states is None or trial.state in states]
        # a trial that another process queued may be read after later ones
        found.sort(key=lambda trial: trial.number)
        return copy.deepcopy(found) if deepcopy else found

    def _read(self) -> None:
        self.write()
        for trial in self._storage.get_all_trials(self._study, deepcopy=False):
            if self._trials.get(trial._trial_id) is not trial:
                self._know(trial)

    def _know(self, trial: FrozenTrial) -> None:
        self._trials[trial._trial_id] = trial
        for name, distribution in trial.distributions.items():
            self._distributions.setdefault(name, distribution)

    # -- the study itself, written at once ----------------------------------------------------------

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Create another study."""
        return self._storage.create_new_study(directions, study_name)

    def delete_study(self, study_id: int) -> None:
        """Delete a study."""
        self._storage.delete_study(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Write an attribute."""
        self._storage.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Write an attribute of Optuna's own."""
        self._storage.set_study_system_attr(study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        """The study's number."""
        return self._storage.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """The study's name."""
        return self._storage.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """The direction of each objective."""
        return self._storage.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """The study's attributes."""
        return self._storage.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """The study's attributes of Optuna's own."""
        return self._storage.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[Any]:
        """Every study of the storage."""
        return self._storage.get_all_studies()

    def remove_session(self) -> None:
        """Close the connection to a database."""
        self._storage.remove_session()


def _plain(value: Any) -> Any:
    """`value` as the database returns it.

    Raises:
        TypeError: if it cannot be written as JSON.
    """
    return json.loads(json.dumps(value))
