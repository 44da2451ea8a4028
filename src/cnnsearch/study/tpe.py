"""Optuna's TPE sampler, which remembers the values of ended trials in the form that it computes with."""

import heapq
import importlib
import math
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from cnnsearch.spaces.prior import Weights
from cnnsearch.study.prior_weights import PriorWeights

READ = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)

Place = tuple[float, ...]
"""Where a trial stands among the ended ones: the first are the best."""


class RememberingTPESampler(TPESampler):
    """Draws the same points as `TPESampler`, unless a prior weighs values.

    TPE sorts all trials and converts their parameters for each draw, which takes most of its time in a study of
    thousands of trials. Here that is done once for each trial that ended.

    `weights` of a prior multiply the acquisition function, as in πBO (Hvarfner et al. 2022), and bias random draws.
    """

    def __init__(self, weights: Weights | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._prior = PriorWeights(weights or {})
        self._tables: dict[tuple[Any, ...], dict[int, tuple[FrozenTrial, tuple[float, ...] | None]]] = {}
        self._places: dict[int, tuple[FrozenTrial, Place]] = {}

    def _sample(self, study: Any, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        if study._is_multi_objective() or not self._constant_liar:
            drawn: dict[str, Any] = super()._sample(study, trial, search_space)
            return drawn
        every = study._get_trials(deepcopy=False, states=READ, use_cache=False)
        below, above = self._split([other for other in every if other._trial_id != trial._trial_id], study.direction)
        good = self._build_parzen_estimator(study, search_space, below, handle_below=True)
        rest = self._build_parzen_estimator(study, search_space, above, handle_below=False)
        samples = good.sample(self._rng.rng, self._n_ei_candidates)
        values = self._compute_acquisition_func(samples, good, rest)
        if self._prior:
            power = self._prior.power(study)
            for name, each in search_space.items():
                values = values + power * self._prior.logs(name, each, list(map(each.to_external_repr, samples[name])))
        chosen = self._compare(samples, values)
        return {name: each.to_external_repr(chosen[name]) for name, each in search_space.items()}

    def sample_independent(
        self, study: Any, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        def draw() -> Any:
            return super(RememberingTPESampler, self).sample_independent(study, trial, param_name, param_distribution)

        if self._prior and self._prior.ended(study) < self._n_startup_trials:
            return self._prior.drawn(study, param_name, param_distribution, draw, self._rng.rng)
        return draw()

    def _split(
        self, trials: list[FrozenTrial], direction: StudyDirection
    ) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
        """The best trials, as many as `gamma` says, and the others with the running ones, in their order."""
        optunas = importlib.import_module("optuna.samplers._tpe.sampler")
        self._gamma = self._gamma or optunas.default_gamma
        places = [self._place(each, direction) for each in trials if each.state != TrialState.RUNNING]
        best = {place[-1] for place in heapq.nsmallest(self._gamma(len(places)), places)}
        return [t for t in trials if t._trial_id in best], [t for t in trials if t._trial_id not in best]

    def _place(self, trial: FrozenTrial, direction: StudyDirection) -> Place:
        """Complete trials by their value; pruned ones by their last epoch, then its value; last the infeasible ones."""
        known = self._places.get(trial._trial_id)
        if known is not None and known[0] is trial:
            return known[1]
        sign = -1.0 if direction == StudyDirection.MAXIMIZE else 1.0
        violation = sum(value for value in (trial.constraints or {}).values() if value > 0)
        if violation > 0:
            place: Place = (2, violation, 0)
        elif trial.state == TrialState.COMPLETE:
            place = (0, sign * (trial.value or 0.0), 0)
        elif trial.intermediate_values:
            step, value = max(trial.intermediate_values.items())
            place = (1, -step, math.inf if math.isnan(value) else sign * value)
        else:
            place = (1, 1, 0)
        self._places[trial._trial_id] = trial, (*place, trial.number, trial._trial_id)
        return self._places[trial._trial_id][1]

    def _get_internal_repr(
        self, trials: list[FrozenTrial], search_space: dict[str, BaseDistribution], study: Any
    ) -> dict[str, Any]:
        table = self._tables.setdefault(tuple((name, repr(each)) for name, each in search_space.items()), {})
        rows: list[tuple[float, ...]] = []
        for trial in trials:
            known = table.get(trial._trial_id)
            if known is None or known[0] is not trial:
                known = trial, self._row(trial, search_space, study)
                if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
                    table[trial._trial_id] = known
            if known[1] is not None:
                rows.append(known[1])
        columns = np.array(rows, dtype="float64").reshape(len(rows), len(search_space)).T
        return {name: np.ascontiguousarray(columns[at]) for at, name in enumerate(search_space)}

    def _row(
        self, trial: FrozenTrial, search_space: dict[str, BaseDistribution], study: Any
    ) -> tuple[float, ...] | None:
        """The values of a trial; None if it has not all parameters."""
        params = self._get_params(trial, study)
        if not search_space.keys() <= params.keys():
            return None
        return tuple(each.to_internal_repr(params[name]) for name, each in search_space.items())
