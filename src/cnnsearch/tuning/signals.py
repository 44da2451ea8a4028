"""Ctrl-C, SIGTERM and SIGHUP: the first signal ends a search and stores its trials; the second one ends it at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class SignalHandler:
    """Handles signals that end the program. While it is `deferred`, the first signal only sets `requested`.

    A KeyboardInterrupt at any line could leave a trial ended in Optuna's storage and not in MLflow.
    """

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False

    def signalled(self, number: int, frame: FrameType | None) -> None:
        """A signal handler.

        Raises:
            KeyboardInterrupt: at the second signal, or if signals are not deferred.
        """
        if self.requested or not self._deferred:
            raise KeyboardInterrupt
        self.requested = True

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, the first signal sets `requested` and raises nothing."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    @contextmanager
    def listening(self) -> Iterator["SignalHandler"]:
        """Handle the signals inside, and restore the earlier handlers after it. In other threads it does nothing."""
        here = threading.current_thread() is threading.main_thread()
        names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if here and hasattr(signal, name)]
        if "SIGHUP" in names and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
            # `nohup` ignores it, so that the search continues after a logout
            names.remove("SIGHUP")
        before = {name: signal.signal(getattr(signal, name), self.signalled) for name in names}
        try:
            yield self
        finally:
            for name, handler in before.items():
                signal.signal(getattr(signal, name), handler)
