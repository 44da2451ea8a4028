"""Reads images and labels from .npz files and folders of .npy files, with the array names that people use."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import DataError, nearest
from cnnsearch.data import image_cache, labels, pixel_values
from cnnsearch.data.arrays import check_room, make, open_npz, reason, unpacked
from cnnsearch.data.dataset import Dataset
from cnnsearch.data.groups import overlaps

PARTS = {"train": "", "val": "_val", "test": "_test"}
"""The parts of a dataset, with the suffix of their fields in Dataset."""

SPELT = {"images": "x|images?|imgs?|pictures?|data", "labels": "y|labels?|targets?", "groups": "groups?"}
PART = "train(?:ing)?|val(?:id(?:ation)?)?|dev|test(?:ing)?"
NAMES = ("classes", "class_names", "label_names", "target_names")

EXPECTED = (
    "x_train and y_train (or x and y, images and labels, train_images and train_labels), with or without "
    "x_val, y_val, x_test, y_test, classes and groups"
)
KNOWN = ("x", "y", "x_train", "y_train", "x_val", "y_val", "x_test", "y_test")


class Role(NamedTuple):
    """The meaning of an array: `images`, `labels` or `groups` of a part, or `names` of the classes."""

    kind: str
    part: str = ""


def reads(path: Path) -> bool:
    """Whether `path` is a .npz file, or a folder of .npy files.

    In a folder that also has folders, the name of a .npy file must say that it holds images.
    """
    if path.is_dir():
        names = [file.stem for file in _arrays_in(path)]
        return any(role.kind == "images" for role in _known(names).values()) or (bool(names) and not _has_folders(path))
    return path.suffix.lower() == ".npz"


def load(path: Path, name: str) -> Dataset:
    """The dataset in a .npz file or a folder of .npy files.

    Raises:
        DataError: if it cannot be read, or its arrays are not images and labels that fit together.
    """
    with opened(path) as arrays:
        roles = _roles(path, arrays.names)
        content = arrays.take(roles.values()) if roles else {}
        if not roles:
            content = arrays.take(arrays.names)
            roles = _unnamed(path, content)
    for key, array in content.items():
        if not isinstance(array, np.ndarray) or not array.ndim:
            raise DataError(f"{path}: {key} is a single value; expected an array.")
    return _dataset(path, name, roles, content)


def images_of(path: Path) -> NDArray[Any]:
    """The array of images in a .npy or .npz file, for predictions.

    Raises:
        DataError: if it cannot be read, or has several arrays of images.
    """
    if path.suffix.lower() == ".npy":
        return np.asarray(_from_npy(path))
    with opened(path) as arrays:
        found = [key for key, role in _known(arrays.names).items() if role.kind == "images"]
        keys = found or list(arrays.names)
        if len(keys) != 1:
            raise DataError(
                f"{path}: it holds {', '.join(arrays.names) or 'nothing'}; expected one array of images, such as x. "
                "Save a file that holds only the images to predict."
            )
        return np.asarray(arrays.take(keys)[keys[0]])


class Arrays(NamedTuple):
    """The arrays of an open file or folder: their names, and the function `take(names)` that reads some of them."""

    names: tuple[str, ...]
    take: Any


@contextmanager
def opened(path: Path) -> Iterator[Arrays]:
    """The arrays of a .npz file or of a folder of .npy files. The .npy files are mapped into memory, not read.

    Raises:
        DataError: if it cannot be read.
    """
    if not path.is_dir():
        with open_npz(path) as archive:
            yield Arrays(tuple(archive.files), lambda keys: unpacked(path, archive, keys))
        return
    files = {file.stem: file for file in _arrays_in(path)}
    if not files:
        raise DataError(f"{path}: this folder has no .npy files; expected x_train.npy, y_train.npy and the like.")

    def take(keys: Iterable[str]) -> dict[str, Any]:
        found = {key: _from_npy(files[key]) for key in keys}
        # the split copies the mapped arrays
        check_room(path, sum(array.nbytes for array in found.values()))
        return found

    yield Arrays(tuple(files), take)


def _arrays_in(folder: Path) -> list[Path]:
    """The .npy files of a folder, without those in folders inside it."""
    try:
        found = [file for file in folder.iterdir() if file.suffix.lower() == ".npy" and file.is_file()]
    except OSError:
        return []
    return sorted(file for file in found if not file.name.startswith("."))


def _has_folders(folder: Path) -> bool:
    try:
        return any(entry.is_dir() and not entry.name.startswith(".") for entry in folder.iterdir())
    except OSError:
        return False


def _from_npy(file: Path) -> NDArray[Any]:
    try:
        return image_cache.loaded(file)
    # NumPy raises errors of many types for damaged files
    except Exception as error:
        if "allow_pickle" in str(error) or "Python objects" in str(error):
            raise DataError(
                f"{file}: it holds Python objects, which are not read, because they can run code; expected numbers or "
                "text. Save it again, such as `np.save(file, y.astype(str))`."
            ) from error
        raise DataError(
            f"{file}: it cannot be read ({reason(error)}). Write it again with numpy.save from a plain array."
        ) from error


def _role(key: str) -> Role | None:
    """The role of an array with this name, if the name says it: `x_train`, `trainImages`, `val_labels`, `y`."""
    plain = key.lower()
    if plain in NAMES:
        return Role("names")
    for kind, words in SPELT.items():
        for form in (rf"(?:{words})(?:[ _.-]*(?P<part>{PART}))?", rf"(?P<part>{PART})[ _.-]*(?:{words})"):
            if found := re.fullmatch(form, plain):
                return Role(kind, next((p for p in PARTS if (found["part"] or "train").startswith(p)), "val"))
    return None


def _known(names: Iterable[str]) -> dict[str, Role]:
    """The roles of the arrays whose names say it.

    `data` is left out if there is also `images`: in files of scikit-learn it holds the same images, flattened.
    """
    found = {key: role for key in names if (role := _role(key))}
    others = {role for key, role in found.items() if "data" not in key.lower()}
    return {
        key: role
        for key, role in found.items()
        if role.kind != "images" or "data" not in key.lower() or role not in others
    }


def _roles(path: Path, names: tuple[str, ...]) -> dict[Role, str]:
    """The names of a file's arrays by their roles; empty if numpy.savez chose the names (`arr_0`)."""
    found: dict[Role, str] = {}
    known = _known(names)
    for key in names:
        role = known.get(key)
        if role is None:
            # without this error a misspelt x_val would be ignored
            if key.lower().startswith(("x_", "y_")):
                hint = nearest(key.lower(), KNOWN)
                raise DataError(f"{path}: {key!r} is not a known name.{hint} Expected {EXPECTED}.")
        elif role in found and role.kind != "names":
            raise DataError(f"{path}: it holds both {found[role]} and {key}; expected one of them.")
        else:
            found.setdefault(role, key)
    if names and all(re.fullmatch(r"arr_\d+", key) for key in names):
        return {}
    if not {Role("images", "train"), Role("labels", "train")} <= found.keys():
        raise DataError(f"{path}: it holds {', '.join(names) or 'nothing'}; expected {EXPECTED}.")
    for kind, other in (("images", "labels"), ("labels", "images")):
        for part in PARTS:
            if Role(kind, part) in found and Role(other, part) not in found:
                key = found[Role(kind, part)]
                raise DataError(f"{path}: it holds {key} but no {other} of {part}; expected both or neither.")
    return found


def _unnamed(path: Path, content: dict[str, Any]) -> dict[Role, str]:
    """The roles of arrays without names, from their shapes: images and labels, of training and then of test."""
    images = [key for key, array in content.items() if np.ndim(array) >= 3]
    others = [key for key in content if key not in images]
    fits = [len(content[x]) == len(content[y]) for x, y in zip(images, others, strict=False) if np.ndim(content[y])]
    if len(images) not in (1, 2) or len(others) != len(images) or not all(fits) or len(fits) < len(images):
        raise DataError(
            f"{path}: its arrays have no names ({', '.join(content)}). Name them: `np.savez(file, x_train=x, "
            f"y_train=y)`. Expected {EXPECTED}."
        )
    pairs = zip(("train", "test"), images, others, strict=False)
    return {role: key for part, x, y in pairs for role, key in ((Role("images", part), x), (Role("labels", part), y))}


def _dataset(path: Path, name: str, roles: dict[Role, str], content: dict[str, Any]) -> Dataset:
    """The dataset of these arrays. They are checked under their names in the file, for the messages."""
    parts = [part for part in PARTS if Role("images", part) in roles]
    x = {part: content[roles[Role("images", part)]] for part in parts}
    y = {roles[Role("labels", part)]: content[roles[Role("labels", part)]] for part in parts}
    counts = {roles[Role("labels", part)]: len(x[part]) for part in parts}
    names = content[roles[Role("names")]].ravel().tolist() if Role("names") in roles else ()
    if not counts[roles[Role("labels", "train")]]:
        raise DataError(f"{path}: there are no training images.")
    try:
        compact = pixel_values.compact({roles[Role("images", part)]: images for part, images in x.items()})
        coded = labels.coded(y, counts, names)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    given: dict[str, Any] = {f"x{PARTS[part]}": compact[roles[Role("images", part)]] for part in parts}
    given |= {f"y{PARTS[part]}": coded.codes[roles[Role("labels", part)]] for part in parts}
    groups = {part: content[roles[Role("groups", part)]] for part in PARTS if Role("groups", part) in roles}
    if "train" in groups:
        given["groups"] = groups["train"]
        given["notes"] = tuple(
            overlaps({part: own.ravel().tolist() for part, own in groups.items()}, "the array groups")
        )
    return make(str(path), name=name, classes=coded.classes, **given)
