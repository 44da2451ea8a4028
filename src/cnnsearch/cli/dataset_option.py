"""The options of `run` that say which data to use: `--dataset`, and those for folders of pictures."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.host import process_restored
from cnnsearch.spaces import plugins
from cnnsearch.spaces.decorators import READS
from cnnsearch.spaces.plugin_options import options
from cnnsearch.spaces.space import Space, Use


def dataset_use(text: str, known: plugins.Catalog) -> Use:
    """The dataset that `--dataset` names: by name (`mnist`), by name and path (`npz:PATH`), or by a path alone.

    Raises:
        CnnsearchError: if there is no such dataset or path, or not exactly one dataset can read the path.
    """
    name, colon, path = text.partition(":")
    if text in known.names("dataset"):
        return Use(text, {})
    # C:\data is a path
    if colon and name in known.names("dataset"):
        return Use(name, {"path": path and real_path(path)})
    if os.path.lexists(given := real_path(text)):
        return Use(_reader(text, Path(given), known), {"path": given})
    if any(mark in text for mark in (os.sep, "/", "\\")) or text.startswith("~") or Path(text).suffix:
        raise CnnsearchError(
            f"--dataset {text}: there is no such file or folder. Expected a dataset's name (`cnnsearch datasets` lists "
            "them), a .npz file, a folder of .npy files, or a folder of pictures (PATH/CLASS/*)."
        )
    return Use(name, {})


def with_picture_options(space: Space, known: plugins.Catalog, given: Mapping[str, Any]) -> Space:
    """`space` with more options of its dataset: `image_size`, `skip_unreadable` and `group_by`.

    Args:
        given: the three options by name. An empty value is no option.

    Raises:
        CnnsearchError: if the dataset has no such option.
    """
    asked = {name: value for name, value in given.items() if value}
    if not asked or space.dataset is None:
        return space
    if space.trains_itself:
        option = next(iter(asked)).replace("_", "-")
        raise CnnsearchError(f"--{option}: {space.where or space.name} reads its own data. Leave it out.")
    function = known.get("dataset", space.dataset.name).function
    assert function is not None
    for name in asked:
        if name not in options(function):
            other = " A .npz file may hold an array 'groups'." if name == "group_by" else ""
            raise CnnsearchError(
                f"--{name.replace('_', '-')} is for folders of pictures; the dataset '{space.dataset.name}' "
                f"has no option '{name}'.{other}"
            )
    return replace(space, dataset=Use(space.dataset.name, {**space.dataset.options, **asked}))


def _reader(text: str, path: Path, known: plugins.Catalog) -> str:
    """The name of the one dataset that can read what is at `path`."""
    readers = [entry.name for entry in known.of("dataset") if _reads(entry.function, path)]
    if len(readers) == 1:
        return readers[0]
    if readers:
        either = " or ".join(f"{name}:{text}" for name in readers)
        raise CnnsearchError(f"--dataset {text}: {' and '.join(readers)} can read it. Choose one: {either}.")
    raise CnnsearchError(
        f"--dataset {text}: no dataset reads it. Expected a .npz file, a folder of .npy files such as x_train.npy and "
        "y_train.npy, or a folder of pictures (PATH/CLASS/*)."
    )


def _reads(function: Any, path: Path) -> bool:
    reads = getattr(function, READS, None)
    try:
        with process_restored():
            return bool(reads and reads(path))
    # a plugin's function may raise anything for a path of another kind
    except Exception:
        return False


def real_path(path: str) -> str:
    """The absolute path, with `~` and links resolved; `path` itself if it cannot be one, as with a null character."""
    try:
        # unlike Path's own methods, these do not raise for an unknown user's home or for a circle of links
        return os.path.realpath(os.path.expanduser(path))  # noqa: PTH111
    except ValueError:
        return path
