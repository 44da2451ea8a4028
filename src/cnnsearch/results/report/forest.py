"""Random forests of regression trees (Breiman 2001). All trees grow together: a step splits all nodes of one depth.

scikit-learn has such forests, but it takes longer to import than these take to grow.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

DEPTH = 64
"""The largest depth of a tree."""

TIES = 1e-9
"""Of splits whose gains differ by less than this share, one is chosen at random."""


class Leaves(NamedTuple):
    """The leaves of all trees, ordered by their trees.

    Attributes:
        tree: the tree of each leaf.
        values: the mean of the points in each leaf.
        low: the lower end of each leaf in each column, of shape (leaves, columns).
        high: the upper end.
    """

    tree: Ints
    values: Array
    low: Array
    high: Array


class _Points(NamedTuple):
    """The points that a tree was given, one after the other: its node, its place in `x`, how often, and its value."""

    node: Ints
    place: Ints
    weight: Array
    y: Array

    def of(self, chosen: Ints) -> "_Points":
        return _Points(self.node[chosen], self.place[chosen], self.weight[chosen], self.y[chosen])


class _Splits(NamedTuple):
    """The best split of each node: what it gains, its column and its threshold."""

    gain: Array
    column: Ints
    threshold: Array


def grown(x: Array, y: Array, trees: int, seed: int = 0) -> Leaves:
    """The leaves of a forest for each row of `y`, each of `trees` trees; those of the first row come first.

    Every tree gets as many points as there are, drawn with replacement, and is split until no split makes it better.
    All forests draw the same points. `x` has values from 0 to 1, of shape (points, columns), `y` is of shape
    (forests, points).
    """
    generator = np.random.default_rng(seed)
    count = len(x)
    drawn = generator.integers(count, size=(trees, count))
    weights = np.array([np.bincount(each, minlength=count) for each in drawn], float)
    forest, place = (part.ravel() for part in np.nonzero(np.tile(weights, (len(y), 1))))
    points = _Points(forest, place, weights[forest % trees, place], y[forest // trees, place])
    tree = np.arange(len(y) * trees)
    low, high = np.zeros((len(tree), x.shape[1])), np.ones((len(tree), x.shape[1]))
    found: list[Leaves] = []
    for depth in range(DEPTH + 1):
        points = points.of(np.argsort(points.node, kind="stable"))
        starts = np.searchsorted(points.node, np.arange(len(tree)))
        total = np.add.reduceat(points.weight, starts)
        means = np.add.reduceat(points.weight * points.y, starts) / total
        best = _best_splits(x, points._replace(y=points.y - means[points.node]), starts, generator)
        split = (best.gain > 0) & (depth < DEPTH)
        found.append(Leaves(tree[~split], means[~split], low[~split], high[~split]))
        nodes = np.flatnonzero(split)
        if not nodes.size:
            break
        # the nodes below: those on the left first, then those on the right
        numbers = np.full(len(tree), -1)
        numbers[nodes] = np.arange(len(nodes))
        points = points.of(np.flatnonzero(split[points.node]))
        right = x[points.place, best.column[points.node]] > best.threshold[points.node]
        points = points._replace(node=numbers[points.node] + right * len(nodes))
        tree, low, high = np.tile(tree[nodes], 2), np.tile(low[nodes], (2, 1)), np.tile(high[nodes], (2, 1))
        at, column, threshold = np.arange(len(nodes)), best.column[nodes], best.threshold[nodes]
        high[at, column] = low[at + len(nodes), column] = threshold
    tree, values, low, high = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(tree, kind="stable")
    return Leaves(tree[order], values[order], low[order], high[order])


def _best_splits(x: Array, points: _Points, starts: Ints, generator: np.random.Generator) -> _Splits:
    """The best split of each node; the points are ordered by their nodes, and their values have a mean of 0."""
    nodes, moment = len(starts), points.weight * points.y
    total = np.add.reduceat(points.weight, starts)
    scale = np.add.reduceat(moment * points.y, starts)
    gains, thresholds = np.zeros((nodes, x.shape[1])), np.full((nodes, x.shape[1]), 0.5)
    values = [np.unique(column) for column in x.T]
    halves = [at for at, found in enumerate(values) if len(found) == 2 and found[0] == 0 and found[1] == 1]
    # the sum of all values of a node is 0, so that of its right side is that of its left one, with the other sign
    upper = x[points.place][:, halves]
    weight = np.add.reduceat(points.weight[:, None] * upper, starts)
    gains[:, halves] = _gain(np.add.reduceat(moment[:, None] * upper, starts), weight, total[:, None])
    for column, found in enumerate(values):
        if column not in halves and len(found) > 1:
            gains[:, column], thresholds[:, column] = _best_threshold(x[points.place, column], points, starts, total)
    gains[gains <= TIES * scale[:, None]] = 0
    best = (gains * (1 + TIES * generator.random(gains.shape))).argmax(1)
    every = np.arange(nodes)
    return _Splits(gains[every, best], best, thresholds[every, best])


def _best_threshold(value: Array, points: _Points, starts: Ints, total: Array) -> tuple[Array, Array]:
    """The gain and the threshold of the best split of each node by one column."""
    order = np.lexsort((value, points.node))
    value, weight = value[order], points.weight[order]
    moment = weight * points.y[order]
    weights, moments = np.cumsum(weight), np.cumsum(moment)
    before = np.concatenate([[0.0], weights])[starts], np.concatenate([[0.0], moments])[starts]
    inside = points.node[:-1] == points.node[1:]
    gain = np.zeros(len(value))
    below, node = np.flatnonzero(inside & (value[:-1] < value[1:])), points.node
    own = node[below]
    gain[below] = _gain(moments[below] - before[1][own], weights[below] - before[0][own], total[own])
    best = np.maximum.reduceat(gain, starts)
    # the first point of each node with the best gain
    candidates = np.flatnonzero(gain == best[node])
    first = candidates[np.searchsorted(node[candidates], np.arange(len(starts)))]
    after = np.minimum(first + 1, len(value) - 1)
    return best, (value[first] + value[after]) / 2


def _gain(moment: Array, weight: Array, total: Array) -> Array:
    """By how much a split reduces the squared error, if one side has this sum of values and this weight."""
    other = total - weight
    possible = (weight > 0.5) & (other > 0.5)
    divisor = np.where(possible, weight * other, 1.0)
    return np.where(possible, moment**2 * total / divisor, 0.0)
