"""The part of a terminal that is redrawn while a search runs, as rich's renderables. Nothing here is changed."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cnnsearch.core.errors import FAILURES
from cnnsearch.tuning.progress import StudyStatistics, TuningStatus, clock, main_choices

STATES = ("complete", "pruned", "failed", "refused", "duplicate", "passed")
ALWAYS_SHOWN = ("complete", "pruned")
BARS = "▁▂▃▄▅▆▇█"
"""The heights of a sparkline."""

BESIDE = 56
"""The columns of a running trial's row without its sparkline."""

ABOVE = 6
"""The lines of the panel without those of the running trials, and of the trial that ended last."""


class Curve(NamedTuple):
    """What is known of a trial that has not ended.

    Attributes:
        scores: the score of each epoch.
        seconds: the mean seconds of its last epochs; None before the second one.
    """

    scores: tuple[float, ...]
    seconds: float | None


def loading_bar(done: int, total: int) -> Table:
    """A bar of how many images are decoded."""
    table = Table.grid(padding=(0, 1))
    table.add_row("Reading images", ProgressBar(total, done, width=40), f"{done:,} of {total:,}")
    return table


def fitting(line: Callable[[int], str], width: int) -> str:
    """The longest `line(most)` that has at most `width` columns, for `most` hyperparameters from 6 down."""
    return next((text for most in range(6, 0, -1) if len(text := line(most)) <= width), line(0))


def panel(status: TuningStatus, curves: dict[int, Curve], width: int, height: int) -> Group:
    """The counts, the best trial, the paused trials, and a row for each running trial that has room."""
    lines: list[Any] = [Text(_summary(status), style="bold", no_wrap=True, overflow="ellipsis")]
    best = status.statistics.best
    if best is not None:
        text = fitting(
            lambda most: f"best {best.score:.4f}  trial {best.number}: {main_choices(best, status.default, most)}",
            width,
        )
        lines.append(Text(text, style="green", no_wrap=True, overflow="ellipsis"))
    running = {run.number for run in status.running}
    if paused := paused_counts(len(curve.scores) for number, curve in curves.items() if number not in running):
        lines.append(Text(paused, no_wrap=True, overflow="ellipsis"))
    most = max(1, height - ABOVE)
    lines.append(_running_trials(status, curves, width, most))
    if len(status.running) > most:
        lines.append(Text(f"and {len(status.running) - most} more"))
    return Group(*lines)


def paused_counts(epochs: Iterable[int]) -> str:
    """How many paused trials were trained for how many epochs; empty if none is paused."""
    counts = sorted(Counter(epochs).items())
    places = (f"{number} {f'at epoch {epoch}' if epoch else 'at low fidelity'}" for epoch, number in counts)
    return f"paused  {', '.join(places)}" if counts else ""


def sparkline(scores: Sequence[float], low: float, high: float, width: int) -> str:
    """The last `width` scores as bars between `low` and `high`; a gap for one that is no number."""
    step = (high - low) / (len(BARS) - 1) or 1.0
    return "".join(BARS[round((score - low) / step)] if math.isfinite(score) else " " for score in scores[-width:])


def _summary(status: TuningStatus) -> str:
    """The counts and the times."""
    left = f", about {clock(status.left)} left" if status.left else ""
    counts = " ".join([f"{len(status.running)} running", *_counts(status.statistics)])
    return f"{status.counted} trials  {counts}  {clock(status.seconds)}{left}"


def _counts(statistics: StudyStatistics) -> list[str]:
    """How many trials are in each state, and how many failed for each reason."""
    found = {state: statistics.count(state) for state in STATES}
    parts = [f"{number} {state}" for state, number in found.items() if number or state in ALWAYS_SHOWN]
    failures = [f"{number} {kind}" for kind, number in statistics.failures.items() if kind in FAILURES]
    return [*parts, f"({', '.join(failures)})"] if failures else parts


def _running_trials(status: TuningStatus, curves: dict[int, Curve], width: int, most: int) -> Table:
    """A row for each running trial: its epoch, its scores so far, the last score, its rate, and its time left."""
    table = Table.grid(padding=(0, 2))
    shown = status.running[:most]
    of_each = {run.number: curves.get(run.number, Curve((), None)) for run in shown}
    every = [score for curve in of_each.values() for score in curve.scores if math.isfinite(score)]
    low, high = min(every, default=0.0), max(every, default=0.0)
    for run in shown:
        curve = of_each[run.number]
        left = (run.epochs - run.epoch) * curve.seconds if run.epochs and curve.seconds else None
        table.add_row(
            f"trial {run.number}",
            f"epoch {run.epoch}" + f"/{run.epochs}" * bool(run.epochs),
            sparkline(curve.scores, low, high, max(8, width - BESIDE)),
            f"{curve.scores[-1]:.4f}" if curve.scores else "",
            f"{curve.seconds:.1f} s/epoch" if curve.seconds else clock(run.seconds),
            f"{clock(left)} left" if left is not None else "",
        )
    return table
