"""Reads what a process has written to its log since the last time."""

import re
from pathlib import Path

MOST = 1 << 16
"""At most the last so many bytes are read."""

INFORMATION = re.compile(r"I\d{4} |WARNING: All log messages before absl::InitializeLog")
"""How the lines begin that a backend writes when it is imported (the format of absl)."""


class LogReader:
    """Reads a log file from its present end on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = self._began = self._size()

    def new(self) -> bytes:
        """What was written since the last call, at most the last MOST bytes of it."""
        at, self._at = self._at, self._size()
        return self._read(max(at, self._at - MOST))

    def last_lines(self, lines: int = 3) -> str:
        """The last lines that were written since this object was made, as one line; without a backend's INFORMATION."""
        text = self._read(max(self._began, self._size() - MOST)).decode("utf-8", "replace")
        told = [line.strip() for line in text.splitlines() if line.strip() and not INFORMATION.match(line)]
        return " | ".join(told[-lines:])

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def _read(self, at: int) -> bytes:
        try:
            with self.path.open("rb") as log:
                log.seek(at)
                return log.read()
        except OSError:
            return b""
