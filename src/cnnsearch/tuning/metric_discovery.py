"""Finds the metric of a search whose space has a model, before the study is created."""

import math
import time
from typing import Any, NamedTuple

from cnnsearch.core import metric_names
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.messages import Describe, Described, Fatal, Loading, Ready
from cnnsearch.core.metrics import COMPUTED
from cnnsearch.spaces.definition import DEFAULTS
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.study.config import SearchConfig
from cnnsearch.tuning import registry
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.launchers.base import Launcher, LostWorker, WorkerEvent
from cnnsearch.tuning.signals import SignalHandler

PATIENCE = 600.0
"""Seconds that building the first model may take if trials have no time limit."""


TRIES = 3
"""So many workers may end while they build the default point's model."""


class Opening(NamedTuple):
    """The workers that were started to describe a model, which the search uses then, and since when."""

    launcher: Launcher
    began: float
    config: SearchConfig
    default: dict[str, Any]
    note: str = ""


def open_(config: SearchConfig, known: Catalog, stop: SignalHandler, callbacks: TunerCallback) -> Opening:
    """Start the workers of a search, and choose its metric from those that the model of the default point reports.

    The first worker must build that model anyway. One call of it on two images takes some tenths of a second more.

    Raises:
        CnnsearchError: if the metric that the user named is not reported, the default point cannot be built, or no
            worker starts.
    """
    began = time.monotonic()
    callbacks.on_setup()
    with stop.deferred():
        launcher = registry.launcher(config, config.resources.workers(config.tuner.trials), known)
        try:
            described = _described(launcher, config, stop, callbacks)
            metric, note = _settled(config.study.metric, described.metrics if described else [])
            launcher.use_metric(metric)
        except BaseException:
            launcher.close()
            raise
    return Opening(launcher, began, config.changed(metric=metric), described.values if described else {}, note)


def _settled(asked: str, reported: list[str]) -> tuple[str, str]:
    """The metric of the search, and a line for the user or an empty text.

    Raises:
        CnnsearchError: if the metric that the user named is not reported.
    """
    if not reported:
        # the trials will fail and say why
        return asked or str(DEFAULTS["metric"]), ""
    if not asked:
        return metric_names.choose_metric(reported)
    # if `fit` returns one number, that number is the metric of any name
    if metric_names.RETURNED in reported:
        return asked, ""
    found = metric_names.matching_metric(asked, reported) or (asked if asked in COMPUTED else None)
    if found is None:
        raise CnnsearchError(metric_names.unknown_metric(asked, reported))
    return found, ""


def _described(
    launcher: Launcher, config: SearchConfig, stop: SignalHandler, callbacks: TunerCallback
) -> Described | None:
    """What the first worker to start says of the default point; None if the search is to stop before.

    A worker that takes too long, as a model's own `fit` may, is restarted and asked again without that `fit`. What
    workers say meanwhile is kept for the search.
    """
    later: list[WorkerEvent] = []
    chosen: int | None = None
    limit, since, own_fit, lost = config.tuner.trial_timeout or PATIENCE, 0.0, True, 0
    until = time.monotonic() + (config.tuner.timeout or math.inf)
    try:
        while not stop.requested and time.monotonic() < until:
            event = launcher.poll(0.2)
            if chosen is not None and time.monotonic() - since > limit:
                if event is not None and event.slot == chosen:
                    event = None
                later = _restarted(launcher, chosen, later)
                if not own_fit:
                    later += [event] if event else []
                    return None
                callbacks.on_note(
                    f"The fit of this model was stopped: it reported no metrics within {limit:g} s. The metrics that "
                    "the model was compiled with are used."
                )
                chosen, own_fit = None, False
            if event is None:
                continue
            if isinstance(event.what, LostWorker):
                lost += event.slot == chosen
                if lost == TRIES:
                    raise CnnsearchError(
                        f"{TRIES} workers ended (the last with code {event.what.code}) while they built the default "
                        f"point's model; see {event.what.log} in {config.study.folder / 'logs'}."
                    )
                later = _restarted(launcher, event.slot, later)
                chosen = None if event.slot == chosen else chosen
            elif isinstance(event.what, Loading):
                callbacks.on_loading(event.what.done, event.what.total)
            elif isinstance(event.what, Fatal):
                raise CnnsearchError(event.what.message)
            elif isinstance(event.what, Described) and event.slot == chosen:
                return event.what
            else:
                later.append(event)
                if isinstance(event.what, Ready) and chosen is None:
                    chosen, since = event.slot, time.monotonic()
                    asked = Describe(recipes={}, controlled={}, metric=config.study.metric, own_fit=own_fit)
                    launcher.submit(chosen, asked)
    finally:
        launcher.requeue(later)
    return None


def _restarted(launcher: Launcher, slot: int, later: list[WorkerEvent]) -> list[WorkerEvent]:
    """Restart a worker; what is left of `later` without what it said."""
    launcher.restart(slot)
    return [event for event in later if event.slot != slot]
