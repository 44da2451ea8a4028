"""A search from its beginning to its end: what commands and notebooks call."""

import math
import time

from cnnsearch.core.metric_names import matching_metric
from cnnsearch.study import lease, mlflow_store, trial_queue
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.opening import begin
from cnnsearch.study.opening import begun as begun_study
from cnnsearch.study.resumed_config import as_it_trains
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


def run(config: SearchConfig, display: Display, line: str, files: Files) -> tuple[Study, End]:
    """Bring the study to its trials; gives it back with how the search ended. `line` is the command to record.

    Raises:
        CnnsearchError: on anything a user can mend.
        KeyboardInterrupt: at the second Ctrl-C or SIGTERM; the first ends the search in order.
    """
    mlflow_store.check_usable(mlflow_store.tracking_uri())
    with (
        hold(config.study.folder, config.study.name),
        storage_errors(config.study.storage, config.study.runs),
        display,
        SignalHandler().listening() as stop,
    ):
        config, opening = _opened(config, stop, display)
        try:
            return _searched(config, opening, display, stop, line, files)
        finally:
            if opening:
                opening.launcher.close()


def _opened(config: SearchConfig, stop: SignalHandler, display: Display) -> tuple[SearchConfig, Opening | None]:
    """`config` with their metric settled; with the workers that looked at a model for it, if some did."""
    if not config.study.space.model:
        return config, None
    begun = begun_study(config.study)
    if begun is None:
        opening = open_(config, stop, display)
        return opening.config, opening
    metric = str(begun["metric"])
    return config.changed(metric=matching_metric(config.study.metric or metric, [metric]) or config.study.metric), None


def _searched(
    config: SearchConfig, opening: Opening | None, display: Display, stop: SignalHandler, line: str, files: Files
) -> tuple[Study, End]:
    """The search of `run`, within its lock."""
    opened = begin(config)
    lease.take(opened)
    if opening and opening.default:
        opened.remember(default=opening.default)
    if opening and opening.note:
        display.note(opening.note)
    if not config.tuner.controlled:
        opened.remember(command=line)
    records = opened.trials()
    counted = sum(record.state in COUNTED for record in records)
    config = as_it_trains(opened, config, display.note)
    if config.tuner.only_recipes:
        config = config.changed(trials=counted + len(trial_queue.missing_recipes(opened, config.tuner)))
    if config.tuner.controlled:
        config = config.changed(trials=counted + len(config.tuner.controlled))
    if counted:
        top, seeds = config.tuner.confirm
        chosen = confirmer.leaders(records, top, opened.maximize)
        display.note(_going_on(config, counted, len(confirmer.missing(opened, records, chosen, seeds))))
    mlflow = MlflowCallback(display.note)
    end = End(EndReason.FAILED, "a fault")
    try:
        end = _tuned(config, opened, opening, mlflow, stop, display)
    finally:
        mlflow.close(*for_mlflow(opened, end, files))
        lease.release(opened)
    return opened, end


def _tuned(
    config: SearchConfig,
    study: Study,
    opening: Opening | None,
    mlflow: MlflowCallback,
    stop: SignalHandler,
    display: Display,
) -> End:
    """Run the missing trials, confirm the best and log the best model."""
    began = opening.began if opening else time.monotonic()
    session = Session(
        study, Limits(config.tuner.trial_timeout, config.resources.memory), stop, Callbacks([mlflow]), display
    )
    with stop.deferred():
        recorder = TrialRecorder(study, session.callbacks)
        recorder.requeue_stale()
        source = SearchSource(config, study, recorder, session.callbacks, display, began)
        left = source.missing() + len(to_confirm(config, study, source.leaders))
        if not left and best_model.unlogged(study) is None:
            if study.fact("unsent"):
                mlflow.on_study_begin(study)
            return End(EndReason.COMPLETE)
        launcher = opening.launcher if opening else LocalLauncher(config, max(1, min(config.resources.jobs, left)))
        try:
            end = _searched_to_its_end(source, session, launcher)
            if end.reason in DONE:
                until = began + config.tuner.timeout if config.tuner.timeout else math.inf
                end = confirm_best(config, session, source.leaders, until, launcher) or end
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


def _going_on(config: SearchConfig, counted: int, unconfirmed: int) -> str:
    if counted >= config.tuner.trials and not unconfirmed:
        return (
            f"Study '{config.study.name}' already has {counted} of {config.tuner.trials} trials. "
            "Raise --trials to continue it, or start a new study with --study NAME."
        )
    left = f" {unconfirmed} trainings on new seeds are missing." if counted >= config.tuner.trials else ""
    return f"Resuming study '{config.study.name}': {counted} of {config.tuner.trials} trials are done.{left}"
