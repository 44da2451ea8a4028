"""Keeps decoded images in files of the runs folder. Workers map them into memory; old ones are removed."""

import contextlib
import hashlib
import json
import mmap
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import DataError
from cnnsearch.data.dataset import Dataset, Images
from cnnsearch.data.splits import Split, split

FOLDER = "data"
"""The name of the folder of decoded images in the runs folder."""

FACTS = "facts.json"

OLD = 14 * 24 * 3600
"""Decoded images that no search has used for so many seconds are removed."""

BLOCK = 16 << 20
"""Bytes that are copied in one step."""

NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)
"""Without this flag Linux does not map a file that is larger than the memory for writing."""


class NoRoom(DataError):
    """The disk has no room for the decoded images."""


def entry(
    home: Path, make: Callable[[Path], dict[str, Any]], is_old: Callable[[dict[str, Any]], bool] = lambda known: False
) -> dict[str, Any]:
    """The facts of the images in `home`. If there are none, or their facts are old, `make` writes the images.

    `make(folder)` writes them to a folder, which becomes `home` when it is complete, and returns their facts. Another
    process that needs the same images waits.

    Raises:
        OSError: if they cannot be written.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    # the lock of a process that is killed is released
    with filelock.FileLock(f"{home}.lock"):
        if (known := _known(home)) is not None and not is_old(known):
            return known
        partial = home.with_name(f".{home.name}.partial")
        for left in (partial, home):
            shutil.rmtree(left, ignore_errors=True)
        try:
            partial.mkdir()
            facts = make(partial)
            (partial / FACTS).write_text(json.dumps(facts))
            partial.replace(home)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return facts


def _known(home: Path) -> dict[str, Any] | None:
    """The facts of the images in `home`, whose time of last use is set; None if the images are not complete."""
    try:
        facts: dict[str, Any] = json.loads((home / FACTS).read_text())
    except (OSError, ValueError):
        return None
    # without permission to write, the images can still be read
    with contextlib.suppress(OSError):
        os.utime(home / FACTS)
    whole = all((home / name).is_file() for name in facts.get("files", ()))
    return facts if whole else None


def sweep(runs: Path) -> None:
    """Remove decoded images that no search has used for OLD seconds, and incomplete ones of killed searches."""
    before = time.time() - OLD
    for home in (runs / FOLDER).glob("*/"):
        with contextlib.suppress(OSError, filelock.Timeout):
            if home.suffix == ".partial":
                with filelock.FileLock(home.with_name(f"{home.stem[1:]}.lock"), timeout=0):
                    shutil.rmtree(home)
                continue
            facts = home / FACTS
            if (facts if facts.exists() else home).stat().st_mtime < before:
                shutil.rmtree(home)
                home.with_name(f"{home.name}.lock").unlink(missing_ok=True)


def mapped(file: Path, shape: tuple[int, ...], dtype: Any = np.uint8) -> NDArray[Any]:
    """The array of a file that holds only its numbers, mapped. Changes of the array are not written to the file."""
    with file.open("rb") as stream:
        return _map(stream.fileno(), shape, dtype)


def loaded(file: Path) -> NDArray[Any]:
    """The array of a .npy file, mapped. Changes of the array are not written to the file.

    Raises:
        Exception: of many types, since NumPy raises many for damaged files.
    """
    found = np.load(file, mmap_mode="r", allow_pickle=False)
    if not isinstance(found, np.memmap) or not found.nbytes:
        return np.array(found)
    # NumPy cannot map a file that is larger than the memory for writing
    with file.open("rb") as stream:
        memory = _private(stream.fileno())
    return np.ndarray(found.shape, found.dtype, memory, found.offset, order="C" if found.flags.c_contiguous else "F")


def _map(file: int, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.frombuffer(_private(file), dtype).reshape(shape)


def _private(file: int) -> mmap.mmap:
    if os.name == "posix":
        flags = mmap.MAP_PRIVATE | (NO_RESERVE if hasattr(mmap, "MAP_POPULATE") else 0)
        return mmap.mmap(file, 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return mmap.mmap(file, 0, access=mmap.ACCESS_COPY)


def is_mapped(images: NDArray[Any]) -> bool:
    """Whether an array is mapped from a file."""
    base: Any = images
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base.obj if isinstance(base, memoryview) else base, mmap.mmap)


def copied(images: NDArray[Any], rows: NDArray[np.intp], file: Path) -> None:
    """Write these rows of `images` to a file, in blocks.

    Raises:
        OSError: if the disk is full.
    """
    with file.open("wb") as stream:
        for some in _blocks(images, rows):
            stream.write(np.ascontiguousarray(images[some]).data)


def _blocks(images: NDArray[Any], rows: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    step = max(1, BLOCK // max(1, images[:1].nbytes))
    yield from (rows[start : start + step] for start in range(0, len(rows), step))


def joined(first: NDArray[Any], second: NDArray[Any], folder: Path | None = None) -> NDArray[Any]:
    """Both one after the other; those that are mapped are written to a temporary file in `folder`.

    Raises:
        OSError: if the disk is full.
    """
    if not (is_mapped(first) and is_mapped(second)):
        return np.concatenate([first, second])
    with tempfile.TemporaryFile(dir=folder) as stream:
        for part in (first, second):
            for some in _blocks(part, np.arange(len(part))):
                stream.write(np.ascontiguousarray(part[some]).data)
        stream.flush()
        return _map(stream.fileno(), (len(first) + len(second), *first.shape[1:]), first.dtype)


def parts(data: Dataset, seed: int, validation: float) -> Split:
    """`split`. If the images of `data` are in files, the images of its parts are in files too.

    Raises:
        DataError: if they cannot be split, or the disk is full.
    """
    if data.home is None:
        return split(data, seed, validation)

    def take(images: Images, rows: NDArray[np.intp]) -> Images:
        name = hashlib.sha256(rows.tobytes() + str(images.shape).encode()).hexdigest()[:16]
        assert data.home is not None
        home = data.home / f"part-{name}"

        def make(partial: Path) -> dict[str, Any]:
            check_room(data.name, partial, len(rows) * images[:1].nbytes)
            copied(images, rows, partial / "images.bin")
            return {"files": ["images.bin"]}

        try:
            entry(home, make)
            return mapped(home / "images.bin", (len(rows), *images.shape[1:]), images.dtype)
        except OSError as error:
            raise DataError(
                f"{data.name}: {home} cannot be written ({error.strerror or error}); expected room for a copy of the "
                "images there. Free some space, or name another disk with --runs."
            ) from error

    return split(data, seed, validation, take)


def check_room(name: str, folder: Path, need: int) -> None:
    """Check that the disk of `folder` has `need` bytes free.

    Raises:
        NoRoom: if it has not.
    """
    free = shutil.disk_usage(folder).free
    if need > free:
        raise NoRoom(
            f"{name}: the decoded images need {need / 2**30:.1f} GiB in {folder.parent}, and {free / 2**30:.1f} are "
            "free there. Make them smaller with --image-size 32, take fewer with `--set dataset.limit=1000`, or name "
            "another disk with --runs."
        )


def fingerprint(data: Dataset) -> str:
    """The dataset's fingerprint. For images in files it is stored beside them, since computing it takes long."""
    if data.home is None:
        return data.fingerprint
    # the labels and groups may come from another file
    parts = (data.groups, data.y, data.y_val, data.y_test)
    others = repr(data.classes).encode() + b"".join(b"|" + (b"" if each is None else each.tobytes()) for each in parts)
    file = data.home / f"fingerprint-{hashlib.sha256(others).hexdigest()[:16]}"
    with contextlib.suppress(OSError):
        return file.read_text()
    found = data.fingerprint
    with contextlib.suppress(OSError):
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        partial.write_text(found)
        partial.replace(file)
    return found
