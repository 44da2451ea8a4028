"""Converts what a HyperModel's own `fit` returns, in all forms that KerasTuner allows, to metrics of epochs."""

from statistics import fmean
from typing import Any

import numpy as np

from cnnsearch.core.errors import TrialFailure
from cnnsearch.core.metric_names import RETURNED


def epochs(given: Any, metric: str, maximize: bool = True) -> list[dict[str, float]]:
    """The metrics of each epoch from a number, a dict, a History, or a list of these (their mean). None gives no epoch.

    A number is the value of `metric`. `maximize`: whether a larger value of it is better.

    Raises:
        TrialFailure: `plugin_error`, if it has none of these forms.
    """
    if given is None:
        return []
    if isinstance(given, list | tuple) and given:
        return [_mean([_one(each, metric, maximize) for each in given])]
    if isinstance(history := getattr(given, "history", None), dict):
        return _by_epoch(history)
    return [_one(given, metric, maximize)]


def _one(given: Any, metric: str, maximize: bool) -> dict[str, float]:
    """The metrics of one result. A History counts by its best epoch, by `metric`."""
    if isinstance(history := getattr(given, "history", None), dict):
        every = _by_epoch(history)
        with_it = [told for told in every if metric in told] or every[-1:]
        best = max if maximize else min
        return best(with_it, key=lambda told: told.get(metric, 0.0)) if with_it else {}
    if isinstance(given, dict):
        return {str(name): _number(value) for name, value in given.items()}
    return {metric or RETURNED: _number(given)}


def _number(given: Any) -> float:
    """A number, also from an array or a tensor with one element."""
    try:
        found = np.asarray(given, "float64")
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.size != 1:
        raise TrialFailure(
            "plugin_error",
            f"fit returned {type(given).__name__}; expected a number, a dict of metrics, a History, or a list of them",
        )
    return float(found.reshape(()))


def _by_epoch(history: dict[str, Any]) -> list[dict[str, float]]:
    # a metric such as F1Score may have one number for each class
    single = {name: values for name, values in history.items() if not len(values) or np.size(values[0]) == 1}
    # some lists are shorter if validation is not done after each epoch
    length = max((len(values) for values in single.values()), default=0)
    whole = {name: values for name, values in single.items() if len(values) == length}
    return [{name: _number(values[epoch]) for name, values in whole.items()} for epoch in range(length)]


def _mean(every: list[dict[str, float]]) -> dict[str, float]:
    shared = [name for name in every[0] if all(name in told for told in every)]
    return {name: fmean(told[name] for told in every) for name in shared}
