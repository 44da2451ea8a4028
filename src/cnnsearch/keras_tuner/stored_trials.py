"""The trials of a tuner's study as KerasTuner's Trial objects, and the models of them."""

from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine import trial as kt_trials

from cnnsearch import api
from cnnsearch.core.errors import StudyError
from cnnsearch.keras_tuner import training
from cnnsearch.keras_tuner.studies import place
from cnnsearch.study import listing
from cnnsearch.study.config import maximize
from cnnsearch.study.trial import COUNTED, Trial

STATUS = {"complete": "COMPLETED", "pruned": "STOPPED", "failed": "FAILED", "running": "RUNNING", "waiting": "RUNNING"}
"""KerasTuner's status by a trial's state. Other trials do not count, and are not shown."""


def trials(tuner: Any) -> dict[str, Any]:
    """The trials of the study by their id; empty if there is no study yet."""
    found = _stored(tuner)
    if found is None:
        return {}
    records, attributes = found
    every = [_trial(tuner, record, attributes[record.number]) for record in records if record.state in STATUS]
    return {each.trial_id: each for each in every}


def _stored(tuner: Any) -> tuple[list[Trial], dict[int, dict[str, Any]]] | None:
    """The records of the study's trials, and what the workers stored of their hyperparameters, by number."""
    api.result.import_optuna()
    where = place(tuner)
    if not where["storage"] and not (where["runs"] / "cnnsearch.db").is_file():
        return None
    try:
        study = listing.load(tuner.project_name, **where)
    except StudyError:
        return None
    known = {
        each.number: each.user_attrs.get(training.ATTRIBUTE, {}) for each in study.optuna.get_trials(deepcopy=False)
    }
    return study.trials(), known


def _trial(tuner: Any, record: Trial, config: dict[str, Any]) -> Any:
    """A trial as KerasTuner has it."""
    hp = keras_tuner.HyperParameters.from_config(config) if config else keras_tuner.HyperParameters()
    if not config:
        hp.values = dict(record.params)
    name = training.trial_id_of(record.number, tuner.oracle.max_trials)
    found = kt_trials.Trial(hp, name, STATUS[record.state], record.reason or None)
    if record.score is None or record.state not in COUNTED:
        return found
    found.score, found.best_step = record.score, max(0, record.best_epoch - 1)
    best = record.history[record.best_epoch - 1] if 0 < record.best_epoch <= len(record.history) else {}
    objective = tuner.oracle.objective
    for metric, value in {**best, objective.name: record.score}.items():
        if not found.metrics.exists(metric):
            found.metrics.register(metric, _direction(metric, objective))
        found.metrics.update(metric, value, step=found.best_step)
    return found


def _direction(metric: str, objective: Any) -> str:
    if metric == objective.name:
        return str(objective.direction)
    return "max" if maximize(metric) else "min"


def checkpoint(tuner: Any, trial: Any) -> Path:
    """The file with the model of a trial.

    Raises:
        StudyError: if it is no longer on disk.
    """
    study = listing.load(tuner.project_name, **place(tuner))
    record = next(each for each in study.trials() if each.number == int(trial.trial_id))
    path = study.checkpoint(record)
    if path is None:
        kept = tuner.options.get("keep", 5)
        why = f"the study keeps its {kept} best models. Give the tuner a larger keep=, such as keep=20"
        if record.state != "complete":
            why = f"the trial was not trained to its end ({record.reason or record.state})"
            why += '. Ask for fewer models, or give the tuner scheduler="none" and pruner="none"'
        raise StudyError(f"The model of trial {trial.trial_id} is not on disk: {why}, before the search.")
    return path


def build_config(tuner: Any, trial: Any) -> dict[str, Any]:
    """The shapes with which a trial's model was built."""
    found = _stored(tuner)
    assert found is not None
    return dict(found[1][int(trial.trial_id)].get("build", {}))
