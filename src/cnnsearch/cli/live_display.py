"""A running search in a terminal: a line for each trial that ends, and below them a panel that is redrawn."""

import math
import time
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from cnnsearch.cli import live_panel
from cnnsearch.cli.live_panel import Curve
from cnnsearch.cli.plain_display import Plain, trial_line
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.progress import TuningStatus

LAST = 4
"""The rate of a trial is that of so many last epochs."""


class LiveDisplay(Plain):
    """Shows the counts, the best trial, the paused and the running trials and the time left, and redraws them."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self._first: Any = Text("Starting a worker …")
        self._status: TuningStatus | None = None
        self._told = 0.0
        self._metric = ""
        self._scores: dict[int, list[float]] = {}
        self._times: dict[int, list[float]] = {}
        self.live = Live(get_renderable=self._drawn, console=self.console, refresh_per_second=4)

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def on_setup(self) -> None:
        self.live.start()

    def on_loading(self, done: int, total: int) -> None:
        self._first = Text("Starting a worker …") if done == total else live_panel.loading_bar(done, total)

    def on_study_begin(self, study: Study) -> None:
        self._metric = str(study.info.get("metric", ""))

    def on_trial_start(self, trial: Trial) -> None:
        self._scores.setdefault(trial.number, [])

    def on_epoch_end(self, trial: Trial, epoch: int, metrics: dict[str, float]) -> None:
        self._scores.setdefault(trial.number, []).append(metrics.get(self._metric, math.nan))
        self._times.setdefault(trial.number, []).append(time.monotonic())

    def on_trial_end(self, trial: Trial) -> None:
        self._forget(trial)

    def on_trial_interrupt(self, trial: Trial) -> None:
        self._forget(trial)

    def _forget(self, trial: Trial) -> None:
        self._scores.pop(trial.number, None)
        self._times.pop(trial.number, None)

    def on_status(self, progress: TuningStatus) -> None:
        running = {run.number for run in progress.running}
        # the time of a pause is no time of an epoch
        self._times = {number: times for number, times in self._times.items() if number in running}
        self._status, self._told = progress, time.monotonic()
        if done := progress.done:
            self.live.console.print(self._line(done, progress), highlight=False, no_wrap=True, overflow="ellipsis")

    def on_note(self, text: str) -> None:
        self.live.console.print(text, highlight=False, markup=False)

    def _line(self, done: Trial, progress: TuningStatus) -> Text:
        """A trial that ended, in one line of the terminal: green if it is the best now, red if it failed."""
        best = progress.statistics.best
        colour = "green" if best and best.number == done.number else ""
        colour = "red" if done.state == "failed" else colour
        text = live_panel.fitting(
            lambda most: f"[{progress.counted}] {trial_line(done, progress, most)}", self.console.width
        )
        return Text(text, style=colour)

    def _drawn(self) -> Any:
        """What Live shows; it asks several times a second, in a thread of its own."""
        if self._status is None:
            return self._first
        times = dict(self._times)
        curves = {
            number: Curve(tuple(scores), _seconds(times.get(number, [])))
            for number, scores in list(self._scores.items())
        }
        now = self._status.later(time.monotonic() - self._told)
        return live_panel.panel(now, curves, self.console.width, self.console.height)


def _seconds(times: list[float]) -> float | None:
    """The mean seconds of the last epochs that ended at these times; None if there are too few."""
    last = times[-LAST:]
    return (last[-1] - last[0]) / (len(last) - 1) if len(last) > 1 else None
