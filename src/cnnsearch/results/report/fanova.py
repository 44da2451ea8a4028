"""Functional ANOVA of hyperparameters (Hutter, Hoos and Leyton-Brown 2014) with the leaves of a forest as arrays.

The values are those of Optuna's `FanovaImportanceEvaluator`, which walks through each tree for each value instead.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution

Array = NDArray[np.float64]

TREES = 16
"""The number of trees of the forest."""

DEPTH = 64
"""The largest depth of a tree."""


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


def shares(trials: Encoded, y: Array) -> dict[str, float]:
    """The share of the variance of `y` that each hyperparameter explains alone; empty if all are equal."""
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(TREES, max_depth=DEPTH, random_state=0).fit(trials.x, y)
    leaves = [_leaves(each.tree_, trials.bounds) for each in forest.estimators_]
    leaves = [each for each in leaves if each.variance > 0]
    return {
        name: float(np.mean([each.marginal_variance(own) / each.variance for each in leaves]))
        for name, own in trials.columns.items()
        if leaves
    }


class _Leaves(NamedTuple):
    """The leaves of a tree: their values, and the box of each, of shape (leaves, columns), with its volume."""

    values: Array
    low: Array
    high: Array
    volumes: Array

    @property
    def variance(self) -> float:
        """The variance of the tree over the whole space."""
        return _variance(self.values, self.volumes)

    def marginal_variance(self, columns: list[int]) -> float:
        """The variance of the mean over all other columns."""
        weights = self.volumes / np.prod(self.high[:, columns] - self.low[:, columns], axis=1)
        # which leaves each part of the space has: the tree is constant within a part
        inside, sizes = np.ones((1, len(self.values)), bool), np.ones(1)
        for column in columns:
            edges = np.unique(np.concatenate([self.low[:, column], self.high[:, column]]))
            middles = (edges[1:] + edges[:-1])[:, None] / 2
            own = (self.low[:, column] < middles) & (middles <= self.high[:, column])
            inside = (inside[:, None] & own).reshape(-1, len(self.values))
            sizes = np.outer(sizes, np.diff(edges)).ravel()
        total = inside @ weights
        found = total > 0
        means = (inside @ (weights * self.values))[found] / total[found]
        return _variance(means, (total * sizes)[found])


def _variance(values: Array, weights: Array) -> float:
    weights = weights / weights.sum()
    return float((values - values @ weights) ** 2 @ weights)


def _leaves(tree: Any, bounds: Array) -> _Leaves:
    low, high = (np.repeat(side[None], tree.node_count, axis=0) for side in bounds.T)
    left, right, feature, threshold = tree.children_left, tree.children_right, tree.feature, tree.threshold
    nodes = np.zeros(1, int)
    # all nodes of one depth at a time
    while (nodes := nodes[feature[nodes] >= 0]).size:
        below, above, column = left[nodes], right[nodes], feature[nodes]
        low[below] = low[above] = low[nodes]
        high[below] = high[above] = high[nodes]
        high[below, column] = low[above, column] = threshold[nodes]
        nodes = np.concatenate([below, above])
    ends = feature < 0
    low, high = low[ends], high[ends]
    return _Leaves(tree.value[ends, 0, 0], low, high, np.prod(high - low, axis=1))
