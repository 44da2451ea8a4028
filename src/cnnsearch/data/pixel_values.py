"""The numbers that images hold: kept in a compact type, checked, and their range."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]

BYTES: Range = (0.0, 255.0)
"""The range of 8-bit images."""

FEW = 32
"""8-bit images with all values of training below this, such as masks of 0 and 1, have a range of their own."""

APART = 20.0
"""A part whose values are larger or smaller than training's by this factor was scaled in another way."""

CHUNK = 1 << 24
"""So many values are looked at in one go, so that no large copies are made."""

MOST = float(np.finfo(np.float32).max)

WHOLE = (np.uint8, np.uint16, np.int16, np.int32)


def compact(given: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The images of all parts in one type, the first part being training's: uint8 where they fit, else uint16, int16,
    int32 or float32. Their values stay as they are; arrays that are of this type already are not copied.

    Raises:
        ValueError: if they are no real and finite numbers, or of different scales; the message names the part.
    """
    parts = {part: np.asarray(array) for part, array in given.items()}
    for part, array in parts.items():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{part} is {_kind(array)}; expected images of numbers, such as uint8 or float32.")
        _check_finite(array, part)
    wanted = np.dtype(_type_for(list(parts.values())))
    _check_scales(parts, wanted)
    for part, array in parts.items():
        if wanted == np.float32 and array.dtype.itemsize > 4 and max(map(abs, ends(array))) > MOST:
            most = max(map(abs, ends(array)))
            raise ValueError(f"{part} holds numbers up to {most:.3g}; expected numbers that float32 holds.")
    return {part: array.astype(wanted, copy=False) for part, array in parts.items()}


def value_range(training: NDArray[Any]) -> Range:
    """(lowest, highest) of training's images, which a model's scaling layer maps to 0 and 1.

    It is 0 to 255 for uint8, unless all values are below FEW. Where all are equal, it is 1 wide.
    """
    if training.dtype == np.uint8:
        # the first images tell it for nearly all datasets
        if any(some.max() >= FEW for _, some in _chunks(training)):
            return BYTES
        high = ends(training)[1]
        return (0.0, high) if high else BYTES
    low, high = ends(training)
    return (low, high) if high > low else (low, low + max(1.0, abs(low)))


def ends(array: NDArray[Any]) -> Range:
    """The lowest and the highest value, 0 and 0 of none."""
    return (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)


def to_unit(images: NDArray[Any], values: Range) -> NDArray[np.float32]:
    """Images scaled as a model's first layer does: `values` to 0 and 1."""
    low, high = values
    scaled: NDArray[np.float32] = (images.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    return scaled


def to_bytes(images: NDArray[Any], values: Range) -> NDArray[np.uint8]:
    """Images as 8 bits to look at: `values` become 0 and 255, what lies outside is cut off."""
    if images.dtype == np.uint8 and values == BYTES:
        return images
    return np.rint(np.clip(to_unit(images, values), 0, 1) * 255).astype(np.uint8)


def from_bytes(pixels: NDArray[np.uint8], values: Range) -> NDArray[Any]:
    """8-bit pixels as a model of this range of values takes them: 0 and 255 become its ends."""
    if values == BYTES:
        return pixels
    low, high = values
    scaled: NDArray[np.float32] = low + pixels.astype(np.float32) * np.float32((high - low) / 255)
    return scaled


def of_pictures(data: Mapping[str, Any]) -> Range:
    """The range to which the values of a picture file, 0 to 255, are brought, by what a card says of its data.

    Where the training images were pictures themselves, it is 0 to 255, whatever values they had.
    """
    low, high = data.get("value_range", BYTES) if "resize" not in data else BYTES
    return float(low), float(high)


def _kind(array: NDArray[Any]) -> str:
    names = {"c": "complex numbers", "U": "text", "S": "bytes", "O": "Python objects", "M": "dates", "m": "durations"}
    return f"{names[array.dtype.kind]} ({array.dtype})" if array.dtype.kind in names else str(array.dtype)


def _chunks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Some images at a time, with the number of the first."""
    size = max(1, CHUNK // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array) if array.ndim else 0, size):
        yield start, array[start : start + size]


def _check_finite(array: NDArray[Any], part: str) -> None:
    if array.dtype.kind != "f":
        return
    for start, some in _chunks(array):
        finite = np.isfinite(some)
        if not finite.all():
            rows = ~finite.reshape(len(some), -1).all(1)
            at = int(np.flatnonzero(rows)[0])
            what = "NaN" if np.isnan(some[at]).any() else "an infinite number"
            more = ", and others do too" if rows.sum() > 1 else ""
            raise ValueError(
                f"image {start + at} of {part} holds {what}{more}; expected finite numbers. Replace them, for example "
                "with np.nan_to_num, or leave these images out."
            )


def _type_for(arrays: list[NDArray[Any]]) -> Any:
    """The smallest type that holds all values of all parts as they are, float32 for fractions."""
    if all(array.dtype in (np.uint8, np.bool_) for array in arrays):
        return np.uint8
    if any(array.dtype.kind == "f" and not _is_bytes(array) for array in arrays):
        return np.float32
    both = [ends(array) for array in arrays]
    low, high = min(low for low, _ in both), max(high for _, high in both)
    fitting = (kind for kind in WHOLE if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return next(fitting, np.float32)


def _is_bytes(array: NDArray[Any]) -> bool:
    """Whether floats are whole numbers from 0 to 255."""
    low, high = ends(array)
    return 0 <= low and high <= 255 and all((some == np.rint(some)).all() for _, some in _chunks(array))


def _check_scales(parts: dict[str, NDArray[Any]], wanted: Any) -> None:
    training, *others = parts
    if all(array.dtype == np.uint8 for array in parts.values()) and not _is_mask(parts[training]):
        return
    kind = parts[training].dtype
    whole = kind.kind in "iu" and kind != np.uint8
    low, high = ends(parts[training])
    for other in others:
        least, most = ends(parts[other])
        one, two = max(abs(low), abs(high)), max(abs(least), abs(most))
        if not _are_apart(one, two):
            continue
        # whole numbers of one type are not scaled in two ways
        if whole and parts[other].dtype == kind:
            continue
        # the part is only darker
        if two < one and wanted == np.uint8:
            continue
        # a few values may lie far from all others
        if not _are_apart(_usual(parts[training]), _usual(parts[other])):
            continue
        raise ValueError(
            f"{other} is {parts[other].dtype} from {least:.6g} to {most:.6g}, but {training} is "
            f"{parts[training].dtype} from {low:.6g} to {high:.6g}; expected the same scale in every part."
        )


def _are_apart(one: float, two: float) -> bool:
    return min(one, two) > 0 and max(one, two) > APART * min(one, two)


def _usual(array: NDArray[Any]) -> float:
    """The size below which 99 of 100 values lie, those that are 0 left out; some images are looked at."""
    most = max(1, CHUNK // 4 // max(1, math.prod(array.shape[1:])))
    some = np.abs(array[:: -(-len(array) // most) or 1].astype(np.float64))
    some = some[some > 0]
    return float(np.percentile(some, 99)) if some.size else 0.0


def _is_mask(array: NDArray[Any]) -> bool:
    """Whether 8-bit images hold 0 and 1 alone."""
    return all(some.max(initial=0) <= 1 for _, some in _chunks(array))
