"""Picture files of a few formats as pixels: upright, their first frame, in eight bits, grey or RGB, of one size."""

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
# Named, so that a file that only calls itself .png cannot reach Pillow's rarer decoders.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"}
RESIZE = ("stretch", "crop", "pad")
"""How a picture gets its size: its sides are stretched; its middle is cut out; black bars are added."""

ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
AHEAD = 4
"""Pictures that wait to be taken, for each thread: memory holds no more decoded ones."""


class Header(NamedTuple):
    """What a picture file says of itself before it is decoded: upright width and height, and whether it is grey."""

    width: int
    height: int
    grey: bool


def read(file: Path, mode: str, width: int = 0, height: int = 0, resize: str = "stretch") -> NDArray[np.uint8]:
    """One picture as uint8, in Pillow's mode `L` or `RGB`; `width` times `height`, or as it is if they are 0.

    Raises:
        Exception: nearly any, since decoders raise nearly anything on damaged bytes; Pillow's bombs are refused.
    """
    with strictly():
        return decode(file, mode, width, height, resize)


def decode(
    file: Path, mode: str, width: int, height: int, resize: str, deep: list[int] | None = None
) -> NDArray[np.uint8]:
    """As `read`, for threads: whoever starts them does so within `strictly()`.

    The highest value of a picture of 16 bits is added to `deep`.
    """
    # Pillow 13 mixes up the pixels of a TIFF on its side if it opens the file itself
    with file.open("rb") as stream, Image.open(stream, formats=FORMATS) as opened:
        image = _plain(ImageOps.exif_transpose(opened), mode, deep)
    if width:
        image = _resized(image, (width, height), resize)
    return np.asarray(image)


def header(file: Path) -> Header | None:
    """What the file's header says, within `strictly()`; None for one that cannot be read."""
    with contextlib.suppress(Exception), Image.open(file, formats=FORMATS) as image:
        # some versions of Pillow give the size of a TIFF upright already
        width, height = (image.tag_v2[256], image.tag_v2[257]) if isinstance(image, TiffImageFile) else image.size
        # asking a PNG for a note of its turn that stands behind the pixels would decode it
        known = image.format != "PNG" or "exif" in image.info
        if known and image.getexif().get(ORIENTATION) in TURNED:
            width, height = height, width
        return Header(width, height, image.mode in GREY)
    return None


@contextlib.contextmanager
def strictly() -> Iterator[None]:
    """A picture so large that Pillow warns of a bomb is an error; remarks about metadata are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def in_threads(function: Callable[[Given], Made], given: Iterable[Given], threads: int) -> Iterator[Made]:
    """`function` of each in order, so many at a time and only a few ahead of who takes them."""
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


def _plain(image: Any, mode: str, deep: list[int] | None) -> Any:
    """An image of any mode as L or RGB: 16 bits scaled down, transparency shown on white."""
    if image.mode == "F" or image.mode.startswith("I"):
        # Pillow's own conversion would clip every value above 255.
        values = np.asarray(image)
        if deep is not None and values.dtype.kind != "f":
            deep.append(int(values.max(initial=0)))
        image = Image.fromarray(_eight_bits(values))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Whole numbers as 16 bits; floats as 0 to 1, else as 0 to 255, else as 16 bits, whichever first holds them."""
    if values.dtype.kind != "f":
        return np.rint(values.clip(0, 65535) / 257).astype(np.uint8)
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinity")
    top = next((top for top in (1.0, 255.0) if values.max(initial=0) <= top), 65535.0)
    return np.rint(values.clip(0, top) * (255 / top)).astype(np.uint8)


def _resized(image: Any, size: tuple[int, int], resize: str) -> Any:
    """The image with this width and height, by bilinear interpolation."""
    if image.size == size or resize == "stretch":
        return image.resize(size, Image.Resampling.BILINEAR)
    if resize == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    if min(image.size) * max(size) > max(image.size):
        return ImageOps.pad(image, size, Image.Resampling.BILINEAR)
    # Pillow cannot make a side of less than a pixel
    scale = min(size[0] / image.width, size[1] / image.height)
    inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    padded = Image.new(image.mode, size)
    padded.paste(image.resize(inner, Image.Resampling.BILINEAR), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return padded
