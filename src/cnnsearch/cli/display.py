"""How a running search looks: live in a terminal, plain lines elsewhere, JSON lines, or nothing."""

import json
import sys
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cnnsearch.core.errors import FAILURES
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.progress import RepeatResult, Running, StudyStatistics, TuningStatus, clock, main_choices

STATES = ("complete", "pruned", "failed", "refused", "duplicate", "passed")
ALWAYS_SHOWN = ("complete", "pruned", "failed")
BAR_EPOCHS = 40
"""A trial with more epochs has no bar."""


def choose(json_lines: bool, quiet: bool) -> "Quiet":
    """The display for these options and this terminal."""
    if json_lines:
        return JsonLines()
    if quiet:
        return Quiet()
    return LiveDisplay() if sys.stdout.isatty() else Plain()


class Quiet(TunerCallback):
    """Prints notes only, to stderr. A context manager, so that what is drawn in place is ended after an error."""

    def __enter__(self) -> "Quiet":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def on_note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Plain(Quiet):
    """Prints one line for each trial that ends, and notes."""

    def on_status(self, progress: TuningStatus) -> None:
        if progress.done is not None:
            print(f"[{progress.counted}] {trial_line(progress.done, progress)}", flush=True)

    def on_repeat_end(self, result: RepeatResult) -> None:
        self.on_note(new_seed_line(result))

    def on_note(self, text: str) -> None:
        print(text, flush=True)


class JsonLines(Quiet):
    """Prints one JSON object for each trial that ends and for each training on a new seed, for programs."""

    def on_status(self, progress: TuningStatus) -> None:
        if progress.done is not None:
            done = progress.done
            fields = {
                "event": "trial",
                "trial": done.number,
                "state": done.state,
                "score": done.score,
                "epochs": done.epochs,
                "seconds": done.seconds,
                "params": done.params,
                "failure": done.failure,
                "reason": done.reason,
                "ended": progress.statistics.ended,
                "trials": progress.trials,
            }
            print(json.dumps(fields), flush=True)

    def on_repeat_end(self, result: RepeatResult) -> None:
        counts = {"ended": result.ended, "trainings": result.trainings}
        print(json.dumps({"event": "repeat", **result.repeat._asdict(), "first": result.first, **counts}), flush=True)


class LiveDisplay(Plain):
    """Shows the counts, the best trial, the running trials and the time left, and redraws them in place."""

    def __init__(self) -> None:
        self.console = Console()
        self.live = Live(Text("Starting a worker …"), console=self.console, refresh_per_second=4)

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def on_setup(self) -> None:
        self.live.start()

    def on_status(self, progress: TuningStatus) -> None:
        if progress.done is not None:
            colour = {"complete": "green", "pruned": "yellow"}.get(progress.done.state, "red")
            line = Text(trial_line(progress.done, progress), style=colour)
            self.live.console.print(line, highlight=False, no_wrap=True, overflow="ellipsis")
        self.live.update(panel(progress))

    def on_loading(self, done: int, total: int) -> None:
        self.live.update(Text("Starting a worker …") if done == total else loading_bar(done, total))

    def on_note(self, text: str) -> None:
        self.live.console.print(text, highlight=False, markup=False)


def trial_line(done: Trial, progress: TuningStatus) -> str:
    """A trial that ended, in one line."""
    if done.state == "failed":
        return f"trial {done.number} failed ({done.failure}): {done.reason}"
    where = f"epoch {done.best_epoch} of {done.epochs}" if done.epochs else done.reason
    choices = main_choices(done, progress.default)
    return f"trial {done.number} {done.state} {done.score:.4f} ({where}, {done.seconds:.0f} s): {choices}"


def new_seed_line(done: RepeatResult) -> str:
    """A training on a new seed that ended, in one line."""
    repeat = done.repeat
    score = f"{repeat.score:.4f}" if repeat.score is not None else f"failed ({repeat.reason})"
    return (
        f"[{done.ended}/{done.trainings}] trial {repeat.trial} on a new seed: {score} (search score {done.first:.4f})"
    )


def loading_bar(done: int, total: int) -> Table:
    """A bar of how many images are decoded."""
    table = Table.grid(padding=(0, 1))
    table.add_row("Reading images", ProgressBar(total, done, width=40), f"{done:,} of {total:,}")
    return table


def panel(progress: TuningStatus) -> Group:
    """The part of the live display that is redrawn."""
    statistics = progress.statistics
    left = "" if progress.left is None else f"  about {clock(progress.left)} left"
    counts = "  ".join([f"{len(progress.running)} running", *_counts(statistics)])
    line = f"{progress.counted} trials  {counts}  {clock(progress.seconds)} elapsed{left}"
    lines: list[Any] = [Text(line, style="bold")]
    if statistics.best is not None:
        best = statistics.best
        choices = main_choices(best, progress.default)
        line = f"best {best.score:.4f}  trial {best.number}: {choices}"
        lines.append(Text(line, style="green", no_wrap=True, overflow="ellipsis"))
    return Group(*lines, _running_trials(progress.running))


def _counts(statistics: StudyStatistics) -> list[str]:
    """How many trials are in each state, and how many failed for each reason."""
    found = {state: statistics.count(state) for state in STATES}
    parts = [f"{number} {state}" for state, number in found.items() if number or state in ALWAYS_SHOWN]
    failures = [f"{number} {kind}" for kind, number in statistics.failures.items() if kind in FAILURES]
    return [*parts, f"({', '.join(failures)})"] if failures else parts


def _running_trials(running: tuple[Running, ...]) -> Table:
    table = Table.grid(padding=(0, 2))
    for run in running:
        bar = "█" * run.epoch + "░" * (run.epochs - run.epoch) if run.epochs <= BAR_EPOCHS else ""
        table.add_row(
            f"trial {run.number}", bar, f"epoch {run.epoch}" + f"/{run.epochs}" * bool(run.epochs), clock(run.seconds)
        )
    return table
