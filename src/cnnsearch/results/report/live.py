"""The report of a study while its search runs: its status in words, and the page, composed only when it changed."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cnnsearch.results.report import writer
from cnnsearch.results.report.facts import duration, gather
from cnnsearch.results.report.page import html
from cnnsearch.study import lease
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED, Trial
from cnnsearch.tuning.progress import UNLIMITED, clock

GROWTH = 1.2
"""Importances, effects and mistakes are computed anew when there are so many times more complete trials."""

SHOWN = 6
"""So many running trials are named."""


WAITING = """<!doctype html>
<meta charset="utf-8"><meta http-equiv="refresh" content="2"><p>The search reads its data.</p>
"""
"""The page before the data are known; the browser loads it again every two seconds."""

NOTHING = '<!doctype html><meta charset="utf-8"><p>The study has trained nothing yet, and no search runs on it.</p>'


class Status(NamedTuple):
    """The status of a study as a sentence, and a text that changes whenever the page has to be composed anew."""

    text: str
    version: str


class LiveReport:
    """The report of a study that another process works on. It only reads the storage.

    Attributes:
        readers: how many browsers are told of changes.
        has_ended: whether the page that was asked for last is that of a search that has ended.
    """

    def __init__(self, load: Callable[[], Study], plugins: tuple[Path, ...] = (), options: str = "") -> None:
        self._study, self._plugins, self._options = load(), plugins, options
        self._lock = threading.Lock()
        self._version, self._html = "", ""
        self._extras: writer.Extras | None = None
        self._complete = 0
        self.readers, self.has_ended = 0, False

    def status(self) -> Status:
        """Read the storage."""
        with self._lock:
            return self._status()

    def html(self) -> str:
        """The page; it is composed if the study has changed."""
        with self._lock:
            status = self._status()
            if "data" not in self._study.info:
                return WAITING if self._runs() else NOTHING
            if status.version != self._version:
                ended = not self._runs()
                self._html, self._version = self._composed(ended), status.version
                self.has_ended = ended
            return self._html

    def _status(self) -> Status:
        self._study.reload_info()
        records = self._study.trials()
        ended = sum(record.state in COUNTED for record in records)
        finished = sum(record.state not in ("running", "waiting") for record in records)
        repeats, tests, runs = len(self._study.repeats()), len(self._study.test_results()), self._runs()
        version = f"{finished} {repeats} {tests} {runs}"
        if not runs:
            return Status(f"No search runs on this study now. Trials that have ended: {ended}.", version)
        parts = [f"Running. Trials that have ended: {ended}{f' of {self._wanted()}' if self._wanted() else ''}"]
        if paused := sum(record.state == "waiting" for record in records):
            parts.append(f"{paused} are paused at a rung")
        if repeats:
            parts.append(f"{repeats} trainings on new seeds")
        left = self._left(records, ended)
        parts.append(f"about {duration(left)} left" if left else "the time left is not known yet")
        now = [f"{', '.join(parts)}.", self._running(), "Stop the search with Ctrl-C in its terminal."]
        return Status(" ".join(filter(None, now)), version)

    def _runs(self) -> bool:
        """Whether a process works on the study."""
        return lease.holder(self._study) is not None

    def _running(self) -> str:
        """What the running trials are at."""
        found, started = [], self._started()
        for trial in self._study.optuna.get_trials(deepcopy=False):
            if trial.datetime_complete is None and trial.datetime_start and trial.number in started:
                since = clock(max(0.0, time.time() - trial.datetime_start.timestamp()))
                epoch = max(trial.intermediate_values, default=0)
                score = f", epoch {epoch}: {trial.intermediate_values[epoch]:.4f}" if epoch else ""
                found.append(f"trial {trial.number} ({since}{score})")
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return f"Now: {', '.join(found[-SHOWN:])}{more}." if found else ""

    def _started(self) -> set[int]:
        return {record.number for record in self._study.trials() if record.state == "running"}

    def _wanted(self) -> int:
        """The number of trials that the last search asked for; 0 if it ends with its space, or did not store it."""
        trials = int(self._study.info.get("trials", 0))
        return trials if trials < UNLIMITED else 0

    def _left(self, records: Sequence[Trial], ended: int) -> float:
        """Seconds until the last trial ends, at the mean speed so far; 0 if it is not known.

        The time between two runs does not count. Interrupted trials are left out: if a run was killed, the next run
        stores their end.
        """
        wanted, now = self._wanted(), time.time()
        if not ended or wanted <= ended:
            return 0.0
        used = {record.number for record in records if record.state != "interrupted"}
        spans = [
            (trial.datetime_start.timestamp(), trial.datetime_complete.timestamp() if trial.datetime_complete else now)
            for trial in self._study.optuna.get_trials(deepcopy=False)
            if trial.datetime_start and trial.number in used
        ]
        return covered(spans) / ended * (wanted - ended)

    def _composed(self, ended: bool) -> str:
        complete = sum(record.state == "complete" for record in self._study.trials())
        due = self._extras is None or ended or complete >= GROWTH * self._complete
        extras = None if due else self._extras
        known = gather(self._study, self._options, extras.importances if extras else None)
        if extras is None:
            extras = self._extras = writer.extras(known, self._plugins)
            self._complete = len(known.complete)
        return html(writer.page([writer.study_page(known, extras)], live=True))


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The time in which at least one of these spans, each a start and an end, was in progress."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
