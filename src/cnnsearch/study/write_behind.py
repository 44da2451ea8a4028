"""A storage that reads from memory and writes later, when no worker waits for an answer."""

import contextlib
import copy
import datetime
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from cnnsearch.study import bulk_write, unwritten
from cnnsearch.study.outages import Outages, StorageAway

ENDED = [state for state in TrialState if state.is_finished()]

MOST = 100
"""The largest number of pending writes."""

LONGEST = 1.0
"""Seconds. If the oldest pending write is older when another comes, all are written."""


class WriteBehindStorage(BaseStorage):
    """An Optuna storage for a study to which only this process adds running trials.

    Parameters, attributes and intermediate values of a running trial are pending until `write`, until a trial ends, or
    until there are MOST of them or LONGEST is over, because a transaction takes some milliseconds. They are written in
    one transaction. Waiting trials are read from the storage each time, so that other processes may queue points.

    Errors of the storage are raised by the method that writes. The next `write` tries the failed writes again.
    While a server does not answer, writes and the ends of trials are pending, and everything else waits for it. If it
    does not answer for too long, the pending writes are saved to a file for the next run, and nothing more is written.

    Attributes:
        outages: whether the server answers.
    """

    def __init__(
        self, storage: BaseStorage, study_id: int, is_server: bool = False, unwritten_file: Path | None = None
    ) -> None:
        self._storage, self._study = storage, study_id
        self.outages, self._file = Outages(is_server), unwritten_file
        # MLflow's thread reads and writes the study's attributes
        self._lock = threading.RLock()
        self._attributes: dict[str, Any] = {}
        self._database = bulk_write.database(storage)
        self._unwritten: deque[unwritten.Write] = deque()
        self._since = 0.0
        self._trials: dict[int, FrozenTrial] = {}
        # a study has many ended trials and few others
        self._open: set[int] = set()
        self._in_order = True
        self._distributions: dict[str, BaseDistribution] = {}
        self._read()

    def write(self) -> None:
        """Write all pending changes, in their order, unless the server does not answer at the moment.

        Raises:
            StorageAway: if it did not answer for too long; from then on nothing is written.
        """
        if self.outages.given_up:
            return
        with self._lock:
            try:
                while self._unwritten and (written := self._write_first()):
                    for _ in range(written):
                        self._unwritten.popleft()
                if self.outages.away and not self._unwritten:
                    self.answers()
            except StorageAway:
                self._save()
                raise

    def _write_first(self) -> int:
        """Write the first pending changes, together if they can be; returns how many were written."""
        together = bulk_write.first(self._unwritten) if self._database else []
        if together:
            return len(together) * self.outages.attempt(bulk_write.write, self._database, together)
        return int(self.outages.attempt(self._write_one, self._unwritten[0]))

    def _write_one(self, each: unwritten.Write) -> None:
        # the connection may have ended after the trial's end was written
        with contextlib.suppress(UpdateFinishedTrialError):
            each.to(self._storage)

    def answers(self) -> bool:
        """Whether the server answers at the moment; a file always does."""
        try:
            return self.outages.answers(self._storage.get_study_user_attrs, self._study)
        except StorageAway:
            self._save()
            raise

    def _call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The result of `work`; it waits for a server that does not answer."""
        try:
            return self.outages.call(work, *arguments)
        except StorageAway:
            self._save()
            raise

    def _save(self) -> None:
        """Save the pending writes for the next run, once."""
        with self._lock:
            if self._unwritten and self._file:
                unwritten.save(self._file, self._study, self._unwritten)
            self._unwritten.clear()

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
        self._later("set_trial_param", trial_id, param_name, param_value_internal, distribution)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Set the value of an epoch."""
        self._note(trial_id, "intermediate_values", step, intermediate_value)
        self._later("set_trial_intermediate_value", trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute."""
        value = _plain(value)
        self._note(trial_id, "user_attrs", key, value)
        self._later("set_trial_user_attr", trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of Optuna's own."""
        value = _plain(value)
        self._note(trial_id, "system_attrs", key, value)
        self._later("set_trial_system_attr", trial_id, key, value)

    def _note(self, trial_id: int, field: str, key: Any, value: Any) -> None:
        # a copy: trials that were returned earlier must not change
        changed = copy.copy(self._trials[trial_id])
        self.check_trial_is_updatable(trial_id, changed.state)
        setattr(changed, field, {**getattr(changed, field), key: value})
        self._trials[trial_id] = changed

    def set_study_user_attr_later(self, key: str, value: Any) -> None:
        """Write an attribute of the study with the next pending writes."""
        self._later("set_study_user_attr", self._study, key, _plain(value))

    def _later(self, method: str, *arguments: Any) -> None:
        with self._lock:
            # here, as another thread may have given it up meanwhile
            if self.outages.given_up:
                return
            self._since = self._since if self._unwritten else time.monotonic()
            self._unwritten.append(unwritten.Write(method, arguments))
        if len(self._unwritten) >= MOST or time.monotonic() - self._since > LONGEST:
            self.write()

    # -- the start and end of trials, written at once ----------------------------------------------------------------

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Start a trial, or queue one."""
        made: FrozenTrial = self._call(self._create, study_id, template_trial)
        self._know(made)
        return made._trial_id

    def _create(self, study_id: int, template: FrozenTrial | None) -> FrozenTrial:
        if self.outages.away and template is None:
            # the connection may have ended after the trial was created: only this process adds running trials
            for trial in self._storage.get_all_trials(self._study, deepcopy=False):
                if trial.state == TrialState.RUNNING and trial._trial_id not in self._trials:
                    return trial
        if self._database and template is None:
            # it is not read again after it was written
            made: FrozenTrial = self._database._create_new_trial(study_id)
            return made
        return self._storage.get_trial(self._storage.create_new_trial(study_id, template))

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Start a waiting trial, or end one."""
        if state.is_finished():
            self.check_trial_is_updatable(trial_id, self._trials[trial_id].state)
            self._end(trial_id, state, values)
            return True
        self.write()
        done: bool = self._call(self._start, trial_id, state, values)
        self._know(self._call(self._storage.get_trial, trial_id))
        return done

    def _start(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> bool:
        done = self._storage.set_trial_state_values(trial_id, state, values)
        if not done and self.outages.away:
            # the connection may have ended after the trial was started
            return self._storage.get_trial(trial_id).state == state
        return done

    def _end(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> None:
        """End a trial. If the server does not answer, it is ended here, and in the storage later."""
        plain = None if values is None else [float(value) for value in values]
        with self._lock:
            if not self.outages.given_up:
                end = unwritten.Write("set_trial_state_values", (trial_id, state, plain))
                self._unwritten.append(end)
                try:
                    self.write()
                except Exception:
                    if not self.outages.is_server:
                        # the trial has not ended
                        self._unwritten.remove(end)
                    raise
        ended = copy.copy(self._trials[trial_id])
        ended.state, ended.datetime_complete = state, datetime.datetime.now()
        if plain is not None:
            ended.values = plain
        self._know(ended)

    # -- reads ----------------------------------------------------------------------------

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """One trial."""
        found = copy.copy(self._trials[trial_id])
        # what is in them is never changed
        for field in ("params", "distributions", "user_attrs", "system_attrs", "intermediate_values"):
            setattr(found, field, dict(getattr(found, field)))
        return found

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """All trials in the order of their numbers, or those in `states`."""
        # the caller is about to start a waiting trial
        if states is not None and TrialState.WAITING in states and TrialState.RUNNING not in states:
            self._read_waiting()
        if not self._in_order:
            # a trial that another process queued may be read after later ones
            self._trials = dict(sorted(self._trials.items(), key=lambda each: each[1].number))
            self._in_order = True
        if states is not None and not any(state in states for state in ENDED):
            among = (self._trials[trial_id] for trial_id in sorted(self._open, key=self._number))
            found = [trial for trial in among if trial.state in states]
        else:
            found = [trial for trial in self._trials.values() if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def _number(self, trial_id: int) -> int:
        return self._trials[trial_id].number

    def _read_waiting(self) -> None:
        """Read the waiting trials that other processes queued."""
        if self._database is None or self.outages.given_up:
            self._read()
            return
        for trial_id in self._call(bulk_write.waiting, self._database, self._study):
            if trial_id not in self._trials:
                self._know(self._call(self._storage.get_trial, trial_id))

    def _read(self) -> None:
        self.write()
        if self.outages.given_up or self._unwritten:
            return
        for trial in self._call(lambda: self._storage.get_all_trials(self._study, deepcopy=False)):
            if self._trials.get(trial._trial_id) is not trial:
                self._know(trial)

    def _know(self, trial: FrozenTrial) -> None:
        last = next(reversed(self._trials.values()), trial)
        self._in_order = self._in_order and (trial._trial_id in self._trials or last.number <= trial.number)
        self._trials[trial._trial_id] = trial
        if trial.state.is_finished():
            self._open.discard(trial._trial_id)
        else:
            self._open.add(trial._trial_id)
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
        if self.outages.given_up:
            return
        with self._lock:
            # an earlier value that is still pending must not replace this one
            earlier = ("set_study_user_attr", (study_id, key))
            kept = [each for each in self._unwritten if (each.method, each.arguments[:2]) != earlier]
            self._unwritten = deque(kept)
        self._call(self._storage.set_study_user_attr, study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Write an attribute of Optuna's own."""
        if not self.outages.given_up:
            self._call(self._storage.set_study_system_attr, study_id, key, value)

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
        """The study's attributes; those that were read last if the server does not answer any more."""
        if not self.outages.given_up:
            self._attributes = self._call(self._storage.get_study_user_attrs, study_id)
        return self._attributes

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """The study's attributes of Optuna's own."""
        return dict(self._call(self._storage.get_study_system_attrs, study_id))

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
