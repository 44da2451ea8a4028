"""A search from its beginning to its end, and the confirmation of a finished one: what commands and notebooks call."""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnsearch.core import host
from cnnsearch.core.errors import CnnsearchError, NothingCompletedError
from cnnsearch.core.host import workers_and_threads
from cnnsearch.core.metric_names import matching_metric
from cnnsearch.spaces.space import Space, Use
from cnnsearch.study import lease, listing, mlflow_store, ranking, trial_queue
from cnnsearch.study.config import Settings
from cnnsearch.study.confirmation import Repeat
from cnnsearch.study.opening import begin
from cnnsearch.study.opening import begun as begun_study
from cnnsearch.study.storage import hold, storage_errors
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED, Record
from cnnsearch.tuning import confirmer, supervisor
from cnnsearch.tuning.callbacks import best_model
from cnnsearch.tuning.callbacks.base import Display
from cnnsearch.tuning.callbacks.mlflow import MlflowCallback
from cnnsearch.tuning.confirmer import Confirmer
from cnnsearch.tuning.launchers.base import Launcher
from cnnsearch.tuning.launchers.local import LocalLauncher
from cnnsearch.tuning.metric_discovery import Opening, open_
from cnnsearch.tuning.search_source import SearchSource
from cnnsearch.tuning.signals import SignalHandler
from cnnsearch.tuning.trial_recorder import TrialRecorder
from cnnsearch.tuning.trial_source import End, EndReason
from cnnsearch.tuning.tuner import Tuner

DONE = (EndReason.COMPLETE, EndReason.EXHAUSTED, EndReason.TIMEOUT)
"""The ends of a search whose best trials are confirmed."""

STATUS = {**dict.fromkeys(DONE, "FINISHED"), EndReason.INTERRUPTED: "KILLED"}
"""The status of a study's run in MLflow, by how the search ended. Any other end is a failure."""


Files = Callable[[Study], tuple[Path, ...]]
"""Writes a study's leaderboard into its folder and gives back the paths; for MLflow's run of the study."""


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
    if not settings.twins:
        opened.remember(command=line)
    records = opened.records()
    counted = sum(record.state in COUNTED for record in records)
    settings = _as_it_trains(opened, settings, display)
    if settings.only_recipes:
        settings = replace(settings, trials=counted + len(trial_queue.missing_recipes(opened, settings)))
    if settings.twins:
        settings = replace(settings, trials=counted + len(settings.twins))
    if counted:
        top, seeds = settings.confirm
        chosen = confirmer.leaders(records, top, opened.maximize)
        display.note(_going_on(settings, counted, len(confirmer.missing(opened, records, chosen, seeds))))
    mlflow = MlflowCallback(display.note)
    end = End(EndReason.FAILED, "a fault")
    try:
        end = _tuned(settings, opened, opening, mlflow, stop, display)
    finally:
        mlflow.close(*_last_words(opened, end, files))
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
    with stop.deferred():
        recorder = TrialRecorder(study, mlflow)
        recorder.requeue_stale()
        source = SearchSource(settings, study, recorder, mlflow, display, began)
        left = source.missing() + len(_to_confirm(settings, study, source.leaders))
        if not left and best_model.unlogged(study) is None:
            if study.fact("unsent"):
                mlflow.on_study_begin(study)
            return End(EndReason.COMPLETE)
        launcher = opening.launcher if opening else LocalLauncher(settings, max(1, min(settings.jobs, left)))
        limits = supervisor.Limits(settings.trial_timeout, settings.memory)
        try:
            end = End(EndReason.INTERRUPTED)
            try:
                end = Tuner(study, source, launcher, limits, stop, mlflow, display).run()
            finally:
                source.finish(end)
            if end.reason in DONE:
                until = began + settings.timeout if settings.timeout else math.inf
                end = _confirmed(settings, study, source.leaders, until, launcher, limits, mlflow, stop, display) or end
                best_model.log(study, launcher, mlflow, recorder.saved, stop)
        finally:
            launcher.close()
    return end


def _to_confirm(settings: Settings, study: Study, leaders: list[Record]) -> list[Repeat]:
    """The repeats that are asked for and missing, as the ranking stands."""
    top, seeds = settings.confirm
    return confirmer.missing(study, leaders, confirmer.leaders(leaders, top, study.maximize), seeds)


def _confirmed(
    settings: Settings,
    study: Study,
    leaders: list[Record],
    until: float,
    launcher: Launcher,
    limits: supervisor.Limits,
    mlflow: MlflowCallback,
    stop: SignalHandler,
    display: Display,
) -> End | None:
    """Train the best of a search again on new seeds; how that ended if it was interrupted."""
    waiting = _to_confirm(settings, study, leaders)
    if not waiting:
        return None
    trials, trainings = len({repeat.trial for repeat in waiting}), len(waiting)
    plurals = "s" * (trials > 1), "s" * (trainings > 1)
    records = {record.number: record for record in leaders}
    if not any(confirmer.in_time(records[repeat.trial], settings.epochs, until) for repeat in waiting):
        late = f"No training on a new seed would end in time, {trainings} would be due"
        display.note(f"{late}: `cnnsearch confirm {study.name}`.")
        return None
    display.note(f"Confirming the best: {trials} trial{plurals[0]} on new seeds, {trainings} training{plurals[1]}.")
    source = Confirmer(study, waiting, settings.epochs, until, mlflow, display)
    # a search whose time was up has stopped the workers that were busy
    launcher.fill()
    end = Tuner(study, source, launcher, limits, stop, mlflow, display).run()
    if end.reason is EndReason.INTERRUPTED:
        return end
    if source.waiting:
        left = len(source.waiting)
        display.note(f"{left} of them did not fit into the time: `cnnsearch confirm {study.name}`.")
    return None


def check_ended(opened: Study, end: End) -> None:
    """Refuse a search that has no result.

    Raises:
        NothingCompletedError: if no trial completed; it says the commonest reason.
        CnnsearchError: if the search was stopped by a fault.
    """
    nothing = "" if end.reason is EndReason.INTERRUPTED else _nothing_completed(opened, end)
    if nothing:
        raise NothingCompletedError(nothing)
    if end.problem:
        raise CnnsearchError(f"The search stopped: {end.problem}")


def _nothing_completed(opened: Study, end: End) -> str:
    """Why a search has no result: how its trials ended, and the commonest reason; nothing where it has one."""
    records = [record for record in opened.records() if record.state in (*COUNTED, "refused")]
    if any(record.state == "complete" for record in records):
        return ""
    if not records:
        return f"No trial of {opened.name} completed: {end.problem or 'none had ended in time'}."
    counts = Counter(record.failure or record.state for record in records)
    kinds = ", ".join(f"{number} {kind}" for kind, number in counts.most_common())
    reasons = Counter(f"{record.failure}: {record.reason}" for record in records if record.failure)
    said = f" The commonest reason is {reasons.most_common(1)[0][0]}" if reasons else ""
    if end.problem:  # it names the reason
        said = f" The search stopped: {end.problem}"
    return f"No trial of {opened.name} completed ({kinds}).{said.rstrip('.')}{'.' if said else ''}"


def confirm(
    study: str | None,
    top: int,
    seeds: int,
    trials: tuple[int, ...],
    timeout: float,
    jobs: int | None,
    runs: Path,
    storage: str,
    plugins: tuple[Path, ...],
    show: Display,
    files: Files,
) -> tuple[Study, End]:
    """Train the best of a finished study again on new seeds; gives back the study and how that ended.

    Raises:
        CnnsearchError: if there is nothing to confirm, or a dataset, plugin or worker fails.
    """
    opened = listing.load(study, runs, storage)
    workers, threads = workers_and_threads(jobs)
    limits = {"timeout": timeout, "memory": host.memory_allowed(workers)}
    made = as_begun(opened, runs=runs, storage=storage, plugins=plugins, jobs=workers, threads=threads, **limits)
    records = opened.records()
    chosen = trials or [record.number for record in ranking.ranked(opened) if record.state == "complete"][:top]
    known = {record.number for record in records if record.state == "complete"}
    if not chosen or not known.issuperset(chosen):
        raise CnnsearchError(
            f"Study '{opened.name}' has no complete trial {', '.join(map(str, chosen)) or 'to confirm yet'}."
        )
    mlflow_store.check_usable(mlflow_store.tracking_uri())
    with hold(made.folder, opened.name), storage_errors(storage, runs), SignalHandler().listening() as stop:
        lease.refuse_if_held(opened)
        lease.take(opened)
        mlflow = MlflowCallback(show.note)
        try:
            waiting = confirmer.missing(opened, records, chosen, seeds)
            if not waiting:
                show.note("These trials have had so many seeds already; --seeds asks for more.")
            left = _on_new_workers(made, opened, waiting, mlflow, stop, show)
        finally:
            end = End(EndReason.INTERRUPTED if stop.asked else EndReason.COMPLETE)
            mlflow.close(*_last_words(opened, end, files))
            lease.release(opened)
    if left and not stop.asked:
        show.note(f"{len(left)} trainings did not fit into the time.")
    return opened, end


def _on_new_workers(
    settings: Settings,
    study: Study,
    waiting: list[Repeat],
    mlflow: MlflowCallback,
    stop: SignalHandler,
    display: Display,
) -> list[Repeat]:
    """Train these repeats on workers of their own; gives back those that were not trained."""
    if not waiting:
        return []
    until = time.monotonic() + settings.timeout if settings.timeout else math.inf
    source = Confirmer(study, waiting, settings.epochs, until, mlflow, display)
    limits = supervisor.Limits(settings.trial_timeout, settings.memory)
    with stop.deferred():
        launcher = LocalLauncher(settings, min(settings.jobs, len(waiting)))
        try:
            Tuner(study, source, launcher, limits, stop, mlflow, display).run()
        finally:
            launcher.close()
    return source.waiting


def as_begun(opened: Study, **others: Any) -> Settings:
    """Settings of a study as it began: its space, dataset, epochs, metric, seed and precision; `others` as told."""
    info = opened.info
    machine = info.get("machine", {})
    return Settings(
        space=Space.from_dict(info["space"]),
        dataset=Use(*info["dataset"]),
        study=opened.name,
        epochs=info["epochs"],
        metric=info["metric"],
        costs=opened.costs,
        seed=info["seed"],
        brought=info.get("brought", {}),
        # studies of before knew Keras' fit alone
        lean=machine.get("lean", False),
        **{"trials": 0, "precision": machine.get("precision", "auto"), **others},
    )


def _as_it_trains(opened: Study, settings: Settings, display: Display) -> Settings:
    """A study is trained in one way, or its trials could not be compared: as it began."""
    if "machine" not in opened.info:
        return settings
    machine = opened.info["machine"]
    # studies of before knew Keras' fit alone
    lean, precision = bool(machine.get("lean")), machine.get("precision", settings.precision)
    if lean != settings.lean and not settings.space.model:
        display.note("This study is trained as it began: " + ("by whole epochs." if lean else "with Keras' fit."))
    if settings.precision not in (precision, "auto"):
        display.note(f"This study is trained as it began: in {precision}.")
    return replace(settings, lean=lean, precision=precision)


def _going_on(settings: Settings, counted: int, unconfirmed: int) -> str:
    if counted >= settings.trials and not unconfirmed:
        return (
            f"Study '{settings.study}' already has {counted} of {settings.trials} trials. "
            "Raise --trials to continue it, or begin a new study with --study NAME."
        )
    left = f" {unconfirmed} trainings on new seeds are missing." if counted >= settings.trials else ""
    return f"Resuming study '{settings.study}': {counted} of {settings.trials} trials are done.{left}"


def stopped(opened: Study) -> str:
    """How far a search came that was stopped."""
    done = sum(record.state in COUNTED for record in opened.records())
    begun = len(trial_queue.to_go_on(opened))
    more = f" {begun} more {'goes' if begun == 1 else 'go'} on from the last epoch." if begun else ""
    return f"Stopped; {done} trial{'' if done == 1 else 's'} {'is' if done == 1 else 'are'} done and kept.{more}"


def _last_words(opened: Study, end: End, write: Files) -> tuple[str, list[Record], tuple[Path, ...]]:
    """How the parent run ended ('' if nothing was trained), the ranked trials, and the leaderboard's files."""
    ranked = ranking.ranked(opened)
    if not any(record.state in COUNTED for record in ranked):
        return "", [], ()
    return STATUS.get(end.reason, "FAILED"), ranked, write(opened)
