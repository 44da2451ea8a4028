"""What answers in place of training in benchmarks/samplers.py: a surrogate fitted to measured points of a space."""

import functools
import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnsearch.spaces import plugins, space
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.hyperparameters import Draw, HyperParameters, by_chance, defaults

HERE = Path(__file__).parent
CLASSES = 10
FOLDS = 5
CHANCE, CLIMBS, STEPS = 3000, 10, 40
"""So many points by chance, and so many of the best of them improved in so many steps, to find the best attainable."""
CHANGED = 0.15
"""The share of hyperparameters that a step of a climb draws anew."""

Values = dict[str, Any]


class Landscape:
    """A task's space, drawn through cnnsearch's own `hp`, and its points as numbers."""

    def __init__(self, task: str) -> None:
        self._catalog = plugins.load()
        loaded = space.load(str(HERE / "spaces" / f"{task}_small.toml"), self._catalog)
        self._space = space.check(loaded, self._catalog)
        assert self._space.input_shape is not None
        self._start = space.start_plan(self._space, self._space.input_shape, CLASSES)
        self.known: dict[str, Distribution] = {}
        for number in range(200):
            self.known |= self._drawn(by_chance(number)).space
        self.known = {name: d for name, d in sorted(self.known.items()) if d.size > 1}

    def point(self, draw: Draw) -> Values:
        """The hyperparameters that `draw` answers for; those that do not apply are not among them."""
        return self._drawn(draw).values

    def _drawn(self, draw: Draw) -> HyperParameters:
        hp = HyperParameters(draw)
        space.draw(self._space, self._catalog, hp, self._start)
        return hp

    def default(self) -> Values:
        """The default point."""
        return self.point(defaults)

    def encoded(self, values: Values) -> list[float]:
        """A point as numbers: from 0 to 1 where there is an order, one column a choice where there is none."""
        row: list[float] = []
        for name, distribution in self.known.items():
            row += _columns(distribution, name in values, values.get(name))
        return row

    def near(self, values: Values, generator: random.Random) -> Values:
        """A point that differs from another in a few hyperparameters."""

        def draw(name: str, distribution: Distribution) -> Any:
            again = name not in values or generator.random() < CHANGED
            return distribution.random(generator) if again else values[name]

        return self.point(draw)


def _columns(d: Distribution, applies: bool, value: Any) -> list[float]:
    if d.kind == "choice":
        if any(isinstance(choice, str) for choice in d.choices):
            return [float(applies and value == choice) for choice in d.choices]
        order = sorted(d.choices, key=lambda choice: float(choice or 0))
        return [order.index(value) / (len(order) - 1) if applies else -0.5]
    if not applies:
        return [-0.5]
    scale = math.log if d.log else float
    return [(scale(value) - scale(d.low)) / (scale(d.high) - scale(d.low))]


def logit(accuracy: float, images: int) -> float:
    """The log odds of an accuracy on so many images, finite also at 0 and 1."""
    right = accuracy * images
    return math.log((right + 0.5) / (images - right + 0.5))


def accuracy(score: Any) -> Any:
    """The accuracy of log odds."""
    return 1 / (1 + np.exp(-np.asarray(score)))


def trees() -> Any:
    """Extremely randomised trees."""
    from sklearn.ensemble import ExtraTreesRegressor

    return ExtraTreesRegressor(100, min_samples_leaf=2, random_state=0)


def forest() -> Any:
    """A random forest."""
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(100, min_samples_leaf=2, random_state=0)


def boosting() -> Any:
    """Boosted trees."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(learning_rate=0.05, min_samples_leaf=5, random_state=0)


def smooth(columns: int) -> Any:
    """A Gaussian process with a length for each column."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    # bounded, so that no column is taken for a cliff nor the noise for nothing
    lengths = Matern([1.0] * columns, (0.2, 50.0), nu=2.5)
    kernel = ConstantKernel(1.0, (0.05, 50.0)) * lengths + WhiteKernel(0.1, (0.005, 1.0))
    return GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)


def models(columns: int) -> dict[str, Any]:
    """What may stand for training, unfitted."""
    return {"trees": trees(), "forest": forest(), "boosting": boosting(), "smooth": smooth(columns)}


class Fit(NamedTuple):
    """How well a model foretells plans that it was not fitted to."""

    r2: float
    spearman: float
    upper_spearman: float
    """Among the better half of the plans."""


def cross_validated(model: Any, x: NDArray[Any], y: NDArray[Any], plans: Sequence[int]) -> Fit:
    """All trainings of a plan are in one fold."""
    from scipy.stats import spearmanr
    from sklearn.metrics import r2_score
    from sklearn.model_selection import GroupKFold, cross_val_predict

    folds = GroupKFold(FOLDS, shuffle=True, random_state=0)
    told = quietly(lambda: cross_val_predict(model, x, y, groups=plans, cv=folds))
    upper = y >= np.median(y)
    ranks = [float(spearmanr(told[part], y[part]).statistic) for part in (slice(None), upper)]
    return Fit(round(float(r2_score(y, told)), 3), *(round(rank, 3) for rank in ranks))


def quietly(call: Any) -> Any:
    """A length at its bound, or a fit that ends before it has quite converged, is worth no line each."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


class Surrogate:
    """Answers with an accuracy for a point: the true one, and as one training would show it."""

    def __init__(self, task: str, trainings: list[dict[str, Any]], kind: str) -> None:
        self.land = Landscape(task)
        self.images = int(trainings[0]["validated"])
        x, y = self.table(trainings)
        self._middle = float(np.median(y))
        self.noise = noise(trainings, y, self._middle)
        model = models(x.shape[1])[kind]
        quietly(lambda: model.fit(x, y))
        self._score = _quick(model) if kind in ("trees", "forest") else model.predict

    def table(self, trainings: list[dict[str, Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Trainings as numbers, and their log odds."""
        x = np.array([self.land.encoded(row["values"]) for row in trainings])
        return x, np.array([logit(row["best"], self.images) for row in trainings])

    def scores(self, points: Iterable[Values]) -> NDArray[Any]:
        """The log odds of points."""
        return np.asarray(self._score(np.array([self.land.encoded(values) for values in points])))

    def observed(self, score: float, generator: np.random.Generator) -> float:
        """What a training would show of these log odds: with noise, in whole images."""
        below, above = self.noise
        spread = above if score >= self._middle else below
        return round(float(accuracy(score + generator.normal(0, spread))) * self.images) / self.images

    @functools.cached_property
    def by_chance(self) -> tuple[list[Values], NDArray[Any]]:
        """Points by chance, none of those that were measured, and their scores."""
        drawn = [self.land.point(by_chance(1_000_000 + number)) for number in range(CHANCE)]
        return drawn, self.scores(drawn)

    def best(self) -> float:
        """The best score that is found by looking hard."""
        drawn, found = self.by_chance
        generator, best = random.Random(0), float(found.max())
        for at in np.argsort(-found)[:CLIMBS]:
            values, score = drawn[at], float(found[at])
            for _ in range(STEPS):
                near = [self.land.near(values, generator) for _ in range(8)]
                scores = self.scores(near)
                if scores.max() > score:
                    values, score = near[int(scores.argmax())], float(scores.max())
            best = max(best, score)
        return best


def _quick(model: Any) -> Any:
    """A forest's `predict` without the checks, which take longer than the trees do."""
    every = [each.tree_ for each in model.estimators_]

    def predict(x: NDArray[Any]) -> NDArray[Any]:
        rows = np.ascontiguousarray(x, dtype=np.float32)
        return np.asarray(sum(tree.predict(rows)[:, 0] for tree in every) / len(every))

    return predict


def noise(trainings: list[dict[str, Any]], y: NDArray[Any], middle: float) -> tuple[float, float]:
    """The standard deviation between seeds of one plan, for plans below and above the middle."""
    by_plan: dict[int, list[float]] = {}
    for row, score in zip(trainings, y, strict=True):
        by_plan.setdefault(row["plan"], []).append(float(score))
    pairs = [scores for scores in by_plan.values() if len(scores) > 1]
    below = [np.var(scores, ddof=1) for scores in pairs if np.mean(scores) < middle]
    above = [np.var(scores, ddof=1) for scores in pairs if np.mean(scores) >= middle]
    return float(np.mean(below) ** 0.5), float(np.mean(above) ** 0.5)
