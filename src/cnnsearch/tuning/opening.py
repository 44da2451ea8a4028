"""What must be known of a space's models before a study can begin: the metric that it goes by."""

import math
import time
from dataclasses import replace
from typing import Any, NamedTuple

from cnnsearch.core import metric_names
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.metrics import COMPUTED
from cnnsearch.spaces.space_file import DEFAULTS
from cnnsearch.study.config import Settings
from cnnsearch.tuning.callbacks.base import Display
from cnnsearch.tuning.launchers.local import Heard, Pool
from cnnsearch.tuning.signals import Stop

PATIENCE = 600.0
"""Seconds that a look at a model may take where trials have no limit."""


class Opening(NamedTuple):
    """The workers that were started to look at a model, for the search to go on with, and since when."""

    pool: Pool
    began: float
    settings: Settings
    default: dict[str, Any]
    note: str = ""


def open_(settings: Settings, stop: Stop, show: Display) -> Opening:
    """Start the workers of a search, and settle its metric by what the default point's model reports.

    The first worker builds that model anyway, for the default point; to let it answer two images without a compiled
    graph takes some tenths of a second more.

    Raises:
        CnnsearchError: if the metric that was asked for is not reported, the default point cannot be built, or no
            worker starts.
    """
    began = time.monotonic()
    with stop.deferred():
        pool = Pool(settings, max(1, min(settings.jobs, settings.trials or 1)))
        try:
            described = _described(pool, settings, stop, show)
            metric, note = _settled(settings.metric, [str(name) for name in described.get("metrics", ())])
            pool.go_by(metric)
        except BaseException:
            pool.close()
            raise
    return Opening(pool, began, replace(settings, metric=metric), described.get("values", {}), note)


def _settled(asked: str, reported: list[str]) -> tuple[str, str]:
    """The metric to go by, and a line about it if one is due.

    Raises:
        CnnsearchError: if the one asked for is not reported.
    """
    if not reported:
        # the trials will tell why
        return asked or str(DEFAULTS["metric"]), ""
    if not asked:
        return metric_names.chosen(reported)
    # a single number that fit gives back is the value of whatever was asked for
    if metric_names.RETURNED in reported:
        return asked, ""
    found = metric_names.matching(asked, reported) or (asked if asked in COMPUTED else None)
    if found is None:
        raise CnnsearchError(metric_names.unknown(asked, reported))
    return found, ""


def _described(pool: Pool, settings: Settings, stop: Stop, show: Display) -> dict[str, Any]:
    """What the first worker to start says of the default point; nothing if the search is to stop before.

    A look that takes too long, as an own `fit` may, is ended, and another taken without that `fit`. What workers say
    meanwhile is kept for the search.
    """
    later: list[Heard] = []
    chosen: Any = None
    limit, since, with_fit = settings.trial_timeout or PATIENCE, 0.0, True
    until = time.monotonic() + (settings.timeout or math.inf)
    try:
        while not stop.asked and time.monotonic() < until:
            heard = pool.hear(0.2)
            if chosen is not None and time.monotonic() - since > limit:
                pool.replace(chosen)
                if not with_fit:
                    return {}
                show.note(
                    f"The look at what this model's fit reports was ended after {limit:g} s. The metrics that the "
                    "model was compiled with count."
                )
                chosen, with_fit = None, False
            if heard is None or heard.child not in pool.children:
                continue
            if heard.message is None:
                pool.check_start(heard.child)
                chosen = None if heard.child is chosen else chosen
                pool.replace(heard.child)
            elif heard.message["say"] == "loading":
                show.loading(heard.message["done"], heard.message["total"])
            elif heard.message["say"] == "fatal":
                raise CnnsearchError(heard.message["message"])
            elif heard.message["say"] == "described" and heard.child is chosen:
                return heard.message
            else:
                later.append(heard)
                if heard.message["say"] == "ready" and chosen is None:
                    chosen, since = heard.child, time.monotonic()
                    order = {"do": "describe", "recipes": [], "twins": {}, "metric": settings.metric}
                    chosen.send({**order, "fit": with_fit})
    finally:
        for heard in later:
            pool.inbox.put(heard)
    return {}
