"""A dataset loaded and split once for all workers of a search: files that each of them maps into its memory."""

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
"""Folders of data in a study's folder are called so; no other file there is."""

FACTS = "facts.json"

Loaded = tuple[Split, dict[str, Any]]


def sweep(folder: Path) -> None:
    """Remove the data that a killed search left in a study's folder."""
    for left in folder.glob(f"{PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


def taken(folder: Path, load: Callable[[], Loaded]) -> Loaded:
    """The data in `folder`; whoever comes first loads them with `load` and puts them there, the others wait for it.

    What is written to such an array stays with the process that wrote it. Where there is no room, each has its own.
    """
    # a worker that ends while it loads gives the lock back
    with filelock.FileLock(folder / "lock"):
        if found := _mapped(folder):
            return found
        loaded = load()
        if image_cache.is_mapped(loaded[0].x):
            # each process maps them from where they are kept
            return loaded
        _put(folder, *loaded)
    return _mapped(folder) or loaded


def _put(folder: Path, split: Split, facts: dict[str, Any]) -> None:
    """Write all of it, or nothing: with half the disk's space gone for nothing, a search could not write its trials."""
    parts = {field.name: getattr(split, field.name) for field in fields(Split)}
    parts = {name: array for name, array in parts.items() if array is not None}
    try:
        if 2 * sum(array.nbytes for array in parts.values()) > shutil.disk_usage(folder).free:
            return
        for name, array in parts.items():
            np.save(_file(folder, name), array)
        whole = folder / f"{FACTS}.whole"
        whole.write_text(json.dumps({"parts": list(parts), "facts": facts}))
        # the last, and at once, so that nothing is taken that was not written to its end
        whole.replace(folder / FACTS)
    except OSError:
        for name in parts:
            with contextlib.suppress(OSError):
                _file(folder, name).unlink()


def _mapped(folder: Path) -> Loaded | None:
    """What was put there, if it was."""
    try:
        known = json.loads((folder / FACTS).read_text())
        arrays: Any = {name: np.asarray(np.load(_file(folder, name), mmap_mode="c")) for name in known["parts"]}
    except OSError:
        return None
    return Split(**arrays), known["facts"]


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"
