"""Functional ANOVA of hyperparameters (Hutter, Hoos and Leyton-Brown 2014) for many scores of the same trials.

It computes what Optuna's `FanovaImportanceEvaluator` computes, from forests of its own. Two forests of other points
differ by chance, so the values are near those of Optuna and not the same.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution

from cnnsearch.results.report import forest
from cnnsearch.results.report.forest import Leaves

Array = NDArray[np.float64]

TREES = 16
"""The number of trees of the forest."""

TOGETHER = 5
"""So many forests grow together: more take more memory, and not less time."""

MOST_HALVES = 6
"""A hyperparameter with more choices has too many combinations of its columns to go through."""


class Encoded(NamedTuple):
    """Trials as numbers, of shape (trials, columns).

    Attributes:
        x: the values; a categorical hyperparameter has one column for each choice.
        bounds: the range of each column, of shape (columns, 2).
        columns: the columns of each hyperparameter, by its name.
    """

    x: Array
    bounds: Array
    columns: dict[str, list[int]]


def encoded(points: Sequence[dict[str, Any]], space: dict[str, BaseDistribution]) -> Encoded:
    """The values of the hyperparameters in `space`, which all points have."""
    parts: list[Array] = []
    bounds: list[tuple[float, float]] = []
    columns: dict[str, list[int]] = {}
    for name, distribution in space.items():
        values = [point[name] for point in points]
        if isinstance(distribution, CategoricalDistribution):
            chosen = np.array([distribution.to_internal_repr(value) for value in values], int)
            part = np.eye(len(distribution.choices))[chosen]
            ranges = [(0.0, 1.0)] * len(distribution.choices)
        else:
            part = np.array(values, float)[:, None]
            ranges = [(float(vars(distribution)["low"]), float(vars(distribution)["high"]))]
        columns[name] = list(range(len(bounds), len(bounds) + len(ranges)))
        parts.append(part)
        bounds += ranges
    return Encoded(np.hstack(parts), np.array(bounds), columns)


def shares(trials: Encoded, y: Array) -> dict[str, Array]:
    """The share of the variance that each hyperparameter explains alone, for each row of `y`; empty if it has none."""
    low, high = trials.bounds.T
    x = (trials.x - low) / np.where(high > low, high - low, 1.0)
    found = [_shares(trials.columns, x, y[at : at + TOGETHER]) for at in range(0, len(y), TOGETHER)]
    return {name: np.concatenate([each[name] for each in found]) for name in trials.columns}


def _shares(columns: dict[str, list[int]], x: Array, y: Array) -> dict[str, Array]:
    leaves = forest.grown(x, y, TREES)
    volumes = np.prod(leaves.high - leaves.low, axis=1)
    trees = len(y) * TREES
    mean = np.bincount(leaves.tree, volumes * leaves.values, trees)
    values = leaves.values - mean[leaves.tree]
    variance = np.bincount(leaves.tree, volumes * values**2, trees)
    varied = variance > 1e-12 * np.maximum(1e-300, y.var())
    found = {}
    for name, own in columns.items():
        weighed = values * volumes / np.prod(leaves.high[:, own] - leaves.low[:, own], axis=1)
        alone = _marginal_variance(leaves, weighed, own, trees)
        share = np.where(varied, alone / np.where(varied, variance, 1.0), np.nan).reshape(len(y), TREES)
        found[name] = np.array([each[~np.isnan(each)].mean() if (~np.isnan(each)).any() else 0.0 for each in share])
    return found


def _marginal_variance(leaves: Leaves, weighed: Array, columns: list[int], trees: int) -> Array:
    """The variance of the mean over all other columns, of each tree.

    `weighed` is the value of each leaf, less the mean of its tree, times its volume in the other columns.
    """
    if len(columns) > MOST_HALVES:
        starts = np.searchsorted(leaves.tree, np.arange(trees + 1))
        return np.array([_overlap_variance(leaves, weighed, columns, slice(*ends)) for ends in pairwise(starts)])
    if len(columns) > 1:
        return _halves_variance(leaves, weighed, columns)
    # the mean changes where a leaf begins or ends
    place = np.concatenate([leaves.low[:, columns[0]], leaves.high[:, columns[0]]])
    tree, change = np.tile(leaves.tree, 2), np.concatenate([weighed, -weighed])
    order = np.lexsort((place, tree))
    place, tree = place[order], tree[order]
    # between two trees all leaves have ended, so the sum is 0
    means = np.cumsum(change[order])[:-1]
    widths = np.where(tree[:-1] == tree[1:], np.diff(place), 0.0)
    found: Array = np.bincount(tree[:-1], widths * means**2, trees).astype(float)
    return found


def _halves_variance(leaves: Leaves, weighed: Array, columns: list[int]) -> Array:
    """The same for the columns of a categorical hyperparameter: each is split in the middle or not at all."""
    inside = weighed[:, None]
    for column in columns:
        halves = np.stack([leaves.low[:, column] < 0.5, leaves.high[:, column] > 0.5], axis=1)
        inside = (inside[:, :, None] * halves[:, None]).reshape(len(weighed), -1)
    starts = np.flatnonzero(np.diff(leaves.tree, prepend=-1))
    found: Array = np.mean(np.add.reduceat(inside, starts) ** 2, axis=1)
    return found


def _overlap_variance(leaves: Leaves, weighed: Array, columns: list[int], own: slice) -> float:
    """The same for one tree and any columns: from the parts of the space that two of its leaves share."""
    shared = np.outer(weighed[own], weighed[own])
    for column in columns:
        low, high = leaves.low[own, column], leaves.high[own, column]
        shared *= np.maximum(0.0, np.minimum.outer(high, high) - np.maximum.outer(low, low))
    return float(shared.sum())
