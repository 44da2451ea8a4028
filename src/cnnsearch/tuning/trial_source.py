"""What the tuner asks of whatever gives it trials: a search, the confirmation of its best, a reproduction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Generic, Protocol, TypeVar

from cnnsearch.core.messages import Answer, Described, Message, Ready, Saved
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
    """Someone asked for the end; the same command resumes."""

    FAILED = "failed"
    """Something is wrong that no further trial will mend."""


@dataclass(frozen=True)
class End:
    """How a tuner ended; `problem` says what is wrong where it FAILED."""

    reason: EndReason
    problem: str = ""


class Then(Enum):
    """What becomes of a worker after its message was handled."""

    WORK = "it continues its trial"
    FREE = "it gets another trial"
    SAVE = "its trial has ended, and it saves the model"
    RESTART = "it is stopped, and another one is started"


@dataclass(frozen=True)
class Reaction:
    """What follows from a message: an answer at once, then `after`, then what becomes of the worker."""

    then: Then
    answer: Answer | None = None
    after: Callable[[], object] | None = None


class Active(Protocol):
    """A trial that a worker has.

    Attributes:
        started: when the worker got it; `heard`: when the worker last said something. By `time.monotonic`.
        since: when it would have started, had it been trained without a pause.
    """

    started: float
    heard: float

    @property
    def number(self) -> int:
        """The trial's number."""

    @property
    def record(self) -> Trial:
        """What is known of the trial; the supervisor estimates the length of an epoch by it."""

    @property
    def since(self) -> float: ...

    def assignment(self) -> Message:
        """What a worker is sent."""


A = TypeVar("A", bound=Active)


class TrialSource(Protocol, Generic[A]):
    """Gives the tuner its trials and takes what workers say of them.

    The tuner calls `attach` once, `on_ready` for each worker that has started, then `next` whenever a worker is free,
    `on_message` and `on_saved` for what the worker sends, and `on_failure`, `on_lost` or `interrupt` where a trial does
    not end by itself. `tick` and `end` are called again and again.
    """

    def attach(self, active: Mapping[int, A]) -> None:
        """Take the trials that workers have, by slot. The tuner keeps this mapping up to date."""

    def on_ready(self, message: Ready) -> Message | None:
        """A worker has started; returns an assignment if it is to tell something before its first trial."""

    def on_described(self, message: Described) -> None:
        """A worker has done that assignment."""

    def next(self) -> A | None:
        """The next trial; None if there is none to begin now."""

    def on_message(self, trial: A, message: Message) -> Reaction:
        """A worker said something of its trial."""

    def on_saved(self, message: Saved) -> None:
        """A worker has saved a model."""

    def on_failure(self, trial: A, kind: str, reason: str) -> None:
        """The supervisor gave up the worker of this trial: the kind of failure (`errors.FAILURES`), and why."""

    def on_lost(self, trial: A, lost: LostWorker) -> None:
        """The worker of this trial ended by itself."""

    def interrupt(self, trial: A) -> None:
        """The tuner ends before this trial did."""

    def ended(self) -> list[Trial]:
        """The trials that have ended, by which the supervisor estimates how long an epoch may take."""

    def tick(self) -> None:
        """Look at the clock."""

    def tell(self) -> None:
        """Tell the display where the search stands."""

    def end(self, idle: bool) -> End | None:
        """How the tuner ends now, None if it goes on; `idle`: no worker has a trial, and none saves a model."""
