"""The weights of a prior in the form that a sampler uses. They fade as the study's own trials come in."""

import math
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, TrialState

from cnnsearch.spaces.prior import Weights, projected
from cnnsearch.study.optuna_distributions import from_optuna

FADE = 5.0
"""After n trials a weight counts with the power FADE / n, but never with more than 1. This is the rule of πBO (Hvarfner
et al. 2022), where FADE is called β."""

WIDTH = 0.15
"""How far a good number reaches, as a part of the range."""

FLOOR = 0.1
"""The share of a weight that all values have, so that none is excluded."""

CANDIDATES = 16
"""A random value is drawn from so many, by their weights."""

ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


class PriorWeights:
    """Weighs values of hyperparameters by what was good in other studies."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._known: dict[tuple[str, str], list[tuple[Any, float]]] = {}

    def __bool__(self) -> bool:
        return bool(self._weights)

    def logs(self, name: str, distribution: BaseDistribution, values: list[Any]) -> np.ndarray[Any, Any]:
        """The logarithm of the weight of each value; zeros if nothing is known about the hyperparameter."""
        good = self._good(name, distribution)
        if not good:
            return np.zeros(len(values))
        return np.log([FLOOR + (1 - FLOOR) * _weight(value, good, distribution) for value in values])

    def power(self, study: Any) -> float:
        """With which power the weights count at present."""
        return min(1.0, FADE / max(1, self.ended(study)))

    def ended(self, study: Any) -> int:
        """How many trials of the study a sampler learns from."""
        return len(study._get_trials(deepcopy=False, states=ENDED, use_cache=True))

    def drawn(self, study: Any, name: str, distribution: BaseDistribution, draw: Any, generator: Any) -> Any:
        """One of some values that `draw` gives, chosen by their weights."""
        if not self._good(name, distribution) or distribution.single():
            return draw()
        values = [draw() for _ in range(CANDIDATES)]
        odds = np.exp(self.power(study) * self.logs(name, distribution, values))
        return values[generator.choice(CANDIDATES, p=odds / odds.sum())]

    def _good(self, name: str, distribution: BaseDistribution) -> list[tuple[Any, float]]:
        """The good values that this distribution has, with weights whose sum is 1."""
        key = name, repr(distribution)
        if key not in self._known:
            own = from_optuna(distribution)
            pairs = [(projected(value, own), weight) for value, weight in self._weights.get(name, ())]
            pairs = [(value, weight) for value, weight in pairs if weight and own.contains(value)]
            total = sum(weight for _, weight in pairs)
            self._known[key] = [(value, weight / total) for value, weight in pairs]
        return self._known[key]


class WeightedRandomSampler(RandomSampler):
    """Draws at random, and values with a larger weight more often."""

    def __init__(self, seed: int, weights: Weights) -> None:
        super().__init__(seed)
        self._prior = PriorWeights(weights)

    def sample_independent(
        self, study: Any, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        def draw() -> Any:
            return super(WeightedRandomSampler, self).sample_independent(study, trial, param_name, param_distribution)

        return self._prior.drawn(study, param_name, param_distribution, draw, self._rng.rng)


def _weight(value: Any, good: list[tuple[Any, float]], distribution: BaseDistribution) -> float:
    if isinstance(distribution, CategoricalDistribution):
        return sum(weight for each, weight in good if each == value and type(each) is type(value))
    place = _place(value, distribution)
    return sum(weight * math.exp(-0.5 * ((_place(each, distribution) - place) / WIDTH) ** 2) for each, weight in good)


def _place(value: float, distribution: Any) -> float:
    """Where a number is in its range, from 0 to 1."""
    scale = math.log if distribution.log else float
    low, high = scale(distribution.low), scale(distribution.high)
    return (scale(value) - low) / (high - low) if high > low else 0.0
