"""The source of a tuner's trials, such as a search, a confirmation or a reproduction, and how a tuner ends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Generic, Protocol, TypeVar

from cnnsearch.core.messages import Answer, Described, Message, Ready, RepeatTrial, RunTrial, Saved
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.launchers.base import LostWorker


class EndReason(StrEnum):
    """Why a tuner ended."""

    COMPLETE = "complete"
    """All trials are done."""

    EXHAUSTED = "exhausted"
    """The space has no more candidates that the sampler can find."""

    TIMEOUT = "timeout"
    """The time is up."""

    INTERRUPTED = "interrupted"
    """The user stopped it. The same command resumes it."""

    FAILED = "failed"
    """Something is wrong that further trials do not correct."""


@dataclass(frozen=True)
class End:
    """How a tuner ended; if it FAILED, `problem` says what is wrong."""

    reason: EndReason
    problem: str = ""


class WorkerAction(Enum):
    """What a worker does after its message was handled."""

    CONTINUE = "continue"
    """It continues its trial."""

    NEW_TRIAL = "new trial"
    """It gets another trial."""

    SAVE_MODEL = "save model"
    """Its trial has ended, and it saves the model."""

    RESTART = "restart"
    """Its process is ended, and another is started."""


@dataclass(frozen=True)
class Reaction:
    """The result of handling a message.

    Attributes:
        action: what the worker does next.
        answer: the answer to the worker, sent at once; None: the message needs none.
        after: called after the answer was sent, and before `action`.
    """

    action: WorkerAction
    answer: Answer | None = None
    after: Callable[[], object] | None = None


class Active(Protocol):
    """A trial that a worker has. Times are of `time.monotonic`.

    Attributes:
        started: when the worker got it.
        last_message: when the worker last sent a message.
        since: when its training would have started without its pauses.
    """

    started: float
    last_message: float

    @property
    def number(self) -> int:
        """The trial's number."""

    @property
    def record(self) -> Trial:
        """What is known of the trial. The supervisor estimates from it how long an epoch takes."""

    @property
    def since(self) -> float: ...

    def assignment(self) -> RunTrial | RepeatTrial:
        """What a worker is sent."""


A = TypeVar("A", bound=Active)


class TrialSource(Generic[A]):
    """Gives the tuner its trials and handles the messages about them.

    The tuner calls `attach` once; `on_ready` for each worker that has started; `next` when a worker is free;
    `on_message` and `on_saved` for the messages of a worker; `on_failure`, `on_lost` or `interrupt` if a trial does not
    end by itself. It calls `check_time` and `end` at every step. A source defines the methods that it needs; `next`,
    `on_message`, `on_failure`, `on_lost`, `ended` and `end` always.
    """

    def attach(self, active: Mapping[int, A]) -> None:
        """Take the trials that workers have, by slot. The tuner keeps this mapping up to date."""

    def on_ready(self, message: Ready) -> Message | None:
        """A worker has started. Returns its assignment if it has to do something before its first trial."""
        return None

    def on_described(self, message: Described) -> None:
        """A worker has done that assignment."""

    def next(self) -> A | None:
        """The next trial; None if there is none to begin now."""
        raise NotImplementedError

    def on_message(self, trial: A, message: Message) -> Reaction:
        """Handle a message about the trial of its worker."""
        raise NotImplementedError

    def on_saved(self, message: Saved) -> None:
        """A worker has saved a model."""

    def on_failure(self, trial: A, kind: str, reason: str) -> None:
        """The supervisor ended the worker of this trial. `kind` is one of `errors.FAILURES`; `reason` says why."""
        raise NotImplementedError

    def on_lost(self, trial: A, lost: LostWorker) -> None:
        """The worker of this trial ended by itself."""
        raise NotImplementedError

    def interrupt(self, trial: A) -> None:
        """The tuner ends before this trial has ended."""

    def ended(self) -> list[Trial]:
        """The trials that have ended. The supervisor estimates from them how long an epoch may take."""
        raise NotImplementedError

    def check_time(self) -> None:
        """Check whether the time limit is over."""

    def show_status(self) -> None:
        """Give the current status to the callbacks."""

    def end(self, idle: bool) -> End | None:
        """How the tuner ends now; None: it continues. `idle`: no worker has a trial or saves a model."""
        raise NotImplementedError
