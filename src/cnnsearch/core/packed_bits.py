"""Yes or no for each of many images, as a short text."""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 20_000
"""The most images for which a message has such a text: 3,300 characters."""


def packed(bits: NDArray[Any]) -> str:
    """The text of booleans (n,)."""
    return base64.b64encode(np.packbits(bits.astype(bool)).tobytes()).decode("ascii")


def unpacked(text: str, count: int) -> NDArray[np.bool_]:
    """The first `count` booleans of a text.

    Raises:
        ValueError: if it is no such text, or has fewer.
    """
    found = np.unpackbits(np.frombuffer(base64.b64decode(text, validate=True), np.uint8))
    if len(found) < count:
        raise ValueError(f"expected {count} bits, got {len(found)}")
    return found[:count].astype(bool)
