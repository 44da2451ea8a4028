"""Trains the trials of a tuner in a worker: what `TunerTraining` does there, and the callbacks that report."""

import hashlib
import json
import math
import pickle
import traceback
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import keras
import numpy as np
from keras_tuner import errors
from keras_tuner.engine import trial as kt_trials

from cnnsearch.core.errors import CnnsearchError, TrialFailure
from cnnsearch.keras_tuner.hyperparameters import DrawnHyperParameters
from cnnsearch.spaces import data_files
from cnnsearch.spaces.self_training import Outcome, OwnTrial, Report, SelfTraining
from cnnsearch.training import checkpoint, model_io

ATTRIBUTE = "keras_tuner"
"""The attribute of Optuna's trial with the hyperparameters as KerasTuner's configuration."""


class TunerArguments(NamedTuple):
    """What must be the same when a tuner's study is resumed."""

    tuner: type
    hypermodel: Any
    objective: str
    compiling: tuple[Any, ...]
    hyperparameters: tuple[Any, ...]


class TunerTraining(SelfTraining):
    """Runs the trials of a tuner with the arguments of its `search`."""

    def __init__(self, tuner: Any, arguments: bytes, folder: Path, resumable: bool) -> None:
        """`arguments`: the positional and the named arguments of `search`, pickled, so that each trial has new ones.

        `folder`: the study's folder, with the files of the data. `resumable`: whether a training can be resumed.
        """
        self.tuner, self._arguments, self._folder, self._resumable = tuner, arguments, folder, resumable
        # the name of the space
        self.__name__ = tuner.project_name

    def own_parts(self) -> Any:
        """See `SelfTraining`."""
        tuner, oracle = self.tuner, self.tuner.oracle
        objective = str(oracle.objective)
        arguments = (tuner.optimizer, tuner.loss, tuner.metrics, tuner.executions_per_trial, tuner.max_model_size)
        new = (oracle.tune_new_entries, oracle.allow_new_entries, oracle.given.get_config())
        return TunerArguments(type(tuner), tuner.hypermodel, objective, arguments, new)

    def train(self, trial: OwnTrial) -> Outcome:
        """See `SelfTraining`."""
        tuner, oracle = self.tuner, self.tuner.oracle
        hp = DrawnHyperParameters(trial.draw, oracle)
        running = kt_trials.Trial(hp, trial_id_of(trial.number, oracle.max_trials))
        worker = WorkerTrial(tuner, running, trial, self._resumable)
        tuner._worker, oracle.running, oracle.worker = worker, running, worker
        try:
            return self._train(running, worker)
        except errors.FatalError as error:
            # as in KerasTuner it ends the search
            raise CnnsearchError(f"{type(error).__name__}: {error}") from error
        finally:
            tuner._worker = oracle.running = oracle.worker = None
            worker.remember()

    def _train(self, running: Any, worker: "WorkerTrial") -> Outcome:
        tuner = self.tuner
        for left in range(tuner.oracle.max_retries_per_trial, -1, -1):
            with data_files.within(self._folder):
                given, named = pickle.loads(self._arguments)
            try:
                tuner.on_trial_begin(running)
                results = tuner.run_trial(running, *given, **named)
                outcome = worker.outcome(results)
                running.status = "COMPLETED"
                tuner.on_trial_end(running)
                return outcome
            except (errors.FatalError, TrialFailure):
                raise
            except errors.FailedTrialError as error:
                raise TrialFailure("invalid", str(error)) from error
            except Exception:
                if not left or worker.reported:
                    raise
                traceback.print_exc()
        raise AssertionError("not reached")


def trial_id_of(number: int, max_trials: int | None) -> str:
    """A trial's number as KerasTuner writes it: with zeros before it."""
    return str(number).zfill(len(str(max_trials)) if max_trials else 4)


class WorkerTrial:
    """One trial in a worker: it fits the models, keeps the best weights, and reports.

    Attributes:
        ended: whether the parent ended or paused the trial.
        reported: whether an epoch was reported.
    """

    def __init__(self, tuner: Any, running: Any, trial: OwnTrial, resumable: bool) -> None:
        self._tuner, self._running, self._trial, self._resumable = tuner, running, trial, resumable
        self._objective = tuner.oracle.objective
        self._model: Any = None
        self._best: float | None = None
        self._weights: list[Any] = []
        self._executions = 0
        self._told: dict[str, Any] = {}
        self._failure: TrialFailure | None = None

    @property
    def ended(self) -> bool:
        """Whether no further execution is trained."""
        return not self._trial.goes_on or self._failure is not None

    @property
    def reported(self) -> bool:
        """Whether an epoch was reported."""
        return bool(self._trial.history)

    # -- training ---------------------------------------------------------------------------------

    def fit(self, model: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Train a model by the hypermodel's `fit`, from the epoch at which it was interrupted; what `fit` returns."""
        hp, trial = self._running.hyperparameters, self._trial
        self._model, self._executions = model, self._executions + 1
        self.remember()
        # another fit may draw more hyperparameters, so that equal values so far are no equal candidates
        key = _key(hp.values) if self._resumable else ""
        trial.begin(key, int(model.count_params()) if model.built else 0, self._resumable)
        own = [*named.get("callbacks", ())]
        state = trial.state()
        callbacks = [*own, EpochEnd(self, first=self._executions == 1)]
        if state is not None:
            saved = self._restored(model, key)
            if saved is not None:
                if not trial.goes_on or saved.epoch >= trial.epochs:
                    return None
                callbacks.append(checkpoint.CallbackRestorer(own, saved.callbacks))
                named = {**named, "initial_epoch": saved.epoch}
            when = state.pauses, state.tried
            callbacks.append(checkpoint.CheckpointWriter(state.address, key, model, own, self._facts, *when))
        results = self._tuner.hypermodel.fit(hp, model, *given, **{**named, "callbacks": callbacks})
        if self._failure:
            raise self._failure
        if not trial.paused:
            _check(results, self._objective, "HyperModel.fit()")
        return results

    def _restored(self, model: Any, key: str) -> checkpoint.Checkpoint | None:
        """The state that was saved, loaded into the model; None if the training begins anew."""
        found = filter(None, (checkpoint.load(place, key) for place in self._trial.places()))
        saved = next(found, None)
        if saved is None:
            return None
        try:
            if not model.built:
                model.build_from_config(saved.facts["build"])
            model.optimizer.build(model.trainable_variables)
            saved.restore(model)
        except (ValueError, KeyError):
            return None
        self._best, self._weights = saved.facts["score"], saved.weights
        self._trial.resume(saved.facts["history"])
        return saved

    def _facts(self) -> dict[str, Any]:
        """What a checkpoint has besides the variables."""
        told = {"history": self._trial.history, "score": self._best, "build": _plain(self._model.get_build_config())}
        return {**told, "weights": self._weights}

    # -- reports ----------------------------------------------------------------------------------

    def epoch_ended(self, logs: Mapping[str, Any], first: bool) -> bool:
        """Keep the weights of the best epoch, and report it if it is of the `first` execution; whether to go on."""
        metrics = numbers(logs)
        if not self._objective.has_value(metrics):
            # as in KerasTuner: the objective is computed later, and the last weights count
            self._keep()
            return True
        value = float(self._objective.get_value(metrics))
        if not math.isfinite(value):
            self._failure = TrialFailure("nan", f"the {self._objective.name} was {value:g}")
            return False
        if self._best is None or self._objective.better_than(value, self._best):
            self._best = value
            self._keep()
        if not first:
            return True
        return self._trial.report({**finite(metrics), self._objective.name: value})

    def report(self, metrics: Mapping[str, Any]) -> None:
        """Report metrics that `run_trial` passes to the oracle's `update_trial`."""
        self.epoch_ended(metrics, first=True)

    def _keep(self) -> None:
        if self._model is not None:
            self._weights = self._model.get_weights()

    # -- the end ----------------------------------------------------------------------------------

    def outcome(self, results: Any) -> Outcome:
        """The outcome of the trial from what `run_trial` returned.

        Raises:
            TrialFailure: if the objective is not a number.
            FatalTypeError, FatalValueError: if it is nothing that KerasTuner allows.
        """
        trial, name = self._trial, self._objective.name
        if self._failure:
            raise self._failure
        if results is None and trial.history:
            # it was reported by `oracle.update_trial`
            results = []
        nothing = isinstance(results, list) and results in ([], [None])
        if self.ended or nothing or (self._executions == 1 and trial.places()):
            # what was reported counts: `fit` returns only the epochs since the training was resumed
            metrics, best = self._best_report()
        else:
            _check(results, self._objective, "Tuner.run_trial()")
            metrics = numbers(metrics_of(results, self._objective))
            best = best_step(results, self._objective) + 1 if trial.history else 0
        score = float(self._objective.get_value(metrics) if self._objective.has_value(metrics) else metrics[name])
        # a `fit` of the user's own may never build its model
        params = int(self._model.count_params()) if self._model is not None and self._model.built else 0
        made = Outcome(score, best, params, metrics={**finite(metrics), name: score})
        made.pruned = not trial.goes_on and not trial.paused
        if self._weights:
            made.format, made.save = model_io.formats(self._model)[0], self._save
        return made

    def _best_report(self) -> tuple[Report, int]:
        """The best of the reports, and its number, counted from 1."""
        values = [told[self._objective.name] for told in self._trial.history]
        best = max(values) if self._objective.direction == "max" else min(values)
        place = values.index(best)
        return self._trial.history[place], place + 1

    def _save(self, path: Path) -> None:
        self._model.set_weights(self._weights)
        model_io.save(self._model, path)

    def remember(self) -> None:
        """Store the hyperparameters that are known now with the trial."""
        found = _plain(self._running.hyperparameters.get_config())
        if self._model is not None and self._model.built:
            found["build"] = _plain(self._model.get_build_config())
        if found != self._told:
            self._told = found
            self._trial.set_attribute(ATTRIBUTE, found)


class EpochEnd(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports each epoch of a training, and ends it if the parent decides so."""

    def __init__(self, worker: WorkerTrial, first: bool) -> None:
        super().__init__()
        self._worker, self._first = worker, first

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self._worker.epoch_ended(logs or {}, self._first) and self.model is not None:
            self.model.stop_training = True

    def __deepcopy__(self, memo: Any) -> "EpochEnd":
        # a `fit` of the user's own may copy its callbacks
        return self


class TunerCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Calls the tuner's methods `on_epoch_begin`, `on_batch_begin` and so on."""

    def __init__(self, tuner: Any, trial: Any) -> None:
        super().__init__()
        self.tuner, self.trial = tuner, trial

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.tuner.on_epoch_begin(self.trial, self.model, epoch, logs=logs)

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.tuner.on_batch_begin(self.trial, self.model, batch, logs)

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        self.tuner.on_batch_end(self.trial, self.model, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.tuner.on_epoch_end(self.trial, self.model, epoch, logs=logs)


# -- what `fit` and `run_trial` return ----------------------------------------------------------------


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
    values = [objective.get_value(metrics) for metrics in every]
    best = max(values) if objective.direction == "max" else min(values)
    return values.index(best)


def _check(results: Any, objective: Any, source: str) -> None:
    """Check what `fit` or `run_trial` returned, with KerasTuner's messages.

    Raises:
        FatalTypeError, FatalValueError: if it is nothing that KerasTuner allows.
    """
    if isinstance(results, list) and results:
        for each in results:
            _check(each, objective, source)
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


def _key(values: Mapping[str, Any]) -> str:
    text = json.dumps(_plain(values), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """`value` as JSON has it."""
    return json.loads(json.dumps(value, default=_number))


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)
