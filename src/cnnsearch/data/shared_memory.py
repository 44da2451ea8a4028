"""Loads and splits a dataset once for all workers of a search, in files that each worker maps into memory."""

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from cnnsearch.data import image_cache
from cnnsearch.data.splits import Split

PREFIX = ".data-"
"""The prefix of the folders of data in a study's folder. No other file there has it."""

FACTS = "facts.json"

Loaded = tuple[Split, dict[str, Any]]


def sweep(folder: Path) -> None:
    """Remove the data that a killed search left in a study's folder."""
    for left in folder.glob(f"{PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


def taken(folder: Path, load: Callable[[], Loaded]) -> Loaded:
    """The data in `folder`. The first process loads them with `load` and writes them there; the others wait.

    Changes of an array stay in the process that makes them. If the disk has no room, each process has a copy.
    """
    # the lock of a worker that ends while it loads is released
    with filelock.FileLock(folder / "lock"):
        if found := read(folder):
            return found
        loaded = load()
        if image_cache.is_mapped(loaded[0].x):
            # each process maps them from the image cache
            return loaded
        # a search needs the rest of the disk
        if 2 * _size(loaded[0]) <= shutil.disk_usage(folder).free:
            with contextlib.suppress(OSError):
                write(folder, *loaded)
    return read(folder) or loaded


def write(folder: Path, split: Split, facts: dict[str, Any]) -> None:
    """Write all arrays, or none.

    Raises:
        OSError: if they cannot be written.
    """
    parts = _arrays(split)
    try:
        for name, array in parts.items():
            np.save(_file(folder, name), array)
        whole = folder / f"{FACTS}.whole"
        whole.write_text(json.dumps({"parts": list(parts), "facts": facts}))
        # this file comes last and is complete at once, so that no process reads incomplete data
        whole.replace(folder / FACTS)
    except OSError:
        for name in parts:
            with contextlib.suppress(OSError):
                _file(folder, name).unlink()
        raise


def read(folder: Path) -> Loaded | None:
    """The data that a process wrote to `folder`, mapped into memory; None if there are none."""
    try:
        known = json.loads((folder / FACTS).read_text())
        arrays: Any = {name: np.asarray(np.load(_file(folder, name), mmap_mode="c")) for name in known["parts"]}
    except OSError:
        return None
    return Split(**arrays), known["facts"]


def _arrays(split: Split) -> dict[str, Any]:
    parts = {field.name: getattr(split, field.name) for field in fields(Split)}
    return {name: array for name, array in parts.items() if array is not None}


def _size(split: Split) -> int:
    """Bytes of all arrays."""
    return sum(array.nbytes for array in _arrays(split).values())


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"
