"""Logs the best model to MLflow. A worker does it, because the parent does not import Keras."""

import time
from collections.abc import Callable

from cnnsearch.core.messages import Logged, LogModel
from cnnsearch.study import mlflow_store, ranking
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.callbacks.base import Callbacks, TunerCallback
from cnnsearch.tuning.callbacks.mlflow import MlflowCallback
from cnnsearch.tuning.launchers.base import Launcher, LostWorker

PATIENCE = 120.0
"""Seconds that a worker may take to start, and then to log a model."""


def unlogged(study: Study) -> Trial | None:
    """The best trial, if MLflow does not have its model yet. A function that trains for itself has none for it."""
    best = next((record for record in ranking.ranked(study) if record.state == "complete"), None)
    if best is None or study.checkpoint(best) is None or study.fact("logged") == best.number:
        return None
    return best if study.info["data"]["input_shape"] else None


class BestModelCallback(TunerCallback):
    """Logs the model of the best trial as an MLflow model, and the saved models to the runs of their trials."""

    def __init__(self, mlflow: MlflowCallback) -> None:
        self._mlflow = mlflow

    def needs_workers(self, study: Study) -> bool:
        """Whether MLflow does not have the model of the best trial."""
        return unlogged(study) is not None

    def on_tuning_end(self, study: Study, launcher: Launcher, stopped: Callable[[], bool]) -> None:
        """Log the models in a worker."""
        best, mlflow = unlogged(study), self._mlflow
        if best is None:
            return
        # a run that trains nothing has not opened the store yet
        mlflow.on_study_begin(study)
        if not launcher.slots:
            launcher.fill(most=1)
        slot = next(filter(launcher.ready, launcher.slots), launcher.slots[0])
        _wait(launcher, slot, lambda: launcher.ready(slot), stopped)
        mlflow.models((record, study.checkpoint(record)) for record in study.trials() if record.checkpoint)
        place = mlflow.model_order()
        if mlflow.away:
            return  # the next run logs it
        if place is None or not launcher.ready(slot):
            missing = "worker was there to do it" if place else "run of the study was there"
            mlflow.problem(f"the best model was not logged: no {missing}")
            return
        launcher.submit(slot, LogModel(trial=best.number, path=str(study.checkpoint(best)), **place))
        logged = _wait(launcher, slot, lambda: False, stopped)
        if logged and not logged.problem:
            study.remember_fact("logged", best.number)
        elif not stopped():
            why = logged.problem if logged else f"its worker ended, or took longer than {PATIENCE:.0f} s"
            mlflow.problem(f"the best model could not be logged: {why}")


def mlflow_callbacks() -> Callbacks:
    """The callbacks that write a search to MLflow.

    Raises:
        CnnsearchError: if MLflow's store cannot be used.
    """
    mlflow_store.check_usable(mlflow_store.tracking_uri())
    mlflow = MlflowCallback()
    return Callbacks([mlflow, BestModelCallback(mlflow)])


def _wait(launcher: Launcher, slot: int, reached: Callable[[], bool], stopped: Callable[[], bool]) -> Logged | None:
    """Wait until `reached` is true, or the worker in `slot` ends or sends Logged, which is returned."""
    until = time.monotonic() + PATIENCE
    while not reached() and time.monotonic() < until and not stopped():
        event = launcher.poll(0.2)
        if event and event.slot == slot and isinstance(event.what, Logged):
            return event.what
        if event and event.slot == slot and isinstance(event.what, LostWorker):
            return None
    return None
