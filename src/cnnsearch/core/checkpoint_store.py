"""Reads, writes and deletes files with checkpoints, at a path or at an address that fsspec knows.

A path needs no fsspec. Every function raises an OSError if the file cannot be reached.
"""

import contextlib
import io
import shutil
import uuid
from collections.abc import Callable, Iterator
from typing import IO

from cnnsearch.core import checkpoint_address as addresses
from cnnsearch.core import remote_files
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.whole_file import replaced

PROBE = 15.0
"""Seconds that the probe at the start of a search may take."""


def exists(address: str) -> bool:
    """Whether there is such a file."""
    path = addresses.local_path(address)
    return remote_files.exists(address) if path is None else path.is_file()


def names(folder: str) -> set[str]:
    """The names of the files in a folder; none if there is no such folder."""
    path = addresses.local_path(folder)
    if path is None:
        return remote_files.names(folder)
    return {each.name for each in path.iterdir()} if path.is_dir() else set()


@contextlib.contextmanager
def read(address: str) -> Iterator[IO[bytes]]:
    """The file, open within the `with` block."""
    path = addresses.local_path(address)
    with io.BytesIO(remote_files.read(address)) if path is None else path.open("rb") as file:
        yield file


def write(address: str, fill: Callable[[IO[bytes]], None]) -> None:
    """Write a file, completely or not at all. `fill` writes its content."""
    path = addresses.local_path(address)
    if path is None:
        content = io.BytesIO()
        fill(content)
        # of CPython's BytesIO this is no copy
        remote_files.write(address, content.getvalue())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as partial, partial.open("wb") as file:
        fill(file)


def delete(address: str) -> None:
    """Delete a file, if it exists."""
    path = addresses.local_path(address)
    if path is None:
        remote_files.delete(address)
    else:
        path.unlink(missing_ok=True)


def delete_folder(folder: str) -> None:
    """Delete a folder with its files, if it exists."""
    path = addresses.local_path(folder)
    if path is None:
        remote_files.delete_folder(folder)
    elif path.is_dir():
        shutil.rmtree(path)


def probe(folder: str) -> None:
    """Check that files can be written to a folder, read and deleted there.

    Raises:
        CnnsearchError: if they cannot; it says why.
    """
    address, path = addresses.joined(folder, f".probe-{uuid.uuid4().hex}"), addresses.local_path(folder)
    try:
        if path is None:
            remote_files.check_driver(folder)
            remote_files.probe(address, PROBE)
        else:
            write(address, lambda file: None)
            delete(address)
    except OSError as error:
        reason = (error.strerror or str(error)).rstrip(".")
        raise CnnsearchError(f"--checkpoints {addresses.redacted(folder)} cannot be used: {reason}.") from None
