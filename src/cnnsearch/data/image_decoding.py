"""Decodes image files of any sizes to arrays of one size, in threads, and keeps the result in the image cache."""

import hashlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import PIL
from numpy.typing import NDArray

from cnnsearch.core.errors import DataError
from cnnsearch.core.host import free_memory
from cnnsearch.data import image_cache, loading
from cnnsearch.data.arrays import reason
from cnnsearch.data.decoding_report import DecodingReport
from cnnsearch.data.image_files import FORMATS, decode, in_threads, strictly
from cnnsearch.data.image_size import ImageFormat, choose_format, thread_count

VERSION = 4
"""The version of the decoding. Images that another version has kept are decoded again."""


PAUSE = 0.2
"""Seconds between two progress messages."""


class DecodingRequest(NamedTuple):
    """What to decode, and how.

    Attributes:
        root: the folder of all files; messages name it.
        files: a list of files for each part, such as train.
        mode: `L` or `RGB`; empty for grey if all files are grey.
        size: (width, height); None to choose it from the files.
        resize: one of `image_files.RESIZE`.
        skip: whether files that cannot be read are left out.
    """

    root: Path
    files: dict[str, list[Path]]
    mode: str
    size: tuple[int, int] | None
    resize: str
    skip: bool


class Decoded(NamedTuple):
    """The decoded images.

    Attributes:
        images: (n, height, width, channels) for each part.
        read: the indices of the files that could be read, for each part.
        facts: what is recorded with the study.
        notes: lines for the user.
        home: the folder in the image cache; None if the images are in memory.
    """

    images: dict[str, NDArray[np.uint8]]
    read: dict[str, list[int]]
    facts: dict[str, Any]
    notes: tuple[str, ...]
    home: Path | None


def decoded(request: DecodingRequest) -> Decoded:
    """The image files decoded to one size.

    They are kept in the search's image cache. Without a cache, or if it has no room, they are kept in memory.

    Raises:
        DataError: if a file cannot be read, or neither disk nor memory has room for the images.
    """
    if cache := loading.current().cache:
        home = cache / _key(request)
        try:
            stored = image_cache.entry(
                home, lambda folder: _into_files(request, folder), lambda known: _is_old(request, known)
            )
            report = DecodingReport.from_dict(stored)
            images = {
                part: image_cache.mapped(home / f"{part}.bin", (count, *report.shape))
                for part, count in report.counts.items()
            }
            return _found(request, report, images, home)
        except OSError as error:
            full = DataError(
                f"{request.root}: {cache} cannot be written ({error.strerror or error}); expected room for the decoded "
                "pictures there. Free some space, or name another folder with --runs."
            )
        except image_cache.NoRoom as error:
            full = error
        with strictly():
            form = _format(request)
        if 2 * _bytes(request, form) > free_memory():
            raise full
    report, images = _into_memory(request)
    return _found(request, report, images, None)


def _key(request: DecodingRequest) -> str:
    """A key of the files (folder, names, sizes, dates) and of everything that decides how they are decoded."""
    wanted = None if request.size else loading.current().size
    how = [VERSION, PIL.__version__, str(request.root.resolve()), request.mode, request.size, request.resize, wanted]
    files = [
        (part, str(file.relative_to(request.root)), *_stamp(file))
        for part, files in request.files.items()
        for file in files
    ]
    return hashlib.sha256(json.dumps([how, files]).encode()).hexdigest()[:24]


def _stamp(file: Path) -> tuple[int, int, int]:
    """The size, and the times of the last change of content and of permissions."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0, 0
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _is_old(request: DecodingRequest, known: dict[str, Any]) -> bool:
    """Whether a file can be read now that the system refused to read when these images were decoded."""
    return any(_opens(request.files[part][at]) for part, at in known["refused"])


def _opens(file: Path) -> bool:
    """Whether the system reads all bytes of a file."""
    try:
        file.read_bytes()
    except (OSError, MemoryError):
        return False
    return True


def _into_files(request: DecodingRequest, folder: Path) -> dict[str, Any]:
    with strictly():
        form = _format(request)
        image_cache.check_room(str(request.root), folder, _bytes(request, form))
        streams: dict[str, BinaryIO] = {part: (folder / f"{part}.bin").open("wb") for part in request.files}
        try:

            def put(part: str, _: int, pixels: NDArray[np.uint8]) -> None:
                streams[part].write(np.ascontiguousarray(pixels).data)

            report = _decode(request, form, put)
        finally:
            for stream in streams.values():
                stream.close()
    return {**report._asdict(), "files": [f"{part}.bin" for part in request.files]}


def _into_memory(request: DecodingRequest) -> tuple[DecodingReport, dict[str, NDArray[np.uint8]]]:
    with strictly():
        form = _format(request)
        need, free = 2 * _bytes(request, form), free_memory()
        if need > free:
            raise DataError(
                f"{request.root}: {_count(request):,} pictures of {form.width}x{form.height} pixels need "
                f"{need / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} are free. Make them smaller with "
                "--image-size 32, or take fewer with `--set dataset.limit=1000`."
            )
        images = {part: np.empty((len(files), *form.shape), np.uint8) for part, files in request.files.items()}

        def put(part: str, at: int, pixels: NDArray[np.uint8]) -> None:
            images[part][at] = pixels.reshape(form.shape)

        report = _decode(request, form, put)
    return report, {part: images[part][:count] for part, count in report.counts.items()}


def _decode(
    request: DecodingRequest, form: ImageFormat, put: Callable[[str, int, NDArray[np.uint8]], Any]
) -> DecodingReport:
    """Decode each file and call `put(part, index, pixels)`. Files that cannot be read are left out."""
    total, done, last, first = _count(request), 0, 0.0, ""
    refused: list[tuple[str, int]] = []
    deep: list[int] = []
    counts, left = dict.fromkeys(request.files, 0), {part: list[int]() for part in request.files}
    tell = loading.current().tell

    def attempt(file: Path) -> NDArray[np.uint8] | Exception:
        try:
            return decode(file, form.mode, form.width, form.height, request.resize, deep)
        # decoders raise errors of many types for damaged files
        except Exception as error:
            return error

    each = [(part, at) for part, files in request.files.items() for at in range(len(files))]
    pixels = in_threads(attempt, (request.files[part][at] for part, at in each), thread_count())
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
        if (now := time.monotonic()) - last > PAUSE or done == total:
            last = now
            tell(done, total)
    sizes = form.sizes
    one = sizes[0] if len(sizes) == 1 else None
    resized = sizes not in ([], [(form.width, form.height)])
    return DecodingReport(form.shape, counts, left, refused, max(deep, default=0), first, len(sizes), one, resized)


def _is_refused(error: Exception) -> bool:
    """Whether the system is the cause, and not the file's content: errors of decoders have no errno."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)


def _found(
    request: DecodingRequest, report: DecodingReport, images: dict[str, NDArray[np.uint8]], home: Path | None
) -> Decoded:
    """The images with their facts and notes.

    Raises:
        DataError: if a file could not be read, and such files are not to be left out.
    """
    left = {part: set(places) for part, places in report.left.items()}
    missing, notes = sum(map(len, left.values())), list[str]()
    facts: dict[str, Any] = {"resize": request.resize}
    if missing:
        first = next(request.files[part][places[0]] for part, places in report.left.items() if places)
        verb = "is" if missing == 1 else "are"
        what = f"{missing:,} of {_count(request):,} pictures cannot be read"
        where = f"{first} ({report.reason})"
        if not request.skip:
            raise DataError(
                f"{request.root}: {what}; the first is {where}. Expected whole pictures ({', '.join(FORMATS)}). "
                "Save them again, move them away, or leave them out with --skip-unreadable."
            )
        notes.append(f"{what} and {verb} left out; the first is {where}.")
        facts["unreadable"] = missing
    notes += report.notes(_count(request), request.size is not None, request.resize)
    read = {part: [at for at in range(len(files)) if at not in left[part]] for part, files in request.files.items()}
    return Decoded(images, read, facts, tuple(notes), home)


def _format(request: DecodingRequest) -> ImageFormat:
    files = [file for files in request.files.values() for file in files]
    return choose_format(files, request.mode, request.size)


def _count(request: DecodingRequest) -> int:
    return sum(map(len, request.files.values()))


def _bytes(request: DecodingRequest, form: ImageFormat) -> int:
    return _count(request) * math.prod(form.shape)
