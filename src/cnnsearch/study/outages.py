"""Waits for a database server that does not answer at the moment, such as one that is restarted."""

import time
from collections.abc import Callable
from typing import Any

from cnnsearch.core.errors import StudyError
from cnnsearch.study.server_errors import is_outage

PATIENCE = 120.0
"""Seconds without an answer after which a search ends."""

AFTER_STOP = 10.0
"""The same after the user stopped the search."""

PAUSE = 0.5
"""Seconds between two attempts; as long as the last attempt took, if that was longer."""


class StorageAway(StudyError):
    """A server that did not answer for too long."""


class Outages:
    """Calls a storage, and knows whether its server answers. Errors that are no outage are raised as they are.

    Attributes:
        away: whether the server does not answer at present.
        is_server: whether it is on a server; a file has no outages.
        given_up: whether it did not answer for PATIENCE seconds. Then nothing more is tried.
        note: is called with a sentence for the user when the server stops to answer, and when it answers again.
        hurry: whether the user stopped the search.
    """

    def __init__(self, is_server: bool = False) -> None:
        self.is_server = is_server
        self._since: float | None = None
        self._next = self._answered = 0.0
        self.given_up = False
        self.note: Callable[[str], None] = lambda text: None
        self.hurry: Callable[[], bool] = lambda: False

    @property
    def away(self) -> bool:
        return self._since is not None

    def call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The result of `work`. It is called again while the server does not answer.

        Raises:
            StorageAway: if it did not answer for too long.
        """
        while True:
            done, result = self._try(work, *arguments)
            if done:
                return result
            time.sleep(PAUSE)

    def attempt(self, work: Callable[..., Any], *arguments: Any) -> bool:
        """Call `work`, unless the server did not answer a moment ago; returns whether it was done.

        Raises:
            StorageAway: if the server did not answer for too long.
        """
        if self.away and time.monotonic() < self._next:
            return False
        return self._try(work, *arguments)[0]

    def answers(self, ask: Callable[..., Any], *arguments: Any) -> bool:
        """Whether the server answers, by the last second or by the question `ask`."""
        if not self.is_server or (not self.away and time.monotonic() - self._answered < 1):
            return True
        return self.attempt(ask, *arguments)

    def _try(self, work: Callable[..., Any], *arguments: Any) -> tuple[bool, Any]:
        if self.given_up:
            raise self._error()
        began = time.monotonic()
        try:
            result = work(*arguments)
        except Exception as error:
            if not (self.is_server and is_outage(error)):
                raise
            self._note_failure(began, error)
            return False, None
        if self.away:
            self._since = None
            self.note("The database of --storage answers again.")
        self._answered = time.monotonic()
        return True, result

    def _note_failure(self, began: float, error: Exception) -> None:
        now = time.monotonic()
        self._next = now + max(PAUSE, now - began)
        if self._since is None:
            self._since = began
            self.note("The database of --storage does not answer. Running trials continue, and no new one starts.")
        if now - self._since > (AFTER_STOP if self.hurry() else PATIENCE):
            self.given_up = True
            raise self._error() from error

    def _error(self) -> StorageAway:
        seconds = AFTER_STOP if self.hurry() else PATIENCE
        return StorageAway(
            f"The database of --storage did not answer for {seconds:.0f} seconds. What it missed is in the study's "
            "folder. Start it, and run the same command again to resume the study."
        )
