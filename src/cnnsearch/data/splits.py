"""Splits a dataset into training, validation and test."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import DataError
from cnnsearch.data.dataset import Dataset, Images, Labels
from cnnsearch.data.groups import cut, drawn_groups


@dataclass(frozen=True, eq=False)
class Split:
    """A dataset in training, validation and test. Only an export uses the test set.

    `groups` and `groups_val` are the groups of the training and the validation images; None without groups.
    """

    x: Images
    y: Labels
    x_val: Images
    y_val: Labels
    x_test: Images
    y_test: Labels
    x_clean: Images | None = None
    x_val_clean: Images | None = None
    groups: NDArray[Any] | None = None
    groups_val: NDArray[Any] | None = None


Take = Callable[[Images, NDArray[np.intp]], Images]
"""Copies the given rows of images to an array."""


def _copied(images: Images, rows: NDArray[np.intp]) -> Images:
    return images[rows]


def split(data: Dataset, seed: int, validation: float = 1 / 6, take: Take = _copied) -> Split:
    """Split `data`, stratified by class, with random `seed`. Parts that the dataset has already do not change.

    Images of one group stay together.

    Raises:
        DataError: if a class has too few images, or too few groups, to be in every part.
    """
    rows = np.arange(len(data.y))
    x, y, clean, x_test, y_test = data.x, data.y, data.x_clean, data.x_test, data.y_test
    if x_test is None or y_test is None:
        # one image, or group, of each class is left for validation and one for training
        rows, taken = _cut(data, rows, 0.2, seed, 2 if data.x_val is None else 1)
        x_test, y_test = take(x, taken), y[taken]
    x_val, y_val, x_val_clean, groups_val = data.x_val, data.y_val, None, None
    # numbers instead of names of any type, so that they can be mapped from a file
    groups = None if data.groups is None else np.unique(data.groups, return_inverse=True)[1]
    if x_val is None or y_val is None:
        rows, taken = _cut(data, rows, validation, seed)
        x_val, y_val = take(x, taken), y[taken]
        x_val_clean = clean[taken] if clean is not None else None
        groups_val = groups[taken] if groups is not None else None
    groups = groups[rows] if groups is not None else None
    if len(rows) == len(y):
        return Split(x, y, x_val, y_val, x_test, y_test, clean, x_val_clean, groups, groups_val)
    clean = clean[rows] if clean is not None else None
    return Split(take(x, rows), y[rows], x_val, y_val, x_test, y_test, clean, x_val_clean, groups, groups_val)


def split_again(parts: Split, seed: int) -> Split:
    """The training and validation images split again, with another random `seed` and the same share of validation.

    The test set stays, and groups stay together.

    Raises:
        DataError: if a class has too few groups to be in both parts.
    """
    y = np.concatenate([parts.y, parts.y_val])
    # `stratified` rounds up: half an image less gives the same number in spite of rounding errors
    fraction = (len(parts.y_val) - 0.5) / len(y)
    if parts.groups is not None and parts.groups_val is not None:
        taken = drawn_groups(np.concatenate([parts.groups, parts.groups_val]), y, fraction, seed)
        if taken is None:
            raise DataError("a class has too few groups for another split")
        kept_rows, taken_rows = np.flatnonzero(~taken), np.flatnonzero(taken)
    else:
        kept_rows, taken_rows = stratified(y, fraction, seed)

    def new(train: Any, validation: Any, names: tuple[str, str]) -> dict[str, Any]:
        if train is None or validation is None:
            return {}
        return {
            name: _rows_of(train, validation, rows) for name, rows in zip(names, (kept_rows, taken_rows), strict=True)
        }

    return replace(
        parts,
        **new(parts.x, parts.x_val, ("x", "x_val")),
        **new(parts.y, parts.y_val, ("y", "y_val")),
        **new(parts.x_clean, parts.x_val_clean, ("x_clean", "x_val_clean")),
        **new(parts.groups, parts.groups_val, ("groups", "groups_val")),
    )


def _rows_of(first: NDArray[Any], second: NDArray[Any], rows: NDArray[np.intp]) -> NDArray[Any]:
    """These rows of both arrays, one after the other, in one copy."""
    found = np.empty((len(rows), *first.shape[1:]), first.dtype)
    in_first = rows < len(first)
    found[in_first], found[~in_first] = first[rows[in_first]], second[rows[~in_first] - len(first)]
    return found


def _cut(
    data: Dataset, rows: NDArray[np.intp], fraction: float, seed: int, left: int = 1
) -> tuple[NDArray[np.intp], ...]:
    """The rows that are kept and the rows that are split off, both sorted.

    `left`: how many images, or groups, of each class are kept at least.
    """
    if data.groups is not None:
        return cut(data, rows, fraction, seed, left)
    y = data.y[rows]
    _, counts = np.unique(y, return_counts=True)
    if counts.min() <= left:
        raise _too_few(data)
    kept, taken = stratified(y, fraction, seed, left)
    return rows[kept], rows[taken]


def stratified(y: Labels, fraction: float, seed: int, left: int = 1) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows that are kept and the `fraction` of each class that is split off, both sorted.

    At least `left` images of each class are kept and one is split off, if the class has so many. Otherwise they are
    those of scikit-learn's `train_test_split(stratify=y)`, without the seconds that importing it takes in every
    worker, and stay the same if a later version splits in another way.
    """
    _, classes, counts = np.unique(y, return_inverse=True, return_counts=True)
    by_class = np.split(np.argsort(classes, kind="stable"), np.cumsum(counts)[:-1])
    draw, off = np.random.RandomState(seed), math.ceil(fraction * len(y))
    kept = _shares(counts, len(y) - off, draw)
    taken = _shares(counts - kept, off, draw)
    # rounding may leave a rare class out of a part
    enough = counts > left
    taken[enough] = np.clip(taken[enough], 1, counts[enough] - left)
    kept = counts - taken
    shuffled = [draw.permutation(rows) for rows in by_class]
    parts = [
        np.concatenate([rows[first : first + size] for rows, first, size in zip(shuffled, begin, sizes, strict=True)])
        for begin, sizes in ((np.zeros_like(kept), kept), (kept, taken))
    ]
    return np.sort(parts[0]), np.sort(parts[1])


def _shares(counts: NDArray[np.intp], size: int, draw: np.random.RandomState) -> NDArray[np.intp]:
    """How many of each class a part of `size` gets. What rounding leaves over goes to the largest remainders."""
    exact = counts / counts.sum() * size
    shares: NDArray[np.intp] = np.floor(exact).astype(np.intp)
    left = int(size - shares.sum())
    for remainder in np.unique(exact - shares)[::-1]:
        if left <= 0:
            break
        (equal,) = np.nonzero(exact - np.floor(exact) == remainder)
        chosen = draw.choice(equal, size=min(len(equal), left), replace=False)
        shares[chosen] += 1
        left -= len(chosen)
    return shares


def _too_few(data: Dataset) -> DataError:
    kinds, counts = np.unique(data.y, return_counts=True)
    rarest = counts.argmin()
    missing = [name for name, part in (("validation", data.x_val), ("test", data.x_test)) if part is None]
    return DataError(
        f"{data.name}: class '{data.classes[kinds[rarest]]}' has {counts[rarest]} of {len(data.y)} images; expected "
        f"{len(missing) + 1} or more, because training, {' and '.join(missing)} need one each. Give it more images, or "
        f"give a {' and a '.join(missing)} set."
    )
