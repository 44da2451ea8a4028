"""What `fit` and `run_trial` of a tuner return, and metrics and hyperparameters as plain values."""

import hashlib
import json
import math
from collections.abc import Mapping
from statistics import fmean
from typing import Any

import keras
import numpy as np
from keras_tuner import errors

from cnnsearch.core.errors import TrialFailure
from cnnsearch.spaces.self_training import Report


def metrics_of(results: Any, objective: Any) -> Mapping[str, Any]:
    """The metrics of what `fit` or `run_trial` returned: of a History those of its best epoch, of a list the means."""
    if isinstance(results, list):
        every = [metrics_of(each, objective) for each in results]
        shared = [name for name in every[0] if all(name in each for each in every)]
        return {name: fmean(float(each[name]) for each in every) for name in shared}
    if isinstance(results, Mapping):
        return results
    if isinstance(results, keras.callbacks.History):
        return _by_epoch(results)[_best_epoch(results, objective)]
    return {objective.name: float(results)}


def best_step(results: Any, objective: Any) -> int:
    """The epoch of the best value, counted from 0; of several trainings their mean."""
    if isinstance(results, list):
        return int(fmean(best_step(each, objective) for each in results))
    return _best_epoch(results, objective) if isinstance(results, keras.callbacks.History) else 0


def _by_epoch(history: Any) -> list[dict[str, Any]]:
    count = max((len(values) for values in history.history.values()), default=0)
    found: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, values in history.history.items():
        for epoch, value in enumerate(values):
            found[epoch][name] = value
    return found


def _best_epoch(history: Any, objective: Any) -> int:
    every = _by_epoch(history)
    if every and not all(map(objective.has_value, every)):
        reported = ", ".join(sorted(every[0]))
        raise TrialFailure("invalid", f"there is no metric '{objective.name}'; the model reports {reported}")
    values = [objective.get_value(metrics) for metrics in every]
    best = max(values) if objective.direction == "max" else min(values)
    return values.index(best)


def check(results: Any, objective: Any, source: str) -> None:
    """Check what `fit` or `run_trial` returned, with KerasTuner's messages.

    Raises:
        FatalTypeError, FatalValueError: if it is nothing that KerasTuner allows.
    """
    if isinstance(results, list) and results:
        for each in results:
            check(each, objective, source)
        return
    if isinstance(results, int | float | np.floating):
        return
    if results is None:
        raise errors.FatalTypeError(f"The return value of {source} is None. Did you forget to return the metrics? ")
    has_objective = isinstance(results, Mapping) and objective.name in results
    if objective.name == "default_objective" and not has_objective:
        raise errors.FatalTypeError(
            f"Expected the return value of {source} to be a single float when `objective` is left unspecified. "
            f"Recevied return value: {results} of type {type(results)}."
        )
    if isinstance(results, Mapping):
        if not (has_objective or objective.has_value(results)):
            raise errors.FatalValueError(
                f"Expected the returned dictionary from {source} to have the specified objective, {objective.name}, "
                f"as one of the keys. Received: {results}."
            )
        return
    if not isinstance(results, keras.callbacks.History):
        raise errors.FatalTypeError(
            f"Expected the return value of {source} to be one of float, dict, keras.callbacks.History, or a list of "
            f"one of these types. Recevied return value: {results} of type {type(results)}."
        )


# -- plain values -------------------------------------------------------------------------------------


def numbers(logs: Mapping[str, Any]) -> Report:
    """The metrics that are single numbers, as floats."""
    found: Report = {}
    for name, value in logs.items():
        try:
            found[str(name)] = float(value)
        except (TypeError, ValueError):
            continue
    return found


def finite(metrics: Report) -> Report:
    """The metrics that are finite."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def key_of(values: Mapping[str, Any]) -> str:
    """A text that is equal for equal hyperparameters."""
    text = json.dumps(plain(values), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """`value` as JSON has it."""
    return json.loads(json.dumps(value, default=_number))


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)
