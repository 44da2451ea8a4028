"""A dataset loaded and split once for all workers of a search: files that each of them maps into its memory."""

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from cnnsearch.data import Split

PARTS = tuple(field.name for field in fields(Split))
FACTS = "facts.json"

Loaded = tuple[Split, dict[str, Any]]


def prepare(folder: Path) -> None:
    """An empty `folder` for the data; where it cannot be made, each worker will load them for itself."""
    clear(folder)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True)


def clear(folder: Path) -> None:
    """Remove what is there."""
    shutil.rmtree(folder, ignore_errors=True)


def taken(folder: Path, load: Callable[[], Loaded]) -> Loaded:
    """The data in `folder`; whoever comes first loads them with `load` and puts them there, the others wait for it.

    What is written to such an array stays with the process that wrote it. Where the folder cannot be used, the data are
    loaded and not shared.
    """
    import filelock

    found: Loaded | None = None
    # a worker that ends while it loads gives the lock back
    with contextlib.suppress(OSError), filelock.FileLock(folder / "lock"):
        if not (folder / FACTS).exists():
            found = load()
            _put(folder, *found)
        return _mapped(folder)
    return found or load()


def _put(folder: Path, split: Split, facts: dict[str, Any]) -> None:
    for part in PARTS:
        if (array := getattr(split, part)) is not None:
            np.save(folder / f"{part}.npy", array)
    # the last, so that nothing is taken that was not written to its end
    (folder / FACTS).write_text(json.dumps(facts))


def _mapped(folder: Path) -> Loaded:
    arrays: dict[str, Any] = dict.fromkeys(PARTS)
    for path in folder.glob("*.npy"):
        arrays[path.stem] = np.asarray(np.load(path, mmap_mode="c"))
    return Split(**arrays), json.loads((folder / FACTS).read_text())
