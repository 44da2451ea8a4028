"""What a notebook shows: a progress bar of the search, and its result as HTML that needs no network."""

import html
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from cnnsearch.cli.display import choose
from cnnsearch.cli.plain_display import Plain, Quiet
from cnnsearch.core.errors import FAILURES
from cnnsearch.results import leaderboard, majority
from cnnsearch.study import ranking
from cnnsearch.study.study import Study
from cnnsearch.tuning.progress import UNLIMITED, TuningStatus, clock

ROWS = 10
"""How many rows of the leaderboard a result shows."""

REFRESH = 0.25
"""Least number of seconds between two updates of the progress bar, unless a trial ended."""


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, and can show HTML."""
    ask = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = ask() if ask else None
    return getattr(shell, "kernel", None) is not None


def display(json_lines: bool, quiet: bool) -> Quiet:
    """The display of a search that Python code starts: in a notebook a progress bar, else as in a terminal."""
    if in_notebook() and not (json_lines or quiet):
        return ProgressBar(output())
    return choose(json_lines, quiet)


def output() -> Callable[[str], None]:
    """Make a place in the output of the running cell. Calling the result replaces the HTML in this place."""
    from IPython.display import HTML
    from IPython.display import display as show

    place = show(HTML(""), display_id=True)
    return lambda text: place.update(HTML(text))


class ProgressBar(Plain):
    """A progress bar of trials. Failed trials and notes are lines below it.

    Args:
        show: replaces the HTML of the progress bar.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show, self._drawn, self._last = show, 0.0, ""

    def __exit__(self, *error: object) -> None:
        if self._last:
            self._show(self._last)

    def on_status(self, progress: TuningStatus) -> None:
        if progress.done is not None and progress.done.state == "failed":
            super().on_status(progress)
        self._last = progress_html(progress)
        if progress.done is not None or time.monotonic() - self._drawn > REFRESH:
            self._drawn = time.monotonic()
            self._show(self._last)

    def on_loading(self, done: int, total: int) -> None:
        self._show(f"Reading images: {done:,} of {total:,}")


def progress_html(progress: TuningStatus) -> str:
    """A running search as HTML."""
    statistics = progress.statistics
    known = progress.trials < UNLIMITED
    parts = [f"{statistics.ended}" + f" of {progress.trials}" * known + " trials"]
    if statistics.best is not None and statistics.best.score is not None:
        parts.append(f"best {statistics.best.score:.4f} (trial {statistics.best.number})")
    parts += [f"{number} {state}" for state in ("pruned", "failed") if (number := statistics.count(state))]
    parts += [f"{number} {kind}" for kind, number in statistics.failures.items() if kind in FAILURES]
    left = "" if progress.left is None else f", about {clock(progress.left)} left"
    parts.append(f"{clock(progress.seconds)} elapsed{left}")
    running = [
        f"trial {run.number}: epoch {run.epoch}" + f" of {run.epochs}" * bool(run.epochs) for run in progress.running
    ]
    # without a value the bar shows no share
    share = f'max="{progress.trials}" value="{statistics.ended}"' * known
    return (
        f'<progress {share} style="width:20em"></progress> '
        f"<span>{html.escape(' · '.join(parts))}</span>"
        f"<div><small>{html.escape(', '.join(running))}</small></div>"
    )


def page_html(content: str) -> str:
    """A whole HTML page as a frame in the output of a cell. IPython warns of a frame that is not inside a `div`."""
    return (
        f'<div><iframe srcdoc="{html.escape(content)}" style="width:100%;height:36em;border:1px solid #ccc" '
        'sandbox="allow-popups allow-scripts"></iframe></div>'
    )


def summary_html(opened: Study, headline: str) -> str:
    """A study as HTML: headline, top of the leaderboard, scores of all trials and the best trial's curves."""
    board = leaderboard.rows(opened, ROWS, choices=6)
    parts = [f"<p><b>{html.escape(opened.name)}</b>: {html.escape(headline)}</p>"]
    if board:
        below = (leaderboard.TerminalTable(board, leaderboard.WIDE).caption(), *majority.lines(opened))
        parts.append(table_html(*leaderboard.text_cells(board)))
        parts += [f"<p><small>{html.escape(line)}</small></p>" for line in below]
    return "<div>" + "".join([*parts, *_plots(opened)]) + "</div>"


def table_html(header: list[str], rows: list[list[str]]) -> str:
    """A table of text as HTML."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _plots(opened: Study) -> list[str]:
    """Pictures as HTML: the scores of all trials and the curves of the best; none before the first score."""
    from cnnsearch.api import notebook_plots as plots

    metric = str(opened.info["metric"])
    ranked = [record for record in ranking.ranked(opened) if record.score is not None]
    if not ranked:
        return []
    same: Any = {"metric": metric, "maximize": opened.maximize}
    pictures = [plots.picture(partial(plots.history, records=opened.trials(), **same), f"{metric} of every trial")]
    best = ranked[0]
    lines = {
        name: [epoch[key] for epoch in best.history]
        for key, name in {metric.removeprefix("val_"): "training", metric: "validation"}.items()
        if best.history and all(key in epoch for epoch in best.history)
    }
    if lines:
        draw = partial(plots.curves, lines=lines, **same)
        pictures.append(plots.picture(draw, f"{metric} of trial {best.number} over its epochs"))
    return pictures
