"""Reads an image file as pixels: upright, its first frame, 8 bits, grey or RGB, resized."""

import contextlib
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

Given = TypeVar("Given")
Made = TypeVar("Made")

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# Only these, so that a file with a false suffix cannot reach Pillow's rarer decoders.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"}
RESIZE = ("stretch", "crop", "pad")
"""How an image is resized: stretch its sides, cut out its middle, or add black bars."""

OVERSHOOT = 1.5
"""Images of floats whose largest value is at most this are from 0 to 1."""

ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
AHEAD = 4
"""The most decoded images for each thread that may wait in memory."""


class Header(NamedTuple):
    """Width and height of the upright image, and whether it is grey, read without decoding the file."""

    width: int
    height: int
    grey: bool


def read(file: Path, mode: str, width: int = 0, height: int = 0, resize: str = "stretch") -> NDArray[np.uint8]:
    """One image as uint8 in Pillow's mode `L` or `RGB`, resized to `width` and `height` unless they are 0.

    Raises:
        Exception: of many types for damaged files, and for images so large that Pillow warns of them.
    """
    with strictly():
        return decode(file, mode, width, height, resize)


def decode(
    file: Path, mode: str, width: int, height: int, resize: str, deep: list[int] | None = None
) -> NDArray[np.uint8]:
    """As `read`, but for threads, which must be started within `strictly()`.

    The highest value of a 16-bit image is appended to `deep`.
    """
    # Pillow 13 mixes up the pixels of a rotated TIFF if it opens the file itself
    with file.open("rb") as stream, Image.open(stream, formats=FORMATS) as opened:
        image = plain(ImageOps.exif_transpose(opened), mode, deep)
    if width:
        image = _resized(image, (width, height), resize)
    return np.asarray(image)


def header(file: Path) -> Header | None:
    """The header of a file; None if it cannot be read. It must be called within `strictly()`."""
    with contextlib.suppress(Exception), Image.open(file, formats=FORMATS) as image:
        # some versions of Pillow give the upright size of a TIFF
        width, height = (image.tag_v2[256], image.tag_v2[257]) if isinstance(image, TiffImageFile) else image.size
        # reading the orientation of a PNG would decode its pixels if it comes after them
        known = image.format != "PNG" or "exif" in image.info
        if known and image.getexif().get(ORIENTATION) in TURNED:
            width, height = height, width
        return Header(width, height, image.mode in GREY)
    return None


@contextlib.contextmanager
def strictly() -> Iterator[None]:
    """Inside, an image so large that Pillow warns of it is an error; all other warnings are ignored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def in_threads(function: Callable[[Given], Made], given: Iterable[Given], threads: int) -> Iterator[Made]:
    """The results of `function` in order. The threads are at most AHEAD results each before the caller."""
    waiting: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for each in given:
            waiting.append(pool.submit(function, each))
            if len(waiting) >= AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def plain(image: Any, mode: str, deep: list[int] | None) -> Any:
    """An image of any mode as L or RGB: 16 bits scaled down, transparency shown on white."""
    if image.mode == "F" or image.mode.startswith("I"):
        # Pillow would clip every value above 255
        values = np.asarray(image)
        if deep is not None and values.dtype.kind != "f":
            deep.append(int(values.max(initial=0)))
        image = Image.fromarray(_eight_bits(values))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Values as 8 bits. Whole numbers have 16 bits; floats are 0 to 1, 0 to 255, or 16 bits: the first that fits.

    Interpolation makes some values a little larger than 1.
    """
    if values.dtype.kind != "f":
        return np.rint(values.clip(0, 65535) / 257).astype(np.uint8)
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinity")
    highest = values.max(initial=0)
    top = 1.0 if highest <= OVERSHOOT else 255.0 if highest <= 255 else 65535.0
    return np.rint(values.clip(0, top) * (255 / top)).astype(np.uint8)


def _resized(image: Any, size: tuple[int, int], resize: str) -> Any:
    """The image with this width and height, by bilinear interpolation."""
    if image.size == size or resize == "stretch":
        return image.resize(size, Image.Resampling.BILINEAR)
    if resize == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    if min(image.size) * max(size) > max(image.size):
        return ImageOps.pad(image, size, Image.Resampling.BILINEAR)
    # Pillow cannot make a side shorter than a pixel
    scale = min(size[0] / image.width, size[1] / image.height)
    inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    padded = Image.new(image.mode, size)
    padded.paste(image.resize(inner, Image.Resampling.BILINEAR), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return padded
