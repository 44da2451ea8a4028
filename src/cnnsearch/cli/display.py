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
from cnnsearch.study.trial import Record
from cnnsearch.tuning.callbacks.base import Display
from cnnsearch.tuning.progress import Progress, Repeated, clock, main_choices


def choose(json_lines: bool, quiet: bool) -> "Display":
    """The display for this call's output."""
    if json_lines:
        return JsonLines()
    if quiet:
        return Quiet()
    return LiveDisplay() if sys.stdout.isatty() else Plain()


class Quiet:
    """Nothing, but for notes, which go to stderr."""

    def __enter__(self) -> "Quiet":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __call__(self, progress: Progress) -> None:
        pass

    def loading(self, done: int, total: int) -> None:
        pass

    def repeated(self, done: Repeated) -> None:
        pass

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Plain(Quiet):
    """One line for each trial that ends."""

    def __call__(self, progress: Progress) -> None:
        if progress.done is not None:
            print(f"[{progress.standing.ended}/{progress.trials}] {result(progress.done, progress)}", flush=True)

    def repeated(self, done: Repeated) -> None:
        self.note(again(done))

    def note(self, text: str) -> None:
        print(text, flush=True)


class JsonLines(Quiet):
    """One JSON object for each trial that ends and for each training on a fresh seed, for programs."""

    def __call__(self, progress: Progress) -> None:
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
                "ended": progress.standing.ended,
                "trials": progress.trials,
            }
            print(json.dumps(fields), flush=True)

    def repeated(self, done: Repeated) -> None:
        counts = {"ended": done.ended, "trainings": done.trainings}
        print(json.dumps({"event": "repeat", **done.repeat._asdict(), "first": done.first, **counts}), flush=True)


class LiveDisplay(Plain):
    """Counts, the best so far, the running trials and the time left, redrawn in place."""

    def __init__(self) -> None:
        self.console = Console()
        self.live = Live(Text("Starting a worker …"), console=self.console, refresh_per_second=4)

    def __enter__(self) -> "LiveDisplay":
        self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def __call__(self, progress: Progress) -> None:
        if progress.done is not None:
            colour = {"complete": "green", "pruned": "yellow"}.get(progress.done.state, "red")
            self.live.console.print(Text(result(progress.done, progress), style=colour), highlight=False)
        self.live.update(panel(progress))

    def loading(self, done: int, total: int) -> None:
        self.live.update(Text("Starting a worker …") if done == total else read_so_far(done, total))

    def note(self, text: str) -> None:
        self.live.console.print(text, highlight=False, markup=False)


def result(done: Record, progress: Progress) -> str:
    """A trial that ended, in one line."""
    choices = main_choices(done, progress.default)
    if done.state == "failed":
        return f"trial {done.number} failed ({done.failure}): {done.reason}"
    where = f"epoch {done.best_epoch} of {done.epochs}" if done.epochs else done.reason
    return f"trial {done.number} {done.state} {done.score:.4f} ({where}, {done.seconds:.0f} s): {choices}"


def again(done: Repeated) -> str:
    """A training on a fresh seed, in one line."""
    repeat = done.repeat
    said = f"{repeat.score:.4f}" if repeat.score is not None else f"failed ({repeat.reason})"
    return f"[{done.ended}/{done.trainings}] trial {repeat.trial} again: {said} (first {done.first:.4f})"


def read_so_far(done: int, total: int) -> Any:
    """A bar of the images that are decoded."""
    bar = ProgressBar(total, done, width=40)
    table = Table.grid(padding=(0, 1))
    table.add_row("Reading images", bar, f"{done:,} of {total:,}")
    return table


def panel(progress: Progress) -> Any:
    """The part that is redrawn."""
    states = ("complete", "pruned", "failed", "refused", "duplicate", "passed")
    found = {state: progress.standing.count(state) for state in states}
    parts = [f"{number} {state}" for number, state in ((found[s], s) for s in states) if number or state in states[:3]]
    types = [f"{number} {kind}" for kind, number in progress.standing.failures.items() if kind in FAILURES]
    parts += [f"({', '.join(types)})"] if types else []
    line = f"{progress.standing.ended}/{progress.trials} trials  {len(progress.running)} running  " + "  ".join(parts)
    left = "" if progress.left is None else f"  about {clock(progress.left)} left"
    lines: list[Any] = [Text(f"{line}  {clock(progress.seconds)} gone{left}", style="bold")]
    if progress.standing.best is not None:
        best = progress.standing.best
        choices = main_choices(best, progress.default)
        lines.append(Text(f"best {best.score:.4f}  trial {best.number}: {choices}", style="green"))
    table = Table.grid(padding=(0, 2))
    for run in progress.running:
        bar = "█" * run.epoch + "░" * (run.epochs - run.epoch) if run.epochs <= 40 else ""
        table.add_row(f"trial {run.number}", bar, f"epoch {run.epoch}/{run.epochs}", clock(run.seconds))
    return Group(*lines, table)
