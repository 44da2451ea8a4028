"""Chooses the mode and the size of decoded images from the headers of their files."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cnnsearch.core.host import cores
from cnnsearch.data import loading
from cnnsearch.data.image_files import Header, header, in_threads

CAP = 128
"""The largest side in pixels, if the size is chosen from images of several sizes."""

SAME_CAP = 512
"""The largest side in pixels, if all images have the same size."""

MOST_THREADS = 16


class ImageFormat(NamedTuple):
    """Pillow's mode and the size of the decoded images, and the different (width, height) of the files."""

    mode: str
    width: int
    height: int
    sizes: list[tuple[int, int]]

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return self.height, self.width, 3 if self.mode == "RGB" else 1


def choose_format(files: Sequence[Path], mode: str, size: tuple[int, int] | None) -> ImageFormat:
    """The format for these files; only their headers are read.

    Args:
        files: all image files.
        mode: `L` or `RGB`; empty for grey if all files are grey.
        size: (width, height); None for the size of the space, else a size that fits the files.
    """
    headers = [found for found in in_threads(header, files, thread_count()) if found is not None]
    mode = mode or ("L" if all(found.grey for found in headers) else "RGB")
    sizes = sorted({(found.width, found.height) for found in headers})
    return ImageFormat(mode, *(size or loading.current().size or _fitting(headers, sizes)), sizes)


def _fitting(headers: Sequence[Header], sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The one size of all files if it is within SAME_CAP, else their median size within CAP."""
    if len(sizes) == 1 and max(sizes[0]) <= SAME_CAP:
        return sizes[0]
    if not headers:
        return 1, 1
    width, height = (float(np.median(sides)) for sides in zip(*(found[:2] for found in headers), strict=True))
    scale = min(1.0, CAP / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def thread_count() -> int:
    """How many threads read image files."""
    return min(MOST_THREADS, cores())
