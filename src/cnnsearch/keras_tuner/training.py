"""Trains the trials of a tuner in a worker: what `TunerTraining` does there, and the callbacks that report."""

import math
import pickle
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
from keras_tuner import errors
from keras_tuner.engine import trial as kt_trials

from cnnsearch.core.errors import CnnsearchError, TrialFailure
from cnnsearch.keras_tuner import results
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

    def __setstate__(self, state: dict[str, Any]) -> None:
        # on another machine it is another one
        self.__dict__.update(state, _folder=data_files.folder())

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
            worker.begin_attempt()
            try:
                tuner.pre_create_trial()
                tuner.on_trial_begin(running)
                outcome = worker.outcome(tuner.run_trial(running, *given, **named))
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
        self._told: dict[str, Any] = {}
        self.begin_attempt()

    def begin_attempt(self) -> None:
        """Forget the attempt that failed; its hyperparameters stay."""
        self._model: Any = None
        self._best: float | None = None
        self._weights: list[Any] = []
        self._executions = 0
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
        self._resumable &= type(model).fit is keras.Model.fit and checkpoint.can_be_resumed(model)
        self.remember()
        # another fit may draw more hyperparameters, so that equal values so far are no equal candidates
        key = results.key_of(hp.values) if self._resumable else ""
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
        returned = self._tuner.hypermodel.fit(hp, model, *given, **{**named, "callbacks": callbacks})
        if self._failure:
            raise self._failure
        if not trial.paused:
            results.check(returned, self._objective, "HyperModel.fit()")
        return returned

    def _restored(self, model: Any, key: str) -> checkpoint.Checkpoint | None:
        """The state that was saved, loaded into the model; None if the training begins anew."""
        found = filter(None, (checkpoint.load(place, key) for place in self._trial.places()))
        saved = next(found, None)
        if saved is None:
            return None
        try:
            if not model.built:
                model.build_from_config(saved.facts["build"])
            saved.restore(model)
        except (ValueError, KeyError):
            return None
        self._best, self._weights = saved.facts["score"], saved.weights
        self._trial.resume(saved.facts["history"])
        return saved

    def _facts(self) -> dict[str, Any]:
        """What a checkpoint has besides the variables."""
        build = results.plain(self._model.get_build_config())
        return {"history": self._trial.history, "score": self._best, "build": build, "weights": self._weights}

    # -- reports ----------------------------------------------------------------------------------

    def epoch_ended(self, logs: Mapping[str, Any], first: bool) -> bool:
        """Keep the weights of the best epoch, and report it if it is of the `first` execution; whether to go on."""
        metrics = results.numbers(logs)
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
        return self._trial.report({**results.finite(metrics), self._objective.name: value})

    def report(self, metrics: Mapping[str, Any]) -> None:
        """Report metrics that `run_trial` passes to the oracle's `update_trial`."""
        self.epoch_ended(metrics, first=True)

    def _keep(self) -> None:
        if self._model is not None:
            self._weights = self._model.get_weights()

    # -- the end ----------------------------------------------------------------------------------

    def outcome(self, returned: Any) -> Outcome:
        """The outcome of the trial from what `run_trial` returned.

        Raises:
            TrialFailure: if the objective is not a number.
            FatalTypeError, FatalValueError: if it is nothing that KerasTuner allows.
        """
        trial, name = self._trial, self._objective.name
        if self._failure:
            raise self._failure
        # None: it was reported by `oracle.update_trial`
        nothing = returned is None or (isinstance(returned, list) and returned in ([], [None]))
        if trial.history and (self.ended or nothing or (self._executions == 1 and trial.places())):
            # what was reported counts: `fit` returns only the epochs since the training was resumed
            metrics, best = self._best_report()
        else:
            results.check(returned, self._objective, "Tuner.run_trial()")
            metrics = results.numbers(results.metrics_of(returned, self._objective))
            best = results.best_step(returned, self._objective) + 1 if trial.history else 0
        score = float(self._objective.get_value(metrics) if self._objective.has_value(metrics) else metrics[name])
        # a `fit` of the user's own may never build its model
        params = int(self._model.count_params()) if self._model is not None and self._model.built else 0
        made = Outcome(score, best, params, metrics={**results.finite(metrics), name: score})
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
        found = results.plain(self._running.hyperparameters.get_config())
        if self._model is not None and self._model.built:
            found["build"] = results.plain(self._model.get_build_config())
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
