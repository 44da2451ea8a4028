"""Checks the pixel values of images, stores them in a compact type, and finds their range."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]

BYTES: Range = (0.0, 255.0)
"""The range of 8-bit images."""

FEW = 32
"""If all values of 8-bit training images are below this, such as for masks, their range is not 0 to 255."""

APART = 20.0
"""If the values of a part are larger or smaller than training's by this factor, they are scaled differently."""

CHUNK = 1 << 24
"""The most values that are processed in one step, to avoid large copies."""

MOST = float(np.finfo(np.float32).max)

WHOLE = (np.uint8, np.uint16, np.int16, np.int32)


def compact(given: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The images of all parts in one type: the first of uint8, uint16, int16, int32 and float32 that holds them.

    The values do not change. Arrays that have this type already are not copied. The first part is training.

    Raises:
        ValueError: if values are not real, finite numbers, or scales differ; the message names the part.
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
    """(low, high) of the training images; a model's first layer maps them to 0 and 1.

    For uint8 it is 0 to 255, unless all values are below FEW. If all values are equal, high is low + 1 or more.
    """
    if training.dtype == np.uint8:
        # for nearly all datasets the first images are enough
        if any(some.max() >= FEW for _, some in _chunks(training)):
            return BYTES
        high = ends(training)[1]
        return (0.0, high) if high else BYTES
    low, high = ends(training)
    return (low, high) if high > low else (low, low + max(1.0, abs(low)))


def ends(array: NDArray[Any]) -> Range:
    """The lowest and the highest value; 0 and 0 for an empty array."""
    return (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)


def to_unit(images: NDArray[Any], values: Range) -> NDArray[np.float32]:
    """Images scaled as a model's first layer scales them: the ends of `values` become 0 and 1."""
    low, high = values
    scaled: NDArray[np.float32] = (images.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    return scaled


def to_bytes(images: NDArray[Any], values: Range) -> NDArray[np.uint8]:
    """Images as 8 bits for display: the ends of `values` become 0 and 255, other values are clipped."""
    if images.dtype == np.uint8 and values == BYTES:
        return images
    return np.rint(np.clip(to_unit(images, values), 0, 1) * 255).astype(np.uint8)


def from_bytes(pixels: NDArray[np.uint8], values: Range) -> NDArray[Any]:
    """8-bit pixels in the range that a model expects: 0 and 255 become the ends of `values`."""
    if values == BYTES:
        return pixels
    low, high = values
    scaled: NDArray[np.float32] = low + pixels.astype(np.float32) * np.float32((high - low) / 255)
    return scaled


def other_scale(images: NDArray[Any], values: Range) -> str:
    """A message if images have another scale than the training images, whose range is `values`; else empty.

    That is the case if their values are far larger, or if they are from 0 to 1 and the training images are not.
    """
    low, high = ends(images)
    top, known = max(abs(low), abs(high)), max(map(abs, values))
    smaller = images.dtype.kind == "f" and top <= 1 and known >= FEW
    if not (smaller or top > APART * known):
        return ""
    return (
        f"go from {low:g} to {high:g}, and the model was trained on {values[0]:g} to {values[1]:g}; expected images of "
        "the same scale as in training."
    )


def of_pictures(data: Mapping[str, Any]) -> Range:
    """The range that a model expects for image files; `data` is that of its model card.

    If the training images were image files, it is 0 to 255, even if their values had a smaller range.
    """
    low, high = data.get("value_range", BYTES) if "resize" not in data else BYTES
    return float(low), float(high)


def _kind(array: NDArray[Any]) -> str:
    names = {"c": "complex numbers", "U": "text", "S": "bytes", "O": "Python objects", "M": "dates", "m": "durations"}
    return f"{names[array.dtype.kind]} ({array.dtype})" if array.dtype.kind in names else str(array.dtype)


def _chunks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Blocks of images, each with the index of its first image."""
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
    """The smallest type that holds all values of all parts exactly; float32 for fractions."""
    if all(array.dtype in (np.uint8, np.bool_) for array in arrays):
        return np.uint8
    if any(array.dtype.kind == "f" and not _is_bytes(array) for array in arrays):
        return np.float32
    both = [ends(array) for array in arrays]
    low, high = min(low for low, _ in both), max(high for _, high in both)
    fitting = (kind for kind in WHOLE if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return next(fitting, np.float32)


def _is_bytes(array: NDArray[Any]) -> bool:
    """Whether all values are whole numbers from 0 to 255."""
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
        # whole numbers of one type have one scale
        if whole and parts[other].dtype == kind:
            continue
        # the part is only darker
        if two < one and wanted == np.uint8:
            continue
        # a few values may be far from all others
        if not _are_apart(_usual(parts[training]), _usual(parts[other])):
            continue
        raise ValueError(
            f"{other} is {parts[other].dtype} from {least:.6g} to {most:.6g}, but {training} is "
            f"{parts[training].dtype} from {low:.6g} to {high:.6g}; expected the same scale in every part."
        )


def _are_apart(one: float, two: float) -> bool:
    return min(one, two) > 0 and max(one, two) > APART * min(one, two)


def _usual(array: NDArray[Any]) -> float:
    """The 99th percentile of the absolute values above 0, computed from some of the images."""
    most = max(1, CHUNK // 4 // max(1, math.prod(array.shape[1:])))
    some = np.abs(array[:: -(-len(array) // most) or 1].astype(np.float64))
    some = some[some > 0]
    return float(np.percentile(some, 99)) if some.size else 0.0


def _is_mask(array: NDArray[Any]) -> bool:
    """Whether 8-bit images hold only 0 and 1."""
    return all(some.max(initial=0) <= 1 for _, some in _chunks(array))
