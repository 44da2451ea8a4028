"""Splits a dataset by whole groups, such as patients, and keeps the shares of the classes."""

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import DataError
from cnnsearch.data.dataset import Dataset

TRIES = 40
"""The most random orders of the groups that are tried."""

EFFORT = 100_000
"""The most groups that are visited in all orders together."""


def cut(data: Dataset, rows: NDArray[np.intp], fraction: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows that are kept and the rows that are split off: whole groups, about `fraction` of each class.

    The groups are visited in several random orders. A group is split off if that brings the classes nearer to
    `fraction`. The best order is used.

    Raises:
        DataError: if there are too few groups, or a class has too few of them to be in every part.
    """
    assert data.groups is not None
    names, group = np.unique(data.groups[rows], return_inverse=True)
    kinds, kind = np.unique(data.y[rows], return_inverse=True)
    least = 1 + sum(part is None for part in (data.x_val, data.x_test))
    every = np.unique(data.groups)
    if len(every) < least:
        raise DataError(
            f"{data.name}: there {'is' if len(every) == 1 else 'are'} {len(every)} group{'s' * (len(every) > 1)} "
            f"({', '.join(map(str, every))}); expected {least} or more, because a group is never split."
        )
    counts = np.zeros((len(names), len(kinds)))
    np.add.at(counts, (group, kind), 1)
    for number, groups in zip(kinds, (counts > 0).sum(0), strict=True):
        if groups < 2:
            raise _too_few(data, int(number), least)
    chosen = _best(counts, fraction, np.random.default_rng(seed))
    if chosen is None:
        raise _too_few(data, int(kinds[(counts > 0).sum(0).argmin()]), least)
    taken = chosen[group]
    return rows[~taken], rows[taken]


def _best(counts: NDArray[np.float64], fraction: float, generator: np.random.Generator) -> NDArray[np.bool_] | None:
    """The groups to split off; None if no order leaves every class in both parts. `counts` is (groups, classes)."""
    total = counts.sum(0)
    best, least = None, np.inf
    for _ in range(max(1, min(TRIES, EFFORT // len(counts)))):
        chosen = _drawn(counts, total, fraction, generator)
        taken = counts[chosen].sum(0)
        if (taken > 0).all() and (taken < total).all():
            distance = _distance(taken, total, fraction)
            if distance < least:
                best, least = chosen, distance
    return best


def _drawn(
    counts: NDArray[np.float64], total: NDArray[np.float64], fraction: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """The groups to split off in one random order: those that bring the classes nearer to `fraction`."""
    chosen, taken = np.zeros(len(counts), bool), np.zeros(len(total))
    for at in generator.permutation(len(counts)):
        after = taken + counts[at]
        if (after < total).all() and _distance(after, total, fraction) < _distance(taken, total, fraction):
            chosen[at], taken = True, after
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
