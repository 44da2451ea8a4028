"""A search from its beginning to its end: what commands and notebooks call."""

import math
import time
from dataclasses import replace

from cnnsearch.core.metric_names import matching_metric
from cnnsearch.study import lease, mlflow_store, trial_queue
from cnnsearch.study.config import Settings
from cnnsearch.study.opening import begin
from cnnsearch.study.opening import begun as begun_study
from cnnsearch.study.resumed_settings import as_it_trains
from cnnsearch.study.storage import hold, storage_errors
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED
from cnnsearch.tuning import confirmer
from cnnsearch.tuning.callbacks import best_model
from cnnsearch.tuning.callbacks.base import Callbacks, Display
from cnnsearch.tuning.callbacks.mlflow import MlflowCallback
from cnnsearch.tuning.confirm import confirm_best, to_confirm
from cnnsearch.tuning.launchers.base import Launcher
from cnnsearch.tuning.launchers.local import LocalLauncher
from cnnsearch.tuning.metric_discovery import Opening, open_
from cnnsearch.tuning.outcome import DONE, Files, for_mlflow
from cnnsearch.tuning.search_source import SearchSource
from cnnsearch.tuning.session import Session
from cnnsearch.tuning.signals import SignalHandler
from cnnsearch.tuning.supervisor import Limits
from cnnsearch.tuning.trial_recorder import TrialRecorder
from cnnsearch.tuning.trial_source import End, EndReason


def run(settings: Settings, display: Display, line: str, files: Files) -> tuple[Study, End]:
    """Bring the study to its trials; gives it back with how the search ended. `line` is the command to record.

    Raises:
        CnnsearchError: on anything a user can mend.
        KeyboardInterrupt: at the second Ctrl-C or SIGTERM; the first ends the search in order.
    """
    mlflow_store.check_usable(mlflow_store.tracking_uri())
    with (
        hold(settings.folder, settings.study),
        storage_errors(settings.storage, settings.runs),
        display,
        SignalHandler().listening() as stop,
    ):
        settings, opening = _opened(settings, stop, display)
        try:
            return _searched(settings, opening, display, stop, line, files)
        finally:
            if opening:
                opening.launcher.close()


def _opened(settings: Settings, stop: SignalHandler, display: Display) -> tuple[Settings, Opening | None]:
    """`settings` with their metric settled; with the workers that looked at a model for it, if some did."""
    if not settings.space.model:
        return settings, None
    begun = begun_study(settings)
    if begun is None:
        opening = open_(settings, stop, display)
        return opening.settings, opening
    metric = str(begun["metric"])
    return replace(settings, metric=matching_metric(settings.metric or metric, [metric]) or settings.metric), None


def _searched(
    settings: Settings, opening: Opening | None, display: Display, stop: SignalHandler, line: str, files: Files
) -> tuple[Study, End]:
    """The search of `run`, within its lock."""
    opened = begin(settings)
    lease.take(opened)
    if opening and opening.default:
        opened.remember(default=opening.default)
    if opening and opening.note:
        display.note(opening.note)
    if not settings.controlled:
        opened.remember(command=line)
    records = opened.trials()
    counted = sum(record.state in COUNTED for record in records)
    settings = as_it_trains(opened, settings, display.note)
    if settings.only_recipes:
        settings = replace(settings, trials=counted + len(trial_queue.missing_recipes(opened, settings)))
    if settings.controlled:
        settings = replace(settings, trials=counted + len(settings.controlled))
    if counted:
        top, seeds = settings.confirm
        chosen = confirmer.leaders(records, top, opened.maximize)
        display.note(_going_on(settings, counted, len(confirmer.missing(opened, records, chosen, seeds))))
    mlflow = MlflowCallback(display.note)
    end = End(EndReason.FAILED, "a fault")
    try:
        end = _tuned(settings, opened, opening, mlflow, stop, display)
    finally:
        mlflow.close(*for_mlflow(opened, end, files))
        lease.release(opened)
    return opened, end


def _tuned(
    settings: Settings,
    study: Study,
    opening: Opening | None,
    mlflow: MlflowCallback,
    stop: SignalHandler,
    display: Display,
) -> End:
    """Run the missing trials, confirm the best and log the best model."""
    began = opening.began if opening else time.monotonic()
    session = Session(study, Limits(settings.trial_timeout, settings.memory), stop, Callbacks([mlflow]), display)
    with stop.deferred():
        recorder = TrialRecorder(study, session.callbacks)
        recorder.requeue_stale()
        source = SearchSource(settings, study, recorder, session.callbacks, display, began)
        left = source.missing() + len(to_confirm(settings, study, source.leaders))
        if not left and best_model.unlogged(study) is None:
            if study.fact("unsent"):
                mlflow.on_study_begin(study)
            return End(EndReason.COMPLETE)
        launcher = opening.launcher if opening else LocalLauncher(settings, max(1, min(settings.jobs, left)))
        try:
            end = _searched_to_its_end(source, session, launcher)
            if end.reason in DONE:
                until = began + settings.timeout if settings.timeout else math.inf
                end = confirm_best(settings, session, source.leaders, until, launcher) or end
                best_model.log(study, launcher, mlflow, recorder.saved, stop)
        finally:
            launcher.close()
    return end


def _searched_to_its_end(source: SearchSource, session: Session, launcher: Launcher) -> End:
    """Run the trials of a search; what is still paused then ends, or is interrupted."""
    end = End(EndReason.INTERRUPTED)
    try:
        end = session.tune(source, launcher)
    finally:
        source.finish(end)
    return end


def _going_on(settings: Settings, counted: int, unconfirmed: int) -> str:
    if counted >= settings.trials and not unconfirmed:
        return (
            f"Study '{settings.study}' already has {counted} of {settings.trials} trials. "
            "Raise --trials to continue it, or start a new study with --study NAME."
        )
    left = f" {unconfirmed} trainings on new seeds are missing." if counted >= settings.trials else ""
    return f"Resuming study '{settings.study}': {counted} of {settings.trials} trials are done.{left}"
