"""Where the files of a study are now: its runs folder may have been moved or copied since they were written."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

KEPT = ("checkpoints", "epochs")
"""The folders of a study without which it cannot continue."""


def last_part(path: str) -> str:
    """The name of a file or folder, from a path of any system."""
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]


def compared(began: str, now: str) -> tuple[str, str]:
    """Two references `FILE.py:NAME` as they are compared: by the name of the file where it was moved, else whole."""
    old, new = began.partition(".py:")[0] + ".py", now.partition(".py:")[0] + ".py"
    both_there = ".py:" in began and ".py:" in now and os.path.isfile(old) and os.path.isfile(new)  # noqa: PTH113
    if both_there and not os.path.samefile(old, new):  # noqa: PTH121
        return began, now
    return last_part(began), last_part(now)


def own_file(folder: Path, kind: str, stored: str) -> Path:
    """The file that a study in `folder` stored as `stored`. Earlier versions stored absolute paths."""
    return folder / kind / last_part(stored)


def home(folder: Path, info: dict[str, Any]) -> Path:
    """Where the files of a study are: in `folder`, or beside it under the name that the study began with.

    The names differ where the address of the storage changed: the name of the folder depends on it.
    """
    began = folder.parent / last_part(str(info.get("folder", "")) or folder.name)
    return began if not _has_files(folder) and _has_files(began) else folder


def adopt(folder: Path, info: dict[str, Any]) -> None:
    """Copy the files of a study to `folder` if they are under another name. Both copies can be continued then."""
    found = home(folder, info)
    if found != folder:
        for kind in KEPT:
            if (found / kind).is_dir():
                shutil.copytree(found / kind, folder / kind, dirs_exist_ok=True)
        # what was given from Python
        for path in found.glob("data-*/"):
            shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
        for path in found.glob("hypermodel-*.pkl"):
            shutil.copy2(path, folder)


def _has_files(folder: Path) -> bool:
    return any((folder / kind).is_dir() for kind in KEPT)


def is_copy(began: str, folder: Path) -> bool:
    """Whether the study that was in `began` is in `folder` now, and in `began` too."""
    return Path(began).is_dir() and folder.is_dir() and not folder.samefile(began)


def with_current_paths(info: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The facts of a study in `folder`, with paths of data and code that were moved along with it."""
    began = str(info.get("folder", ""))
    if not began or Path(began) == folder:
        return info
    changed = dict(info)
    if "dataset" in info:
        name, options = info["dataset"]
        changed["dataset"] = [name, {**options, **_here(options, "path", began, folder)}]
    if info.get("space", {}).get("model"):
        changed["space"] = {**info["space"], **_here(info["space"], "model", began, folder)}
    return changed


def _here(options: dict[str, Any], key: str, began: str, folder: Path) -> dict[str, str]:
    """The option `key`, an absolute path and perhaps `:NAME`, if it exists at the same place beside the runs folder."""
    path, colon, name = str(options.get(key, "")).partition(":")
    if not Path(path).is_absolute():
        return {}
    here = os.path.realpath(folder / os.path.relpath(path, began))
    return {key: f"{here}{colon}{name}"} if os.path.exists(here) else {}  # noqa: PTH110


def without_path(dataset: list[Any]) -> list[Any]:
    """Name and options of a dataset, without the place of its files."""
    name, options = dataset
    return [name, {key: value for key, value in options.items() if key != "path"}]
