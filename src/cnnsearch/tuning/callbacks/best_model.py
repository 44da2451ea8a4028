"""Logs the best trained model to MLflow, in a worker: the parent knows no Keras."""

import time
from collections.abc import Callable, Iterable

from cnnsearch.core.messages import Logged, LogModel
from cnnsearch.study import ranking
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.callbacks.mlflow import MlflowCallback
from cnnsearch.tuning.launchers.base import Launcher, LostWorker
from cnnsearch.tuning.signals import SignalHandler

PATIENCE = 120.0
"""Seconds that a worker may take to start, and then to log a model."""


def unlogged(study: Study) -> Trial | None:
    """The best trial, if MLflow does not have its model yet."""
    best = next((record for record in ranking.ranked(study) if record.state == "complete"), None)
    if best is None or study.checkpoint(best) is None or study.fact("logged") == best.number:
        return None
    return best


def log(study: Study, launcher: Launcher, mlflow: MlflowCallback, saved: Iterable[Trial], stop: SignalHandler) -> None:
    """Log the model of the best trial as an MLflow model, and the `saved` files to the runs of their trials."""
    best = unlogged(study)
    if best is None:
        return
    if not launcher.slots:
        launcher.fill(most=1)
    slot = next(filter(launcher.ready, launcher.slots), launcher.slots[0])
    _wait(launcher, slot, lambda: launcher.ready(slot), stop)
    mlflow.models((record, study.checkpoint(record)) for record in saved)
    place = mlflow.model_order()
    if mlflow.away:
        return  # the next run logs it
    if place is None or not launcher.ready(slot):
        mlflow.problem("the best model was not logged: no worker was available")
        return
    launcher.submit(slot, LogModel(trial=best.number, path=str(study.checkpoint(best)), **place))
    logged = _wait(launcher, slot, lambda: False, stop)
    if logged and not logged.problem:
        study.remember_fact("logged", best.number)
    else:
        mlflow.problem(f"the best model could not be logged: {logged.problem if logged else 'its worker ended'}")


def _wait(launcher: Launcher, slot: int, reached: Callable[[], bool], stop: SignalHandler) -> Logged | None:
    """Wait until `reached`, or until the worker in `slot` says Logged, which is returned, or ends."""
    until = time.monotonic() + PATIENCE
    while not reached() and time.monotonic() < until and not stop.asked:
        event = launcher.poll(0.2)
        if event and event.slot == slot and isinstance(event.what, Logged):
            return event.what
        if event and event.slot == slot and isinstance(event.what, LostWorker):
            return None
    return None
