"""Deletes the checkpoints of ended trials: files at once, and those of a store in a thread, because it may be slow."""

import contextlib
import queue
import threading
from collections.abc import Iterable

from cnnsearch.core import checkpoint_store
from cnnsearch.core.checkpoint_address import local_path

LONGEST = 15.0
"""Seconds that the end of a search waits for deletions. What is then left takes space, and nothing else."""


class CheckpointDeleter:
    """Deletes files. A file that cannot be deleted stays."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def delete(self, addresses: Iterable[str]) -> None:
        """Delete the files at these addresses, now or soon."""
        for address in addresses:
            if local_path(address) is not None:
                _delete(address)
                continue
            self._waiting.put(address)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Wait for the deletions, at most LONGEST."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(LONGEST)
            self._thread = None

    def _work(self) -> None:
        while (address := self._waiting.get()) is not None:
            _delete(address)


def _delete(address: str) -> None:
    with contextlib.suppress(OSError):
        checkpoint_store.delete(address)
