"""Deletes the checkpoints of ended trials: files at once, and those of a store in a thread, because it may be slow."""

import contextlib
import functools
import queue
import threading
from collections.abc import Callable, Iterable

from cnnsearch.core import checkpoint_store
from cnnsearch.core.checkpoint_address import local_path

LONGEST = 15.0
"""Seconds that the end of a search waits for deletions. What is then left takes space, and nothing else."""


class CheckpointDeleter:
    """Deletes files. A file that cannot be deleted stays."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def delete(self, addresses: Iterable[str]) -> None:
        """Delete the files at these addresses, now or soon."""
        for address in addresses:
            if local_path(address) is None:
                self._later(functools.partial(_delete, address))
            else:
                _delete(address)

    def delete_all(self, folder: str, addresses: set[str]) -> None:
        """Delete soon what there is of these files in a folder."""
        self._later(functools.partial(_delete_all, folder, addresses))

    def close(self) -> None:
        """Wait for the deletions, at most LONGEST."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(LONGEST)
            self._thread = None

    def _later(self, work: Callable[[], None]) -> None:
        self._waiting.put(work)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            work()


def _delete(address: str) -> None:
    with contextlib.suppress(OSError):
        checkpoint_store.delete(address)


def _delete_all(folder: str, addresses: set[str]) -> None:
    with contextlib.suppress(OSError):
        for name in checkpoint_store.names(folder):
            address = f"{folder}/{name}"
            if address in addresses:
                _delete(address)
