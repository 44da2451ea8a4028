"""Trains the best trials again on new seeds: at the end of a search, and for `cnnsearch confirm`."""

import math
import time
from collections.abc import Iterable
from pathlib import Path

from cnnsearch.core import host
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.host import workers_and_threads
from cnnsearch.spaces import plugins as plugin_files
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.study import lease, listing, ranking, unwritten
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.confirmation import Repeat
from cnnsearch.study.opening import behind_writes
from cnnsearch.study.resumed_config import stored_config
from cnnsearch.study.storage import lock_study, storage_errors
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.tuning import confirmer, registry
from cnnsearch.tuning.callbacks.base import Callbacks, TunerCallback
from cnnsearch.tuning.confirmer import Confirmer
from cnnsearch.tuning.launchers.base import Launcher
from cnnsearch.tuning.session import Session, to_its_end
from cnnsearch.tuning.signals import SignalHandler
from cnnsearch.tuning.supervisor import Limits
from cnnsearch.tuning.trial_source import End, EndReason


def to_confirm(config: SearchConfig, study: Study, leaders: list[Trial]) -> list[Repeat]:
    """The missing repeats of the best trials at present."""
    top, seeds = config.tuner.confirm
    return confirmer.missing(study, leaders, confirmer.leaders(leaders, top, study.maximize), seeds)


def confirm_best(
    config: SearchConfig, session: Session, leaders: list[Trial], until: float, launcher: Launcher
) -> End | None:
    """Train the best trials of a search again on new seeds, until the time `until`.

    Returns how that ended if it was interrupted, else None.
    """
    study, callbacks = session.study, session.callbacks
    waiting = to_confirm(config, study, leaders)
    if not waiting:
        return None
    trials, trainings = len({repeat.trial for repeat in waiting}), len(waiting)
    plurals = "s" * (trials > 1), "s" * (trainings > 1)
    records = {record.number: record for record in leaders}
    if not any(confirmer.in_time(records[repeat.trial], config.study.epochs, until) for repeat in waiting):
        missing = f"No time is left to train on new seeds. {trainings} trainings are missing"
        callbacks.on_note(f"{missing}. To run them: cnnsearch confirm {study.name}")
        return None
    counts = f"{trials} trial{plurals[0]} on new seeds, {trainings} training{plurals[1]}"
    callbacks.on_note(f"Confirming the best: {counts}.")
    source = Confirmer(study, waiting, config.study.epochs, until, callbacks, config.resources.memory)
    # at its time limit the search has stopped the busy workers
    launcher.fill()
    end = session.tune(source, launcher)
    if end.reason is EndReason.INTERRUPTED:
        return end
    if source.waiting:
        left = len(source.waiting)
        callbacks.on_note(f"The time limit left out {left} of them. To run them: cnnsearch confirm {study.name}")
    return None


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
    callbacks: Iterable[TunerCallback],
) -> tuple[Study, End]:
    """Train the best of a finished study again on new seeds; returns the study and how that ended.

    Raises:
        CnnsearchError: if there is nothing to confirm, or a dataset, plugin or worker fails.
    """
    opened = listing.load(study, runs, storage)
    if opened.more:
        raise CnnsearchError(
            f"Study '{opened.name}' has several values: a mean over new seeds is there for one value only."
        )
    known = plugin_files.load(plugins)
    workers, threads = workers_and_threads(jobs)
    limits = {"timeout": timeout, "memory": host.memory_allowed(workers)}
    made = stored_config(opened, runs=runs, storage=storage, plugins=plugins, jobs=workers, threads=threads, **limits)
    all_callbacks = Callbacks([*callbacks, *registry.callbacks((), known)])
    with lock_study(made.study.folder, opened.name), storage_errors(storage, runs), SignalHandler().listening() as stop:
        lease.refuse_if_held(opened)
        unwritten.send(made.study.folder / unwritten.FILE, opened.optuna._study_id, opened.optuna._storage)
        records, chosen = opened.trials(), _chosen(opened, trials, top)
        opened = behind_writes(opened.optuna, made.study)
        opened.watch_outages(all_callbacks.on_note, lambda: stop.requested)
        lease.take(opened)
        all_callbacks.on_setup()
        session = Session(opened, Limits(made.tuner.trial_timeout, made.resources.memory), stop, all_callbacks)
        waiting = confirmer.missing(opened, records, chosen, seeds)
        if not waiting:
            all_callbacks.on_note("These trials already have that many new seeds. Raise --seeds to add more.")
        end = to_its_end(opened, all_callbacks, lambda: _on_new_workers(made, known, session, waiting))
    return opened, end


def _chosen(study: Study, trials: tuple[int, ...], top: int) -> list[int]:
    """The numbers of the trials to confirm: the named ones, else the `top` of the leaderboard."""
    complete = [record.number for record in ranking.ranked(study) if record.state == "complete"]
    chosen = list(dict.fromkeys(trials)) or complete[:top]
    if not chosen or not set(complete).issuperset(chosen):
        raise CnnsearchError(
            f"Study '{study.name}' has no complete trial {', '.join(map(str, chosen)) or 'to confirm yet'}."
        )
    return chosen


def _on_new_workers(config: SearchConfig, known: Catalog, session: Session, waiting: list[Repeat]) -> End:
    """Train these repeats on workers of their own."""
    if not waiting:
        return End(EndReason.COMPLETE)
    until = time.monotonic() + config.tuner.timeout if config.tuner.timeout else math.inf
    memory = config.resources.memory
    source = Confirmer(session.study, waiting, config.study.epochs, until, session.callbacks, memory)
    end = session.tune_on_new_workers(source, config, config.resources.workers(len(waiting)), known)
    if source.waiting and end.reason is not EndReason.INTERRUPTED:
        left = len(source.waiting)
        session.callbacks.on_note(f"The time limit left out {left} trainings. The same command runs them.")
    return end
