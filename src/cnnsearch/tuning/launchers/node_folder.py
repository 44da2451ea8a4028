"""The folder of a search on a node of a cluster: its data, its plugins and the files of its trials."""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import filelock

from cnnsearch.core.whole_file import replaced
from cnnsearch.data import shared_memory
from cnnsearch.data.splits import Split

PLACE = "{node}"
"""Stands for the folder in a worker's configuration."""

MODULES = "modules"
"""Where the modules of a hypermodel are. It is the current folder of workers, so that they can be imported."""

KEEP = ".in-use"
"""Each process that uses a folder holds a shared lock of this file. A folder that nobody holds is removed."""


class NodeFolder:
    """The folder of one search on this node, shared by its workers here.

    Attributes:
        path: the folder; `data`, `study` and `runs` are in it.
    """

    def __init__(self, search: str) -> None:
        """`search` is different for each search and node. The folder is made by `fill`."""
        self.path = Path(tempfile.gettempdir()) / f"cnnsearch-{os.getuid()}" / search
        self._held: IO[str] | None = None

    def _make(self) -> None:
        """Make the folder and hold its lock until this process ends.

        Raises:
            OSError: if the folder cannot be made, or another user owns it.
        """
        parent = self.path.parent
        parent.mkdir(mode=0o700, exist_ok=True)
        if parent.stat().st_uid != os.getuid():
            raise PermissionError(f"{parent} belongs to another user")
        _sweep(parent)
        self._held = self._hold()
        for name in ("data", "study", "runs", MODULES):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def _hold(self) -> IO[str]:
        # until the lock is held, another process may remove the folder
        while True:
            self.path.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                held = (self.path / KEEP).open("a")
                fcntl.flock(held, fcntl.LOCK_SH)
                if os.fstat(held.fileno()).st_nlink:
                    return held
                held.close()

    @property
    def data(self) -> Path:
        """The folder of the data."""
        return self.path / "data"

    @property
    def modules(self) -> Path:
        """The current folder of workers."""
        return self.path / MODULES

    @property
    def study(self) -> Path:
        """The folder that stands for the study's folder."""
        return self.path / "study"

    def fill(
        self, files: Callable[[], Mapping[str, bytes]], data: Callable[[], tuple[Split, dict[str, Any]] | None]
    ) -> None:
        """Write the files and the data, if no other worker has done so. `files`: contents, by path in the folder.

        `data` returns None if the space's function has data of its own.

        Raises:
            OSError: if they cannot be written, or another user owns the folder.
        """
        if self._held is None:
            self._make()
        with filelock.FileLock(self.path / "lock"):
            if (self.path / "filled").exists():
                return
            for name, content in files().items():
                write_file(self.path / name, content)
            if found := data():
                shared_memory.write(self.data, *found)
            (self.path / "filled").touch()

    def remove(self) -> None:
        """Remove the folder, and those of other searches and lost nodes that no process uses."""
        shutil.rmtree(self.path, ignore_errors=True)
        _sweep(self.path.parent)

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A worker's configuration with the paths of this node. `given` has paths in the folder instead."""
        runs, study, data = (str(self.path / name) for name in ("runs", "study", "data"))
        here = json.loads(json.dumps(given).replace(json.dumps(PLACE)[1:-1], json.dumps(str(self.path))[1:-1]))
        return {**here, "runs": runs, "folder": study, "shared": data}


def write_file(path: Path, content: bytes) -> None:
    """Write a file completely or not at all.

    Raises:
        OSError: if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path) as partial:
        partial.write_bytes(content)


def _sweep(parent: Path) -> None:
    """Remove the folders of searches that have ended without removing them."""
    for folder in parent.glob("*"):
        with contextlib.suppress(OSError), (folder / KEEP).open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
