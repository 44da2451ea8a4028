"""Picture files of a few formats as pixels: upright, their first frame, in eight bits, grey or RGB."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
# Named, so that a file that only calls itself .png cannot reach Pillow's rarer decoders.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")
GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"}


def read(file: Path, mode: str, width: int = 0, height: int = 0) -> NDArray[np.uint8]:
    """One picture as uint8, in Pillow's mode `L` or `RGB`; `width` times `height`, or as it is if they are 0.

    Raises:
        Exception: nearly any, since decoders raise nearly anything on damaged bytes; Pillow's bombs are refused.
    """
    with _strictly(), Image.open(file, formats=FORMATS) as opened:
        image = _plain(ImageOps.exif_transpose(opened), mode)
    if width:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


def is_grey(file: Path) -> bool:
    """Whether a picture has no colours, by its header alone; one that cannot be read is told of later."""
    with contextlib.suppress(Exception), _strictly(), Image.open(file, formats=FORMATS) as image:
        return image.mode in GREY
    return True


@contextlib.contextmanager
def _strictly() -> Iterator[None]:
    """A picture so large that Pillow warns of a bomb is an error; remarks about metadata are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _plain(image: Any, mode: str) -> Any:
    """An image of any mode as L or RGB: 16 bits scaled down, transparency shown on white."""
    if image.mode.startswith("I"):
        # Pillow's own conversion would clip every value above 255.
        image = Image.fromarray(np.rint(np.asarray(image).clip(0, 65535) / 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)
