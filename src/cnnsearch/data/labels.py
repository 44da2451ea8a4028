"""Converts labels of every usual form to codes 0 to n - 1 and the names of the n classes."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import nearest

Codes = NDArray[np.int64]

LARGEST = 2**63 - 1


class Coded(NamedTuple):
    """The codes of each part, and the class names in the order of the codes."""

    codes: dict[str, Codes]
    classes: tuple[str, ...]


def coded(given: Mapping[str, Any], counts: Mapping[str, int], classes: Iterable[Any] = ()) -> Coded:
    """The labels of all parts as codes. The first part is training; its classes are all classes.

    Args:
        given: labels by the part's name: whole numbers of any type, bool, text or bytes of shape (n,) or (n, 1), or
            one-hot of shape (n, classes).
        counts: how many images each part has.
        classes: the class names. Labels are indices of it, or the names, or as many values as there are names.
            Without it, the labels are the names.

    Raises:
        ValueError: if labels have another form; the message names the part and the first wrong image.
    """
    plain = {part: flat(array, counts[part], part) for part, array in given.items()}
    if not all(array.dtype == np.bool_ for array in plain.values()):
        plain = {part: array.astype(np.int64) if array.dtype == np.bool_ else array for part, array in plain.items()}
    if any(array.dtype.kind == "U" for array in plain.values()):
        plain = {part: array.astype(str) for part, array in plain.items()}
    training = next(iter(plain))
    values = ordered(np.unique(plain[training]))
    names = _names(values, [text(name) for name in classes], training)
    order = np.argsort(values)
    codes = {}
    for part, array in plain.items():
        place = np.clip(np.searchsorted(values, array, sorter=order), 0, max(0, len(values) - 1))
        found = order[place] if len(values) else place
        _check_known(values, found, array, part, training)
        codes[part] = names.places[found].astype(np.int64) if len(values) else found.astype(np.int64)
    return Coded(codes, names.names)


def flat(given: Any, count: int, part: str) -> NDArray[Any]:
    """One label for each image: int64, bool or text of shape (count,).

    Raises:
        ValueError: if `given` has another form.
    """
    labels = _one_kind(np.asarray(given), part)
    shape = labels.shape
    if labels.ndim > 1:
        sides = (labels.shape[0], *(side for side in labels.shape[1:] if side != 1))
        labels = labels.reshape(sides)
    if labels.ndim == 2 and labels.shape[0] == 1 and labels.shape[1] == count != 1:
        labels = labels[0]
    if labels.ndim == 2 and len(labels) == count and labels.dtype.kind != "U":
        return _from_one_hot(labels, part)
    if labels.shape != (count,):
        raise ValueError(
            f"{part} is {labels.dtype} of shape {shape} for {count} images; expected one label for each, of shape "
            f"({count},) or ({count}, 1), or one-hot ({count}, classes)."
        )
    if labels.dtype.kind == "U":
        _check_none(np.asarray(labels == ""), part, "an empty label", "text for each image")
        return labels
    return labels if labels.dtype == np.bool_ else _whole(labels, part)


def text(name: Any) -> str:
    """A class name as text; bytes are read as UTF-8, and a whole float is written without a decimal point."""
    if isinstance(name, bytes):
        return name.decode(errors="backslashreplace")
    if isinstance(name, float | np.floating) and name == np.rint(name):
        return str(int(name))
    return str(name)


def ordered(values: NDArray[Any]) -> NDArray[Any]:
    """Different labels in the order of their classes: numbers by their value, also if they are text."""
    if values.dtype.kind == "U" and len(values) and all(_is_number(value) for value in values):
        return np.array(sorted(values.tolist(), key=lambda value: (int(value), value)))
    return np.sort(values)


class _Named(NamedTuple):
    """The class names, and for each different label the index of its name."""

    names: tuple[str, ...]
    places: NDArray[np.intp]


def _names(values: NDArray[Any], given: list[str], part: str) -> _Named:
    """The class of each different label of training; names without an image are left out."""
    own = [text(value) for value in values.tolist()]
    every = np.arange(len(values))
    if not given:
        return _Named(tuple(own), every)
    if len(set(given)) < len(given):
        twice = next(name for name in given if given.count(name) > 1)
        raise ValueError(f"classes names {twice!r} twice; expected different names.")
    count = len(given)
    as_places = values.dtype.kind in "ib" and len(values) > 0 and values.min() >= 0 and values.max() < count
    by_name = set(own) <= set(given)
    if as_places and (not by_name or len(values) == count):
        return _Named(tuple(given[int(value)] for value in values), every)
    if by_name:
        kept = [name for name in given if name in set(own)]
        return _Named(tuple(kept), np.array([kept.index(name) for name in own], np.intp))
    if len(values) == count and not set(own) & set(given):
        return _Named(tuple(given), every)
    strange = next(name for name in own if name not in given)
    raise ValueError(
        f"{part} holds {len(values)} different labels, such as {strange!r}, but classes has {count} names; expected "
        f"labels 0 to {count - 1}, or these names.{nearest(strange, given)}"
    )


def _check_known(values: NDArray[Any], found: NDArray[Any], array: NDArray[Any], part: str, training: str) -> None:
    known = values[found] == array if len(values) else np.zeros(len(array), bool)
    if not known.all():
        at = int(np.flatnonzero(~known)[0])
        shown = ", ".join(text(value) for value in values[:5].tolist()) + (", …" if len(values) > 5 else "")
        raise ValueError(
            f"{part} has the class {text(array[at].item())!r} (image {at}), which is not in {training}; expected "
            f"the classes of {training}: {shown}. Add images of it to {training}, or leave it out."
        )


def _one_kind(labels: NDArray[Any], part: str) -> NDArray[Any]:
    """`labels` as an array of numbers, bool or text."""
    if labels.dtype.kind == "O":
        labels = _from_objects(labels, part)
    if labels.dtype.kind == "S":
        decoded = np.array([text(value) for value in labels.ravel().tolist()], dtype=str)
        return decoded.reshape(labels.shape)
    if labels.dtype.kind == "T":
        return labels.astype(str)
    if labels.dtype.kind not in "biufU":
        raise ValueError(f"{part} is {labels.dtype}; expected labels as whole numbers or text.")
    return labels


def _from_objects(labels: NDArray[Any], part: str) -> NDArray[Any]:
    """An array of Python objects, such as text of pandas, as an array of one type."""
    flat_ones = labels.ravel().tolist()
    for at, value in enumerate(flat_ones):
        if not isinstance(value, str | bytes | bool | int | float | np.generic) or value != value:
            raise ValueError(f"image {at} of {part} has the label {value!r}; expected a whole number or text.")
    if any(isinstance(value, str | bytes) for value in flat_ones):
        return np.array([text(value) for value in flat_ones], dtype=str).reshape(labels.shape)
    return np.array(flat_ones).reshape(labels.shape)


def _from_one_hot(labels: NDArray[Any], part: str) -> NDArray[np.int64]:
    """The index of the 1 in each row."""
    numbers = labels.astype(np.float64)
    _check_none(
        np.asarray(np.isnan(numbers).any(axis=1)), part, "a label that is not a number", "0 and 1, one 1 for each image"
    )
    low, high = numbers.min(), numbers.max()
    # -1 and 1, or 0 and 255, are one-hot too
    if (low == -1 and high == 1) or (low == 0 and high > 1 and np.isin(numbers, (low, high)).all()):
        numbers = (numbers - low) / (high - low)
    ones, zeros = (numbers == 1).sum(1), (numbers == 0).sum(1)
    columns = numbers.shape[1]
    if (ones + zeros == columns).all():
        if (ones > 1).any():
            at = int(np.flatnonzero(ones > 1)[0])
            raise ValueError(
                f"{part} gives image {at} {ones[at]} labels; several labels an image are not supported. Expected one "
                "class for each image."
            )
        _check_none(ones == 0, part, "no label, as its row is all 0", "one-hot rows with one 1 each")
        return np.asarray(numbers.argmax(1), np.int64)
    if numbers.min() >= 0 and np.allclose(numbers.sum(1), 1, atol=1e-3):
        at = int(np.flatnonzero(ones + zeros < columns)[0])
        raise ValueError(
            f"{part} holds soft labels, which are not supported (image {at} is {numbers[at].max():.4g} of one class). "
            f"Expected one class for each image, such as `{part}.argmax(1)`."
        )
    raise ValueError(
        f"{part} is {labels.dtype} of shape {labels.shape}, several numbers for each image; several labels an image "
        "are not supported. Expected one class for each image, or one-hot rows of 0 and a single 1."
    )


def _whole(labels: NDArray[Any], part: str) -> NDArray[np.int64]:
    if labels.dtype.kind == "f":
        _check_none(np.isnan(labels), part, "no label (NaN)", "a whole number for each image")
        fractions = labels != np.rint(labels)
        fractions |= ~np.isfinite(labels)
        if fractions.any():
            at = int(np.flatnonzero(fractions)[0])
            raise ValueError(
                f"{part} holds {labels[at]:.6g} (image {at}); expected whole numbers or text, a class for each image. "
                "Numbers to be predicted (regression) are not supported."
            )
    if labels.size and (abs(float(labels.max())) >= LARGEST or abs(float(labels.min())) >= LARGEST):
        raise ValueError(f"{part} has values from {labels.min()} to {labels.max()}; expected whole numbers of 64 bits.")
    return labels.astype(np.int64)


def _check_none(bad: NDArray[Any], part: str, what: str, expected: str) -> None:
    """Raise a ValueError that names the first image for which `bad` is true."""
    if bad.any():
        raise ValueError(f"image {int(np.flatnonzero(bad)[0])} of {part} has {what}; expected {expected}.")


def _is_number(value: str) -> bool:
    digits = value.removeprefix("-")
    return digits.isascii() and digits.isdecimal()
