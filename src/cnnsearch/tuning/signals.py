"""Ctrl-C, SIGTERM and SIGHUP: the first ends a search in order, the second at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class SignalHandler:
    """Whether an end was asked for. While it is `deferred` the first signal only sets `requested`.

    A KeyboardInterrupt raised between any two lines could leave a trial ended in one store and not in the other.
    """

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False

    def signalled(self, number: int, frame: FrameType | None) -> None:
        """A signal handler.

        Raises:
            KeyboardInterrupt: if the signal is the second, or nothing is to be brought into order.
        """
        if self.requested or not self._deferred:
            raise KeyboardInterrupt
        self.requested = True

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, the first signal waits until someone looks at `requested`."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    @contextmanager
    def listening(self) -> Iterator["SignalHandler"]:
        """Handle the signals inside, and restore the handlers after it; outside the main thread there are none."""
        here = threading.current_thread() is threading.main_thread()
        names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if here and hasattr(signal, name)]
        before = {name: signal.signal(getattr(signal, name), self.signalled) for name in names}
        try:
            yield self
        finally:
            for name, handler in before.items():
                signal.signal(getattr(signal, name), handler)
