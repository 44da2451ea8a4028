"""Finds the files of a study after its runs folder was moved or copied."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

from cnnsearch.data import stored
from cnnsearch.spaces import data_files, pickled_model

KEPT = ("checkpoints", "epochs")
"""The folders of a study without which it cannot continue."""


def last_part(path: str) -> str:
    """The last part of a path of Windows or Unix."""
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]


def compared(began: str, now: str) -> tuple[str, str]:
    """The parts of two references `FILE.py:NAME` to compare: without the folder if the file was moved."""
    old, new = began.partition(".py:")[0] + ".py", now.partition(".py:")[0] + ".py"
    both_there = ".py:" in began and ".py:" in now and os.path.isfile(old) and os.path.isfile(new)  # noqa: PTH113
    if both_there and not os.path.samefile(old, new):  # noqa: PTH121
        return began, now
    return last_part(began), last_part(now)


def own_file(folder: Path, kind: str, stored: str) -> Path:
    """The file that a study in `folder` stored as `stored`. Earlier versions stored absolute paths."""
    return folder / kind / last_part(stored)


def home(folder: Path, info: dict[str, Any]) -> Path:
    """The folder with the files of a study: `folder`, or the folder beside it with the study's first name.

    The names differ if the address of the storage changed, because the name of the folder depends on it.
    """
    began = folder.parent / last_part(str(info.get("folder", "")) or folder.name)
    return began if not _has_files(folder) and _has_files(began) else folder


def adopt(folder: Path, info: dict[str, Any]) -> None:
    """Copy the files of a study to `folder` if they are under another name. Both copies can be resumed."""
    found = home(folder, info)
    if found != folder:
        for kind in KEPT:
            if (found / kind).is_dir():
                shutil.copytree(found / kind, folder / kind, dirs_exist_ok=True)
        # what was passed from Python: arrays, models, and the arrays of models
        for path in found.glob(f"{stored.PREFIX}*/"):
            shutil.copytree(path, folder / path.name, dirs_exist_ok=True)
        for pattern in (f"{pickled_model.PREFIX}*{pickled_model.SUFFIX}", f"{data_files.PREFIX}*"):
            for path in found.glob(pattern):
                shutil.copy2(path, folder)


def _has_files(folder: Path) -> bool:
    return any((folder / kind).is_dir() for kind in KEPT)


def is_copy(began: str, folder: Path) -> bool:
    """Whether `folder` is a copy of the study in `began`, which still exists."""
    return Path(began).is_dir() and folder.is_dir() and not folder.samefile(began)


def with_current_paths(info: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The stored facts of a study in `folder`, with the current paths of data and code that were moved with it."""
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
