"""What must be known of a space's models before a study can begin: the metric that it goes by."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

from cnnsearch.core import messages, metric_names
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.metrics import COMPUTED
from cnnsearch.spaces.definition import DEFAULTS
from cnnsearch.study.config import Settings
from cnnsearch.tuning.callbacks.base import Display
from cnnsearch.tuning.launchers.local import Child, Heard, Pool
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
            described = _ModelQuestion(pool, settings, stop, show).answer()
            metric, note = _settled(settings.metric, described.metrics if described else [])
            pool.go_by(metric)
        except BaseException:
            pool.close()
            raise
    return Opening(pool, began, replace(settings, metric=metric), described.values if described else {}, note)


def _settled(asked: str, reported: list[str]) -> tuple[str, str]:
    """The metric to go by, and a line about it if one is due.

    Raises:
        CnnsearchError: if the one asked for is not reported.
    """
    if not reported:
        # the trials will tell why
        return asked or str(DEFAULTS["metric"]), ""
    if not asked:
        return metric_names.choose_metric(reported)
    # a single number that fit gives back is the value of whatever was asked for
    if metric_names.RETURNED in reported:
        return asked, ""
    found = metric_names.matching_metric(asked, reported) or (asked if asked in COMPUTED else None)
    if found is None:
        raise CnnsearchError(metric_names.unknown_metric(asked, reported))
    return found, ""


class _ModelQuestion:
    """Asks the first worker that starts about the default point and the metrics of its model.

    If the answer takes too long, because a hypermodel's own `fit` is called, the worker is ended and another one is
    asked without that `fit`. What workers send in the meantime is kept for the search.
    """

    def __init__(self, pool: Pool, settings: Settings, stop: Stop, show: Display) -> None:
        self._pool, self._settings, self._stop, self._show = pool, settings, stop, show
        self._asked: Child | None = None
        self._since, self._own_fit = 0.0, True
        self._later: list[Heard] = []
        self._answer: messages.Described | None = None

    def answer(self) -> messages.Described | None:
        """The answer; None if the search is to end before there is one."""
        until = time.monotonic() + (self._settings.timeout or math.inf)
        try:
            while self._answer is None and not self._stop.asked and time.monotonic() < until:
                heard = self._pool.hear(0.2)
                if not self._in_time():
                    return None
                if heard is None or heard.child not in self._pool.children:
                    continue
                if heard.message is None:
                    self._worker_gone(heard.child)
                elif handler := self.HANDLERS.get(type(heard.message)):
                    handler(self, heard.child, heard.message)
                else:
                    self._later.append(heard)
        finally:
            for heard in self._later:
                self._pool.inbox.put(heard)
        return self._answer

    def _in_time(self) -> bool:
        """Whether to wait for an answer; a worker that takes too long is ended."""
        limit = self._settings.trial_timeout or PATIENCE
        if self._asked is None or time.monotonic() - self._since <= limit:
            return True
        self._pool.replace(self._asked)
        if not self._own_fit:
            return False
        self._show.note(
            f"The look at what this model's fit reports was ended after {limit:g} s. The metrics that the "
            "model was compiled with count."
        )
        self._asked, self._own_fit = None, False
        return True

    def _worker_gone(self, child: Child) -> None:
        self._pool.check_start(child)
        self._asked = None if child is self._asked else self._asked
        self._pool.replace(child)

    def _on_loading(self, child: Child, message: messages.Loading) -> None:
        self._show.loading(message.done, message.total)

    def _on_fatal(self, child: Child, message: messages.Fatal) -> None:
        raise CnnsearchError(message.message)

    def _on_ready(self, child: Child, message: messages.Ready) -> None:
        self._later.append(Heard(child, message))
        if self._asked is None:
            self._asked, self._since = child, time.monotonic()
            metric = self._settings.metric
            child.send(messages.Describe(recipes=[], twins={}, metric=metric, own_fit=self._own_fit))

    def _on_described(self, child: Child, message: messages.Described) -> None:
        if child is self._asked:
            self._answer = message
        else:
            self._later.append(Heard(child, message))

    HANDLERS: ClassVar[dict[type[messages.Message], Callable[..., None]]] = {
        messages.Loading: _on_loading,
        messages.Fatal: _on_fatal,
        messages.Ready: _on_ready,
        messages.Described: _on_described,
    }
    """The method for each type of message. Other messages are kept for the search."""
