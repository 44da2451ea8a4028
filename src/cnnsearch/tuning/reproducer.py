"""Reproduction: one trial of a study trained again with its own seed."""

import time
from collections.abc import Callable
from typing import ClassVar

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.messages import (
    Decision,
    EpochEnded,
    Failed,
    Go,
    Message,
    Ready,
    Repeated,
)
from cnnsearch.study.confirmation import Repeat
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.tuning import supervisor
from cnnsearch.tuning.confirmer import ActiveRepeat
from cnnsearch.tuning.launchers.base import LostWorker
from cnnsearch.tuning.trial_source import End, EndReason, Reaction, TrialSource, WorkerAction


class Reproducer(TrialSource[ActiveRepeat]):
    """Gives one trial to the tuner, to be trained for as many epochs as it had. Nothing is stored.

    Attributes:
        result: what the worker sent at the end; None before.
        failure: the kind of failure and the reason; None if it did not fail.
    """

    def __init__(self, study: Study, record: Trial, memory: int) -> None:
        """`memory`: bytes that the worker may hold; 0 for no limit."""
        self._study, self._record, self._memory = study, record, memory
        self._waiting, self._retried = True, False
        self.result: Repeated | None = None
        self.failure: tuple[str, str] | None = None

    def on_ready(self, message: Ready) -> Message | None:
        if message.dataset["fingerprint"] != self._study.info["data"]["fingerprint"]:
            raise data_changed(str(message.dataset["name"]), self._study)
        return None

    def next(self) -> ActiveRepeat | None:
        if not self._waiting:
            return None
        self._waiting, now = False, time.monotonic()
        return ActiveRepeat(Repeat(self._record.number, self._record.seed, None), self._record, now, now)

    def on_message(self, trial: ActiveRepeat, message: Message) -> Reaction:
        if handler := self.HANDLERS.get(type(message)):
            return handler(self, trial, message)
        reason = f"its worker sent {type(message).__name__}, which no reproduction asks for"
        return Reaction(WorkerAction.RESTART, after=lambda: self.on_failure(trial, "plugin_error", reason))

    def _on_epoch(self, trial: ActiveRepeat, message: EpochEnded) -> Reaction:
        decision = Decision.CONTINUE if message.epoch < self._record.epochs else Decision.STOP
        return Reaction(WorkerAction.CONTINUE, Go(trial=trial.number, id=message.id, decision=decision))

    def _on_repeated(self, trial: ActiveRepeat, message: Repeated) -> Reaction:
        self.result = message
        return Reaction(WorkerAction.NEW_TRIAL)

    def _on_failed(self, trial: ActiveRepeat, message: Failed) -> Reaction:
        return Reaction(WorkerAction.RESTART, after=lambda: self.on_failure(trial, message.kind, message.reason))

    def on_failure(self, trial: ActiveRepeat, kind: str, reason: str) -> None:
        self.failure = kind, reason

    def on_lost(self, trial: ActiveRepeat, lost: LostWorker) -> None:
        kind, reason = supervisor.failure_of_lost_worker(lost, self._memory, self._retried)
        if kind:
            self.failure = kind, reason
        else:
            self._waiting = self._retried = True

    def ended(self) -> list[Trial]:
        return [self._record]

    def end(self, idle: bool) -> End | None:
        if self.failure:
            return End(EndReason.FAILED, self.failure[1])
        return End(EndReason.COMPLETE) if self.result else None

    HANDLERS: ClassVar[dict[type[Message], Callable[..., Reaction]]] = {
        EpochEnded: _on_epoch,
        Repeated: _on_repeated,
        Failed: _on_failed,
    }


def data_changed(dataset: str, study: Study) -> CnnsearchError:
    """The error for a dataset that is not what it was when the study was made."""
    return CnnsearchError(
        f"The dataset {dataset} has changed since study '{study.name}' was made, so its results "
        "are not comparable. Restore the old data, or start a new study with --study NAME."
    )
