"""A search from its beginning to its end: what commands and notebooks call."""

import math
import time
from collections.abc import Iterable

from cnnsearch.core import checkpoint_store
from cnnsearch.core.metric_names import matching_metric
from cnnsearch.core.metrics import ALSO_REPORTED
from cnnsearch.spaces import plugins
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.study import lease, trial_queue
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.opening import begin, note_changed_file, use_checkpoints
from cnnsearch.study.opening import begun as begun_study
from cnnsearch.study.resumed_config import with_stored_training
from cnnsearch.study.storage import lock_study, storage_errors
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED
from cnnsearch.tuning import confirmer, registry
from cnnsearch.tuning.callbacks.base import Callbacks, TunerCallback
from cnnsearch.tuning.confirm import confirm_best, to_confirm
from cnnsearch.tuning.launchers.base import Launcher
from cnnsearch.tuning.metric_discovery import Opening, open_
from cnnsearch.tuning.outcome import DONE
from cnnsearch.tuning.search_source import SearchSource
from cnnsearch.tuning.session import Session, to_its_end
from cnnsearch.tuning.signals import SignalHandler
from cnnsearch.tuning.supervisor import Limits
from cnnsearch.tuning.trial_recorder import TrialRecorder
from cnnsearch.tuning.trial_source import End, EndReason


def run(config: SearchConfig, callbacks: Iterable[TunerCallback], line: str) -> tuple[Study, End]:
    """Train the missing trials of a study; returns the study and how the run ended.

    `callbacks` come before the tracker and those that `config` names. `line`: the command, to be stored.

    Raises:
        CnnsearchError: on anything that the user can correct.
        KeyboardInterrupt: at the second Ctrl-C or SIGTERM. The first one ends the search in order.
    """
    known = plugins.load(config.study.plugins)
    all_callbacks = Callbacks([*callbacks, *registry.callbacks(config.tuner.callbacks, known)])
    with (
        lock_study(config.study.folder, config.study.name),
        storage_errors(config.study.storage, config.study.runs),
        SignalHandler().listening() as stop,
    ):
        if config.study.checkpoints:
            checkpoint_store.probe(config.study.checkpoints)
        config, opening = _opened(config, known, stop, all_callbacks)
        try:
            return _searched(config, known, opening, all_callbacks, stop, line)
        finally:
            if opening:
                opening.launcher.close()


def _opened(
    config: SearchConfig, known: Catalog, stop: SignalHandler, callbacks: TunerCallback
) -> tuple[SearchConfig, Opening | None]:
    """`config` with its metric settled, and the workers that built a model for that, if they did."""
    if not config.study.space.model or config.study.space.trains_itself:
        return config, None
    begun = begun_study(config.study)
    if begun is None:
        opening = open_(config, known, stop, callbacks)
        return opening.config, opening
    metric = str(begun["metric"])
    return config.changed(metric=matching_metric(config.study.metric or metric, [metric]) or config.study.metric), None


def _searched(
    config: SearchConfig,
    known: Catalog,
    opening: Opening | None,
    callbacks: TunerCallback,
    stop: SignalHandler,
    line: str,
) -> tuple[Study, End]:
    """The search of `run`, within its lock."""
    study = begin(config, known, callbacks.on_note)
    study.watch_outages(callbacks.on_note, lambda: stop.requested)
    if opening and opening.default:
        study.remember(default=opening.default)
    if opening and opening.note:
        callbacks.on_note(opening.note)
    config = _with_number_of_trials(with_stored_training(study, config, callbacks.on_note), study, callbacks)
    lease.take(study)
    note_changed_file(study, config.study.space, callbacks.on_note)
    if config.study.metric in ALSO_REPORTED and not config.study.space.trains_itself:
        metric = config.study.metric
        callbacks.on_note(f"{metric} is of the training images, and val_{metric} of the validation images.")
    if not config.tuner.controlled:
        study.remember(command=line, trials=config.tuner.trials)
    callbacks.on_setup()
    end = to_its_end(study, callbacks, lambda: _tuned(config, known, study, opening, callbacks, stop))
    return study, end


def _with_number_of_trials(config: SearchConfig, study: Study, callbacks: TunerCallback) -> SearchConfig:
    """`config` with the number of trials that the study has at the end; tells the user where a study is resumed."""
    records = study.trials()
    counted = sum(record.state in COUNTED for record in records)
    if config.tuner.only_recipes:
        config = config.changed(trials=counted + len(trial_queue.missing_recipes(study, config.tuner)))
    if config.tuner.controlled:
        config = config.changed(trials=counted + len(config.tuner.controlled))
    if counted:
        top, seeds = config.tuner.confirm
        chosen = confirmer.leaders(records, top, study.maximize)
        callbacks.on_note(_going_on(config, counted, len(confirmer.missing(study, records, chosen, seeds))))
    return config


def _tuned(
    config: SearchConfig,
    known: Catalog,
    study: Study,
    opening: Opening | None,
    callbacks: TunerCallback,
    stop: SignalHandler,
) -> End:
    """Run the missing trials, and confirm the best."""
    began = opening.began if opening else time.monotonic()
    session = Session(study, Limits(config.tuner.trial_timeout, config.resources.memory), stop, callbacks)
    with stop.deferred():
        recorder = TrialRecorder(study, callbacks)
        # before `use_checkpoints`: with the address of the run that was killed
        recorder.requeue_stale()
        source = SearchSource(config, known, study, recorder, callbacks, began)
        left = source.missing() + len(to_confirm(config, study, source.leaders))
        if not left and not callbacks.needs_workers(study):
            return End(EndReason.COMPLETE)
        use_checkpoints(study, config.study.checkpoints, callbacks.on_note)
        jobs = config.resources.workers(left)
        launcher = opening.launcher if opening else registry.launcher(config, jobs, known)
        try:
            end = _searched_to_its_end(source, session, launcher)
            if end.reason in DONE:
                until = began + config.tuner.timeout if config.tuner.timeout else math.inf
                end = confirm_best(config, session, source.leaders, until, launcher) or end
                callbacks.on_tuning_end(study, launcher, lambda: stop.requested)
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
