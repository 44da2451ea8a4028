"""Reads the named datasets from .npz files, and makes smaller or noisy versions of any dataset."""

import contextlib
import io
import os
import socket
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import DataError
from cnnsearch.core.host import free_memory
from cnnsearch.data import pixel_values
from cnnsearch.data.dataset import Dataset

KEYS = ("x_train", "y_train", "x_test", "y_test")
PATIENCE = 10.0
"""Seconds to wait for a server that sends nothing; Keras itself waits for minutes."""


def load_named(name: str, classes: tuple[str, ...], limit: int = 0) -> Dataset:
    """The dataset `name` from NAME.npz in CNNSEARCH_DATA or in Keras' cache; else Keras downloads it.

    Raises:
        DataError: if it is in none of these places, or its arrays are not as expected.
    """
    places = _places()
    # for a folder without permission os.access returns False, but Path.is_file raises
    path = next((file for place in places if os.access(file := place / f"{name}.npz", os.F_OK)), None)
    arrays = _from_keras(name, places) if path is None else _from_file(path)
    parts = {"x": "x_train", "y": "y_train", "x_test": "x_test", "y_test": "y_test"}
    content = {part: arrays[key] for part, key in parts.items()}
    data = make(str(path or f"keras.datasets.{name}"), name=name, classes=classes, **content)
    return limited(data, limit)


def make(where: str, name: str, **content: Any) -> Dataset:
    """A Dataset. If its content is not valid, the error says `where` it came from.

    Raises:
        DataError: if its content is not valid.
    """
    try:
        return Dataset(name=name, **content)
    except DataError as error:
        raise DataError(f"{where}: {error.message.removeprefix(f'{name}: ')}") from error


def limited(data: Dataset, limit: int) -> Dataset:
    """`data` with `limit` of its training images, with the same shares of the classes; 0 keeps all images.

    Raises:
        DataError: if there are fewer images, or `limit` is below the number of classes.
    """
    if not limit:
        return data
    kept = pick(data.name, data.y, limit)
    clean = data.x_clean[kept] if data.x_clean is not None else None
    groups = data.groups[kept] if data.groups is not None else None
    return replace(data, x=data.x[kept], y=data.y[kept], x_clean=clean, groups=groups, home=None)


def noisy(data: Dataset, stddev: float, seed: int) -> Dataset:
    """`data` with Gaussian noise on all images of all parts; `x_clean` has the images of `x` without noise.

    Args:
        data: the dataset.
        stddev: the standard deviation as a fraction of the range of the pixels; values outside the range are clipped.
        seed: the random seed; the same seed gives the same noise.

    Raises:
        DataError: if `stddev` is negative.
    """
    if stddev < 0:
        raise DataError(f"{data.name}: noise={stddev}; expected 0 or more, such as 0.5 of the range of pixels.")
    if not stddev:
        return data
    generator = np.random.default_rng(seed)
    parts = {part: getattr(data, part) for part in ("x", "x_val", "x_test")}
    values, given = pixel_values.value_range(data.x), {part: x for part, x in parts.items() if x is not None}
    changed: dict[str, Any] = {part: _with_noise(x, stddev, generator, values) for part, x in given.items()}
    return replace(data, x_clean=data.x, home=None, **changed)


def _with_noise(
    x: NDArray[Any], stddev: float, generator: np.random.Generator, values: pixel_values.Range
) -> NDArray[Any]:
    low, high = values
    noisy = np.empty_like(x)
    # in parts: as floats, all images together would need four times their memory
    for start in range(0, len(x), 4096):
        part = x[start : start + 4096]
        noise = generator.standard_normal(part.shape, "float32") * ((high - low) * stddev)
        changed = part + noise
        noisy[start : start + 4096] = np.clip(changed if x.dtype.kind == "f" else np.rint(changed), low, high)
    return noisy


def pick(name: str, labels: NDArray[Any], limit: int) -> NDArray[np.intp]:
    """The indices of the `limit` images to keep: always the same ones, sorted, with the same shares of the classes."""
    _, label, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if limit and not len(counts) <= limit <= len(labels):
        raise DataError(
            f"{name}: limit={limit} is not possible; expected {len(counts)} (one image of each class) to "
            f"{len(labels)} (all training images). Set it with `--set dataset.limit=N`; 0 uses all."
        )
    # The i-th of the n images of a class gets the place i/n. The first images by place then have every class, and the
    # classes keep their shares.
    shuffled = np.random.default_rng(0).permutation(len(labels))
    place = np.empty(len(labels))
    for kind, count in enumerate(counts):
        place[shuffled[label[shuffled] == kind]] = np.arange(count) / count
    return np.sort(np.argsort(place, kind="stable")[: limit or None])


@contextlib.contextmanager
def open_npz(path: Path) -> Iterator[Any]:
    """The arrays of a .npz file by name.

    Raises:
        DataError: if the file cannot be read.
    """
    if not os.access(path, os.F_OK):
        raise DataError(f"{path}: there is no such file; expected a .npz file, as numpy.savez writes it.")
    # is_zipfile returns False for a file without permission; np.load says why
    if not path.is_file() or (os.access(path, os.R_OK) and not zipfile.is_zipfile(path)):
        raise DataError(
            f"{path}: this is not a complete .npz file. Write it again with numpy.savez, or delete it and "
            "download it again."
        )
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            yield archive
    except DataError:
        raise
    # NumPy and zipfile raise errors of many types for damaged files
    except Exception as error:
        raise DataError(
            f"{path}: it cannot be read ({reason(error)}). Write it again with numpy.savez from plain "
            "arrays of numbers, or delete it and download it again."
        ) from error


def unpacked(path: Path, archive: Any, keys: Iterable[str]) -> dict[str, Any]:
    """These arrays of an open .npz file. Compressed arrays may be much larger than the file.

    Raises:
        DataError: if there is not enough memory for them and for the copy that the split makes.
    """
    wanted = tuple(keys)
    # zipfile never gives more bytes than this, even if the header of an array says so
    size = sum(part.file_size for part in archive.zip.infolist() if part.filename.removesuffix(".npy") in wanted)
    check_room(path, 2 * size)
    return {key: _plain(path, archive, key) for key in wanted}


def _plain(path: Path, archive: Any, key: str) -> Any:
    """One array of an open .npz file. Python objects in it are an error, since reading them may run code."""
    try:
        return archive[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise DataError(
            f"{path}: {key} holds Python objects, which are not read, because they can run code; expected numbers or "
            f"text. Save it as such: `{key}.astype(str)`, or `np.stack({key})` for images."
        ) from error


def check_room(path: Path, need: int) -> None:
    """Check that `need` bytes of memory are free.

    Raises:
        DataError: if they are not.
    """
    free = free_memory()
    if need > free:
        raise DataError(
            f"{path}: its arrays need {need / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} are free. Save fewer "
            "images or smaller ones, as uint8."
        )


def expanded(path: str) -> Path:
    """`path` with `~` replaced by the home folder; Path.expanduser would raise for a `~name` of an unknown user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def reason(error: BaseException) -> str:
    """An exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def _places() -> list[Path]:
    cache = expanded(os.environ.get("KERAS_HOME", "~/.keras")) / "datasets"
    named = os.environ.get("CNNSEARCH_DATA")
    if not named:
        return [cache]
    folder = expanded(named)
    if not folder.is_dir():
        raise DataError(
            f"CNNSEARCH_DATA names {folder}, which is not a folder; expected a folder of NAME.npz files. "
            "Set it to one, or unset it."
        )
    return [folder, cache]


def _from_file(path: Path) -> dict[str, Any]:
    with open_npz(path) as archive:
        if missing := [key for key in KEYS if key not in archive.files]:
            raise DataError(
                f"{path}: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; expected "
                f"{', '.join(KEYS)}, but it holds {', '.join(archive.files) or 'nothing'}."
            )
        return unpacked(path, archive, KEYS)


def _from_keras(name: str, places: list[Path]) -> dict[str, Any]:
    import keras

    try:
        with short_silent_download():
            train, test = getattr(keras.datasets, name).load_data()
    # Keras raises a bare Exception if a download fails
    except Exception as error:
        raise DataError(
            f"{name}: there is no {name}.npz in {' or '.join(map(str, places))}, and Keras could not "
            f"download it ({reason(error)}). Put {name}.npz into a folder that CNNSEARCH_DATA names, or into "
            f"{places[-1]}, or connect to the network; `--space digits_cnn` needs no file."
        ) from error
    images = [train[0], test[0]]
    if images[0].ndim == 4 and keras.config.image_data_format() == "channels_first":
        images = [np.moveaxis(part, 1, -1) for part in images]
    return dict(zip(KEYS, (images[0], train[1], images[1], test[1]), strict=True))


@contextlib.contextmanager
def short_silent_download() -> Iterator[None]:
    """Inside, downloads print nothing, and fail after PATIENCE seconds without an answer."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(before)
