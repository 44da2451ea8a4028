"""Picture files of any sizes decoded to images of one size: in threads, in a stream, into files that are kept."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import PIL
from numpy.typing import NDArray

from cnnsearch.core.errors import DataError
from cnnsearch.core.host import cores, free_memory
from cnnsearch.data import image_cache, loading
from cnnsearch.data.arrays import reason
from cnnsearch.data.image_files import FORMATS, Header, decode, header, in_threads, strictly

CAP = 128
"""Pixels a side at most, where the size follows from pictures of many sizes."""

SAME_CAP = 512
"""Pixels a side at most, where all pictures have one size: they were prepared."""

VERSION = 3
"""Of the decoding: what an earlier one has kept is decoded anew."""

MOST_THREADS = 16

PAUSE = 0.2
"""Seconds between two messages about how far it is."""

DARK = 4096
"""If pictures of 16 bits have no value as high as this, they keep few grey levels as 8 bits."""

WORDS = {"stretch": "stretched", "crop": "cropped", "pad": "padded"}


class Asked(NamedTuple):
    """What is to be decoded, and how.

    Attributes:
        root: the folder that errors and names of files start from.
        files: one list for each part, such as train.
        mode: `L`, `RGB`, or nothing: grey if all are.
        size: width and height, or nothing: they are chosen.
        resize: one of `picture_files.RESIZE`.
        skip: whether files that cannot be read are left out.
    """

    root: Path
    files: dict[str, list[Path]]
    mode: str
    size: tuple[int, int] | None
    resize: str
    skip: bool


class Decoded(NamedTuple):
    """The images of each part; which files of it could be read; what is recorded and told; where they are kept."""

    images: dict[str, NDArray[np.uint8]]
    read: dict[str, list[int]]
    facts: dict[str, Any]
    notes: tuple[str, ...]
    home: Path | None


class Chosen(NamedTuple):
    """Pillow's mode and the size of the images, and how many different sizes the files have."""

    mode: str
    width: int
    height: int
    sizes: list[tuple[int, int]]

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return self.height, self.width, 3 if self.mode == "RGB" else 1


def decoded(asked: Asked) -> Decoded:
    """The pictures as images of one size.

    They are kept in the cache that the search names; without a cache, or where it has no room, in memory.

    Raises:
        DataError: if a picture cannot be read, or neither disk nor memory holds them.
    """
    if cache := loading.current().cache:
        home = cache / _key(asked)
        try:
            known = image_cache.entry(
                home, lambda folder: _into_files(asked, folder), lambda known: _is_old(asked, known)
            )
            shape = tuple(known["shape"])
            images = {
                part: image_cache.mapped(home / f"{part}.bin", (n, *shape)) for part, n in known["counts"].items()
            }
            return _found(asked, known, images, home)
        except OSError as error:
            full = DataError(
                f"{asked.root}: {cache} cannot be written ({error.strerror or error}); expected room for the decoded "
                "pictures there. Free some space, or name another folder with --runs."
            )
        except image_cache.NoRoom as error:
            full = error
        with strictly():
            chosen = _chosen(asked)
        if 2 * _bytes(asked, chosen) > free_memory():
            raise full
    known, images = _into_memory(asked)
    return _found(asked, known, images, None)


def _key(asked: Asked) -> str:
    """Names the images: by their files' folder, names, sizes and dates, and all that decides how they are decoded."""
    wanted = None if asked.size else loading.current().size
    how = [VERSION, PIL.__version__, str(asked.root.resolve()), asked.mode, asked.size, asked.resize, wanted]
    files = [
        (part, str(file.relative_to(asked.root)), *_stamp(file))
        for part, files in asked.files.items()
        for file in files
    ]
    return hashlib.sha256(json.dumps([how, files]).encode()).hexdigest()[:24]


def _stamp(file: Path) -> tuple[int, int, int]:
    """Size, and when content and permissions were changed last."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0, 0
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _is_old(asked: Asked, known: dict[str, Any]) -> bool:
    """Whether a file can be read now that the system did not give when these images were decoded."""
    return any(_opens(asked.files[part][at]) for part, at in known["refused"])


def _opens(file: Path) -> bool:
    """Whether the system gives all bytes of a file."""
    try:
        file.read_bytes()
    except (OSError, MemoryError):
        return False
    return True


def _into_files(asked: Asked, folder: Path) -> dict[str, Any]:
    with strictly():
        chosen = _chosen(asked)
        image_cache.check_room(str(asked.root), folder, _bytes(asked, chosen))
        streams: dict[str, BinaryIO] = {part: (folder / f"{part}.bin").open("wb") for part in asked.files}
        try:

            def put(part: str, _: int, pixels: NDArray[np.uint8]) -> None:
                streams[part].write(np.ascontiguousarray(pixels).data)

            known = _decode(asked, chosen, put)
        finally:
            for stream in streams.values():
                stream.close()
    return {**known, "files": [f"{part}.bin" for part in asked.files]}


def _into_memory(asked: Asked) -> tuple[dict[str, Any], dict[str, NDArray[np.uint8]]]:
    with strictly():
        chosen = _chosen(asked)
        need, free = 2 * _bytes(asked, chosen), free_memory()
        if need > free:
            raise DataError(
                f"{asked.root}: {_count(asked):,} pictures of {chosen.width}x{chosen.height} pixels need "
                f"{need / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} are free. Make them smaller with "
                "--image-size 32, or take fewer with `--set dataset.limit=1000`."
            )
        images = {part: np.empty((len(files), *chosen.shape), np.uint8) for part, files in asked.files.items()}

        def put(part: str, at: int, pixels: NDArray[np.uint8]) -> None:
            images[part][at] = pixels.reshape(chosen.shape)

        known = _decode(asked, chosen, put)
    return known, {part: images[part][:count] for part, count in known["counts"].items()}


def _decode(asked: Asked, chosen: Chosen, put: Callable[[str, int, NDArray[np.uint8]], Any]) -> dict[str, Any]:
    """Decode each picture and `put` it: its part, its place there, its pixels. What cannot be read is left out."""
    total, done, told, first = _count(asked), 0, 0.0, ""
    refused: list[tuple[str, int]] = []
    deep: list[int] = []
    counts, left = dict.fromkeys(asked.files, 0), {part: list[int]() for part in asked.files}
    tell = loading.current().tell

    def attempt(file: Path) -> NDArray[np.uint8] | Exception:
        try:
            return decode(file, chosen.mode, chosen.width, chosen.height, asked.resize, deep)
        # decoders raise nearly anything on damaged bytes
        except Exception as error:
            return error

    each = [(part, at) for part, files in asked.files.items() for at in range(len(files))]
    pixels = in_threads(attempt, (asked.files[part][at] for part, at in each), _threads())
    for (part, at), picture in zip(each, pixels, strict=True):
        if isinstance(picture, Exception):
            first = first or reason(picture)
            left[part].append(at)
            if _is_refused(picture):
                refused.append((part, at))
        else:
            put(part, counts[part], picture)
            counts[part] += 1
        done += 1
        if (now := time.monotonic()) - told > PAUSE or done == total:
            told = now
            tell(done, total)
    sizes = chosen.sizes
    resized = sizes not in ([], [(chosen.width, chosen.height)])
    about = {"sizes": len(sizes), "one": sizes[0] if len(sizes) == 1 else None, "resized": resized}
    found = {"shape": chosen.shape, "counts": counts, "left": left, "refused": refused, "deep": max(deep, default=0)}
    return {**found, "reason": first, **about}


def _is_refused(error: Exception) -> bool:
    """Whether the system, and not the file's content, is at fault: what decoders raise has no number."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)


def _found(asked: Asked, known: dict[str, Any], images: dict[str, NDArray[np.uint8]], home: Path | None) -> Decoded:
    """The images with what is told of them.

    Raises:
        DataError: if a picture could not be read, and shall not be left out.
    """
    left = {part: set(places) for part, places in known["left"].items()}
    missing, notes = sum(map(len, left.values())), list[str]()
    facts: dict[str, Any] = {"resize": asked.resize}
    if missing:
        first = next(asked.files[part][places[0]] for part, places in known["left"].items() if places)
        verb = "is" if missing == 1 else "are"
        what = f"{missing:,} of {_count(asked):,} pictures cannot be read"
        where = f"{first} ({known['reason']})"
        if not asked.skip:
            raise DataError(
                f"{asked.root}: {what}; the first is {where}. Expected whole pictures ({', '.join(FORMATS)}). "
                "Save them again or move them away, or go on without them with --skip-unreadable."
            )
        notes.append(f"{what} and {verb} left out; the first is {where}.")
        facts["unreadable"] = missing
    if known["resized"]:
        notes.append(_resized(asked, known))
    if 0 < known["deep"] < DARK:
        levels = round(known["deep"] / 257) + 1
        notes.append(
            f"The pictures of 16 bits have values up to {known['deep']:,} of 65,535: as 8 bits they keep {levels} grey "
            f"level{'s' * (levels > 1)}. Bring them as a .npz file or .npy files, which keep their values."
        )
    read = {part: [at for at in range(len(files)) if at not in left[part]] for part, files in asked.files.items()}
    return Decoded(images, read, facts, tuple(notes), home)


def _resized(asked: Asked, known: dict[str, Any]) -> str:
    height, width, _ = known["shape"]
    one, count = known["one"], _count(asked)
    sizes = f"{one[0]}x{one[1]}" if one else f"{known['sizes']:,} sizes"
    other = "" if asked.size else " --image-size decides otherwise."
    return f"{count:,} pictures of {sizes}: resized to {width}x{height} ({WORDS[asked.resize]}).{other}"


def _chosen(asked: Asked) -> Chosen:
    """Mode and size by the headers, so that nothing is decoded for it."""
    files = [file for files in asked.files.values() for file in files]
    headers = [found for found in in_threads(header, files, _threads()) if found is not None]
    mode = asked.mode or ("L" if all(found.grey for found in headers) else "RGB")
    sizes = sorted({(found.width, found.height) for found in headers})
    return Chosen(mode, *_size(asked.size, loading.current().size, headers, sizes), sizes)


def _size(
    asked: tuple[int, int] | None,
    wanted: tuple[int, int] | None,
    headers: Sequence[Header],
    sizes: Sequence[tuple[int, int]],
) -> tuple[int, int]:
    """What is asked for; else what the space wants; else the one size of all pictures; else the median within CAP."""
    if decided := asked or wanted:
        return decided
    if len(sizes) == 1 and max(sizes[0]) <= SAME_CAP:
        return sizes[0]
    if not headers:
        return 1, 1
    width, height = (float(np.median(sides)) for sides in zip(*(found[:2] for found in headers), strict=True))
    scale = min(1.0, CAP / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _threads() -> int:
    return min(MOST_THREADS, cores())


def _count(asked: Asked) -> int:
    return sum(map(len, asked.files.values()))


def _bytes(asked: Asked, chosen: Chosen) -> int:
    return _count(asked) * math.prod(chosen.shape)
