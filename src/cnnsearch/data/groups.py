"""A cut that keeps groups together: no patient, scene or speaker is in two parts, and classes stay in proportion."""

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import DataError
from cnnsearch.data.dataset import Dataset

TRIES, EFFORT = 40, 100_000
"""Orders that are tried, and how many groups are looked at in all of them."""


def cut(data: Dataset, rows: NDArray[np.intp], fraction: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which of these rows are kept, and which are split off: about `fraction` of each class, by whole groups.

    Groups are drawn in several orders by `seed`; each is split off where that brings the classes nearer to their
    share. The best order counts.

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
            f"{data.name}: there {'is' if len(every) == 1 else 'are'} {len(every)} group{'s' * (len(every) > 1)} only "
            f"({', '.join(map(str, every))}); expected {least} or more, since a group is never split."
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
    """Which groups to split off; None where no order leaves every class in both parts. `counts`: (groups, classes)."""
    total = counts.sum(0)
    best, least = None, np.inf
    for _ in range(max(1, min(TRIES, EFFORT // len(counts)))):
        chosen = _drawn(counts, total, fraction, generator)
        taken = counts[chosen].sum(0)
        if (taken > 0).all() and (taken < total).all():
            off = _off(taken, total, fraction)
            if off < least:
                best, least = chosen, off
    return best


def _drawn(
    counts: NDArray[np.float64], total: NDArray[np.float64], fraction: float, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """One order: the groups that bring the classes nearer to their share are split off."""
    chosen, taken = np.zeros(len(counts), bool), np.zeros(len(total))
    for at in generator.permutation(len(counts)):
        after = taken + counts[at]
        if (after < total).all() and _off(after, total, fraction) < _off(taken, total, fraction):
            chosen[at], taken = True, after
    return chosen


def _off(taken: NDArray[np.float64], total: NDArray[np.float64], fraction: float) -> float:
    """How far the classes are from their share: the mean squared difference, and 1 for a class without any image."""
    return float(((taken / total - fraction) ** 2 + (taken == 0)).mean())


def _too_few(data: Dataset, number: int, least: int) -> DataError:
    groups = len(np.unique(data.groups[data.y == number]))  # type: ignore[index]
    return DataError(
        f"{data.name}: class '{data.classes[number]}' is in {groups} group{'s' * (groups > 1)}; expected {least} or "
        "more, as a group is never split and every class must be in every part. Give it more groups, or bring a "
        "validation and a test set."
    )
