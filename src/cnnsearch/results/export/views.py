"""Test-time views: a model that returns the mean of its probabilities for an image and for changed copies of it.

Mirrored and shifted copies are the usual ones (Krizhevsky et al. 2012; Jordan, arXiv 2404.00498, uses both).
"""

from typing import Any

from cnnsearch.core.errors import CnnsearchError, nearest

VIEWS = {
    "mirror": "the image mirrored left to right",
    "shift": "the image moved by one pixel up and left, and down and right; the edge is reflected",
}
"""The views by name. With both, each shifted image is mirrored, too."""


def parse_names(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The names of views in texts such as `mirror,shift`, each once.

    Raises:
        CnnsearchError: if there is no such view.
    """
    names = tuple(dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip()))
    for name in names:
        if name not in VIEWS:
            raise CnnsearchError(
                f"--views: there is no view '{name}'.{nearest(name, VIEWS)} There are {' and '.join(VIEWS)}."
            )
    return names


def of_pixels(pixels: Any, names: tuple[str, ...]) -> list[Any]:
    """The views of symbolic images (n, height, width, channels): the images first, then each changed copy."""
    from keras import layers, ops

    found = [pixels]
    if "shift" in names:
        wide = ops.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        found += [layers.Cropping2D(((a, 2 - a), (a, 2 - a)))(wide) for a in (2, 0)]
    if "mirror" in names:
        found += [ops.flip(each, 2) for each in found]
    return found
