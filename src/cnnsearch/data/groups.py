"""Splits a dataset by whole groups, such as patients, and keeps the shares of the classes."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import DataError
from cnnsearch.data.dataset import Dataset

TRIES = 40
"""The most random orders of the groups that are tried."""

EFFORT = 100_000
"""The most groups that are visited in all orders together."""


def cut(
    data: Dataset, rows: NDArray[np.intp], fraction: float, seed: int, left: int = 1
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows that are kept and the rows that are split off: whole groups, about `fraction` of each class.

    The groups are visited in several random orders. A group is split off if that brings the classes nearer to
    `fraction`. The best order is used that leaves each class in `left` groups at least.

    Raises:
        DataError: if there are too few groups, or a class has too few of them to be in every part.
    """
    assert data.groups is not None
    kinds, counts = _counts(data.groups[rows], data.y[rows])
    least = 1 + sum(part is None for part in (data.x_val, data.x_test))
    every = np.unique(data.groups)
    if len(every) < least:
        raise DataError(
            f"{data.name}: there {'is' if len(every) == 1 else 'are'} {len(every)} group{'s' * (len(every) > 1)} "
            f"({', '.join(map(str, every))}); expected {least} or more, because a group is never split."
        )
    for number, held in zip(kinds, (counts > 0).sum(0), strict=True):
        if held < 2:
            raise _too_few(data, int(number), least)
    groups, y = data.groups[rows], data.y[rows]
    taken = drawn_groups(groups, y, fraction, seed)
    if taken is not None and (_counts(groups[~taken], y[~taken])[1] > 0).sum(0).min() < left:
        taken = drawn_groups(groups, y, fraction, seed, left)
    if taken is None:
        raise _too_few(data, int(kinds[(counts > 0).sum(0).argmin()]), least)
    return rows[~taken], rows[taken]


def drawn_groups(
    groups: NDArray[Any], y: NDArray[Any], fraction: float, seed: int, left: int = 1
) -> NDArray[np.bool_] | None:
    """Which images are split off, (n,): whole groups, as `cut` chooses them; None if a class would be in one part only.

    Args:
        groups: the group of each image, (n,).
        y: the class of each image, (n,).
        left: the least number of groups of each class that are not split off.
    """
    _, counts = _counts(groups, y)
    chosen = _best(counts, fraction, np.random.default_rng(seed), left)
    return None if chosen is None else chosen[np.unique(groups, return_inverse=True)[1]]


def overlaps(grouped: Mapping[str, Iterable[Any]], name: str) -> Iterator[str]:
    """A warning for each two parts that the user brought and that share groups.

    Args:
        grouped: the groups of each part.
        name: what named them, an option or an array.
    """
    for one, other in itertools.combinations(grouped, 2):
        if shared := sorted(set(grouped[one]) & set(grouped[other])):
            count = f"{len(shared):,} group{'s' * (len(shared) > 1)}"
            yield (
                f"Warning: {count} of {name} {'are' if len(shared) > 1 else 'is'} in both {one} and {other}, "
                f"the first is '{shared[0]}': scores on {other} are too optimistic."
            )


def _counts(groups: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The classes, and the images of each group and class, of shape (groups, classes)."""
    names, group = np.unique(groups, return_inverse=True)
    kinds, kind = np.unique(y, return_inverse=True)
    counts = np.zeros((len(names), len(kinds)))
    np.add.at(counts, (group, kind), 1)
    return kinds, counts


def _best(
    counts: NDArray[np.float64], fraction: float, generator: np.random.Generator, left: int
) -> NDArray[np.bool_] | None:
    """The groups to split off; None if no order leaves every class in both parts. `counts` is (groups, classes)."""
    total = counts.sum(0)
    best, least = None, np.inf
    for _ in range(max(1, min(TRIES, EFFORT // len(counts)))):
        chosen = _drawn(counts, total, fraction, generator, left)
        taken = counts[chosen].sum(0)
        if (taken > 0).all() and (taken < total).all():
            distance = _distance(taken, total, fraction)
            if distance < least:
                best, least = chosen, distance
    return best


def _drawn(
    counts: NDArray[np.float64],
    total: NDArray[np.float64],
    fraction: float,
    generator: np.random.Generator,
    left: int,
) -> NDArray[np.bool_]:
    """The groups to split off in one random order: those that bring the classes nearer to `fraction`."""
    chosen, taken, held = np.zeros(len(counts), bool), np.zeros(len(total)), counts > 0
    remaining = held.sum(0)
    for at in generator.permutation(len(counts)):
        after = taken + counts[at]
        nearer = _distance(after, total, fraction) < _distance(taken, total, fraction)
        if nearer and (remaining - held[at] >= left).all():
            chosen[at], taken, remaining = True, after, remaining - held[at]
    return chosen


def _distance(taken: NDArray[np.float64], total: NDArray[np.float64], fraction: float) -> float:
    """The mean squared difference of the classes' shares from `fraction`, plus 1 for each class without an image."""
    return float(((taken / total - fraction) ** 2 + (taken == 0)).mean())


def _too_few(data: Dataset, number: int, least: int) -> DataError:
    groups = len(np.unique(data.groups[data.y == number]))  # type: ignore[index]
    return DataError(
        f"{data.name}: class '{data.classes[number]}' is in {groups} group{'s' * (groups > 1)}; expected {least} or "
        "more, because a group is never split and every class must be in every part. Give it more groups, or give a "
        "validation and a test set."
    )
