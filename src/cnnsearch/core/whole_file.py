"""Writes a file completely or not at all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

PREFIX = ".partial-"
"""How the name of a file begins that is being written, or that a killed process left."""


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Another path in the same folder, for a file that becomes `path` at the end of the `with` block.

    After an error it is removed, as it takes space on a disk that may be full, and `path` stays as it was.

    Raises:
        OSError: if the file cannot be written.
    """
    partial = path.with_name(f"{PREFIX}{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        # the error of the block says more
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
