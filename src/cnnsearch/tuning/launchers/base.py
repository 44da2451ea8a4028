"""The interface of launchers, which start the workers of a tuner as local processes or elsewhere."""

from dataclasses import dataclass
from typing import Protocol

from cnnsearch.core.messages import Answer, Message


@dataclass(frozen=True)
class LostWorker:
    """A worker whose process ended by itself.

    Attributes:
        code: its exit code; negative: the signal that ended it.
        invalid: whether it was ended because it sent an invalid message.
        log: the name of the file with what it printed.
        memory: bytes that it held at the last check.
        allowed: bytes that it could hold; 0 if its launcher has no limit of its own.
        machine: whether its machine was lost with it, so that its trial is not to blame.
    """

    code: int
    invalid: bool
    log: str
    memory: int
    allowed: int = 0
    machine: bool = False


@dataclass(frozen=True)
class WorkerEvent:
    """A message of the worker in a slot, or that the slot was lost."""

    slot: int
    what: Message | LostWorker


class Launcher(Protocol):
    """Starts workers, one in each slot, and carries messages between them and the tuner.

    Slots are numbers from 0 on. A slot has at most one worker at a time. Messages of
    a worker that was stopped or restarted are dropped.
    """

    @property
    def slots(self) -> list[int]:
        """The slots that have a worker."""

    def fill(self, most: int = 0) -> None:
        """Start a worker in every slot that has none; in the first `most` slots if that is not 0."""

    def ready(self, slot: int) -> bool:
        """Whether the worker in `slot` has loaded data and backend."""

    def submit(self, slot: int, assignment: Message) -> None:
        """Send an assignment."""

    def reply(self, slot: int, answer: Answer) -> None:
        """Send the answer to a question."""

    def poll(self, timeout: float) -> WorkerEvent | None:
        """The next event, or None after `timeout` seconds.

        Raises:
            CnnsearchError: if workers end while they start, and another would not start either.
        """

    def memory(self, slot: int) -> int:
        """Bytes of memory of the worker in `slot`; 0 if they are not known."""

    def printed(self, slot: int) -> bytes:
        """What the worker in `slot` printed since the last call."""

    def note(self, slot: int, text: str) -> None:
        """Write a line to the log of the worker in `slot`."""

    def restart(self, slot: int) -> None:
        """End the worker in `slot` at once and start another."""

    def stop(self, slot: int) -> None:
        """End the worker in `slot` at once; the slot is empty."""

    def use_metric(self, metric: str) -> None:
        """Make `metric` the score for all workers, also for those that start later."""

    def requeue(self, events: list[WorkerEvent]) -> None:
        """Return these events from `poll` again, first. A worker whose Ready is requeued is not ready until then."""

    def close(self) -> None:
        """End every worker."""
