"""Stores a dataset that was given from Python in a study's folder, as .npy files."""

import contextlib
import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import DataError
from cnnsearch.data import image_cache
from cnnsearch.data.arrays import limited, reason
from cnnsearch.data.dataset import Dataset

PREFIX = "data-"
"""The prefix of the folder's name; the fingerprint of the data follows it."""

FACTS = "facts.json"


def write(data: Dataset, folder: Path) -> list[Path]:
    """Write `data` to `folder`, completely or not at all. The result lists the new folder; empty if there was one.

    The files of a folder with the same name in another study are linked, not copied.

    Raises:
        DataError: if the disk has no room for it.
    """
    if (folder / FACTS).is_file():
        return []
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        if not _linked(data, folder, partial):
            _save(data, partial)
        shutil.rmtree(folder, ignore_errors=True)
        return [partial.replace(folder)]
    except OSError as error:
        raise DataError(f"The images cannot be written to {folder}: {reason(error)}. Free some space.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read(folder: Path, limit: int = 0) -> Dataset:
    """The dataset that `write` wrote, with mapped arrays and `limit` of its training images (0 for all).

    Raises:
        DataError: if the folder is missing or not complete.
    """
    try:
        facts = json.loads((folder / FACTS).read_text("utf-8"))
        arrays = {name: image_cache.loaded(folder / f"{name}.npy") for name in facts["arrays"]}
        data = Dataset(**{**facts["others"], "classes": tuple(facts["others"]["classes"]), **arrays})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{folder}: the study's images cannot be read ({reason(error)}). Make the call that started it again."
        ) from error
    return limited(data, limit)


def _save(data: Dataset, folder: Path) -> None:
    arrays, facts = _parts(data)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    (folder / FACTS).write_text(facts, "utf-8")


def _parts(data: Dataset) -> tuple[dict[str, NDArray[Any]], str]:
    """The arrays of a dataset by name, and the text of its other fields."""
    # without `home`, the folder that the images were read from: they have files of their own here
    fields = {field.name: getattr(data, field.name) for field in dataclasses.fields(data) if field.name != "home"}
    arrays = {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}
    others: dict[str, Any] = {name: value for name, value in fields.items() if value is not None and name not in arrays}
    return arrays, json.dumps({"arrays": list(arrays), "others": others})


def _linked(data: Dataset, folder: Path, partial: Path) -> bool:
    """Whether another study has the same data, and its files could be linked.

    The folder's name, the fingerprint, knows neither the images without noise nor the facts.
    """
    _, facts = _parts(data)
    for other in folder.parent.parent.glob(f"*/{folder.name}/{FACTS}"):
        with contextlib.suppress(OSError, ValueError):
            if other.read_text("utf-8") != facts:
                continue
            if data.x_clean is not None:
                clean = image_cache.loaded(other.parent / "x_clean.npy")
                if not np.array_equal(clean, data.x_clean):
                    continue
            for file in other.parent.iterdir():
                os.link(file, partial / file.name)
            return True
        for file in partial.iterdir():
            file.unlink()
    return False
