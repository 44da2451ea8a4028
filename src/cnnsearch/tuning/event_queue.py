"""The order in which a tuner handles the events of its workers."""

from collections.abc import Sequence

from cnnsearch.core.messages import Completed, Fatal, Question
from cnnsearch.tuning.launchers.base import Launcher, WorkerEvent


class EventQueue:
    """The events of a launcher; first those of workers that wait in the middle of a trial.

    The events of one worker keep their order. If the trials of many workers end together, a worker whose trial was
    handled gets its next point before the ends of the other trials are handled. In the order of arrival, no worker
    would train until all were handled, and their next trials would end together again.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._events: list[WorkerEvent] = []

    def next(self, timeout: float) -> WorkerEvent | None:
        """The next event, or None after `timeout` seconds.

        Raises:
            CnnsearchError: if workers end while they start, and another would not start either.
        """
        while event := self._launcher.poll(0 if self._events else timeout):
            if isinstance(event.what, Fatal):
                # it ends the search, and says why; that its process has ended then says less
                return event
            self._events.append(event)
        if not self._events:
            return None
        chosen = most_urgent(self._events)
        self._events.remove(chosen)
        return chosen

    def has(self, slot: int) -> bool:
        """Whether an event of this slot was not handled yet, such as that its worker is ready."""
        return any(event.slot == slot for event in self._events)

    def drop(self, slot: int) -> None:
        """Forget the events of a worker that is ended."""
        self._events = [event for event in self._events if event.slot != slot]

    def put_back(self) -> None:
        """Give the launcher the events that were not handled, for the next tuner."""
        slots = self._launcher.slots
        self._launcher.requeue([event for event in self._events if event.slot in slots])
        self._events = []


def most_urgent(events: Sequence[WorkerEvent]) -> WorkerEvent:
    """The event to handle next, of at least one, in the order of their arrival."""
    first: dict[int, WorkerEvent] = {}
    for event in events:
        first.setdefault(event.slot, event)
    return min(first.values(), key=lambda event: not waits(event))


def waits(event: WorkerEvent) -> bool:
    """Whether a worker waits for an answer in the middle of a trial."""
    return isinstance(event.what, Question) and not isinstance(event.what, Completed)
