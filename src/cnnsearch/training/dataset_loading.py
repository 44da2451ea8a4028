"""Loads the dataset that a space names, and describes it for the study."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cnnsearch.core.errors import CnnsearchError, DataError, PluginError
from cnnsearch.data import image_cache, loading, pixel_values
from cnnsearch.data.dataset import Dataset
from cnnsearch.data.splits import Split
from cnnsearch.spaces import plugins
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.definition import NO_DATA, tuples

DRAWN = "drawn"
"""The fact `validation` of a dataset whose validation images are drawn at random; else it is `own`."""


def loading_context(space: spaces.Space, runs: Path, tell: Callable[[int, int], None] | None = None) -> loading.Loading:
    """What a dataset may know about a search of `space` in the folder `runs`; `tell` is called with its progress."""
    found = loading.Loading(cache=runs / image_cache.FOLDER, size=space.picture_size, written=(runs.resolve(),))
    return found._replace(tell=tell) if tell else found


def load_parts(
    space: spaces.Space, catalog: plugins.Catalog, use: spaces.Use, seed: int, context: loading.Loading
) -> tuple[Split, dict[str, Any]]:
    """The parts of the dataset that `use` names, and what the study records about it.

    Raises:
        DataError: if it cannot be read.
        PluginError: if the plugin returns another type.
    """
    with loading.within(context):
        data = load_dataset(catalog, use)
        # the parts are copies: the whole dataset is not kept
        parts = image_cache.parts(data, seed, space.defaults["validation"])
    return parts, dataset_facts(data, parts)


def load_dataset(catalog: plugins.Catalog, use: spaces.Use) -> Dataset:
    """The dataset that `use` names.

    Raises:
        DataError: if it cannot be read; its message is one line.
        PluginError: if the plugin returns another type.
    """
    function = catalog.get("dataset", use.name).function
    assert function is not None
    try:
        data = function(**tuples(use.options))
    except CnnsearchError:
        raise
    except (OSError, ValueError) as error:
        raise DataError(f"dataset {use.name}: {error}") from error
    if not isinstance(data, Dataset):
        raise PluginError(f"dataset '{use.name}' returned {type(data).__name__}; expected a Dataset.")
    return data


def dataset_facts(data: Dataset, parts: Split) -> dict[str, Any]:
    """What the study records about a dataset."""
    labels = {"train": parts.y, "val": parts.y_val}
    images = {"train": len(parts.x), "val": len(parts.x_val), "test": len(parts.x_test)}
    return {
        "name": data.name,
        "fingerprint": image_cache.fingerprint(data),
        "input_shape": list(data.input_shape),
        "classes": list(data.classes),
        "images": images,
        # the images of each class; never counted for test
        "counts": {part: np.bincount(y, minlength=len(data.classes)).tolist() for part, y in labels.items()},
        "dtype": parts.x.dtype.name,
        "value_range": list(pixel_values.value_range(parts.x)),
        "validation": DRAWN if data.x_val is None else "own",
        **(data.facts or {}),
        **({"notes": list(data.notes)} if data.notes else {}),
    }


def own_facts(images: int) -> dict[str, Any]:
    """What the study records about the data of a function that trains for itself: how much it trains on, if known."""
    return {
        "name": NO_DATA,
        "fingerprint": NO_DATA,
        "input_shape": [],
        "classes": [],
        "images": {"train": images},
        "counts": {},
        "dtype": "",
        "value_range": list(pixel_values.BYTES),
    }
