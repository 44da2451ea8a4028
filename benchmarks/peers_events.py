"""The epochs of an arm of benchmarks/peers.py: read while it runs or afterwards, and what is kept of them."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

MARKS = (1, 10, 25)
"""After so many trials the memory is told."""


class Event(NamedTuple):
    """An epoch's end: seconds since the launch, trial, epoch, validation accuracy."""

    t: float
    trial: Any
    epoch: int
    value: float
    values: dict[str, Any]


def read(out: Path) -> list[Event]:
    """What an arm of peer_arms.py wrote."""
    # the last line may be half written
    lines = out.read_text().split("\n")[:-1] if out.exists() else []
    return [Event(**json.loads(line)) for line in lines]


def logged(folder: Path, launched: float) -> Iterator[Event]:
    """The epochs of a cnnsearch run: their times as MLflow has them, their hyperparameters as Optuna has them."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name="peers", storage=f"sqlite:///{folder}/runs/cnnsearch.db")
    params = {str(trial.number): trial.params for trial in study.trials}
    store = sqlite3.connect(folder / "mlflow.db")
    names = dict(store.execute("select run_uuid, name from runs"))
    found = store.execute("select run_uuid, timestamp, step, value from metrics where key = 'val_accuracy'")
    for run_id, stamp, step, value in found:
        number = "".join(letter for letter in names[run_id] if letter.isdigit())
        yield Event(stamp / 1000 - launched, int(number), step, value, params.get(number, {}))


def began(folder: Path, launched: float) -> dict[int, float]:
    """When the trials of a cnnsearch run began, by their numbers."""
    with sqlite3.connect(folder / "runs" / "cnnsearch.db") as store:
        found = store.execute("select number, datetime_start from trials where datetime_start not null").fetchall()
    return {number: datetime.fromisoformat(moment).timestamp() - launched for number, moment in found}


def start(events: list[Event], begun: dict[int, float]) -> float | None:
    """The median over trials of the seconds to a trial's first epoch's end, less its shortest epoch.

    That is what a trial costs besides its epochs: drawing, building, tracing, keeping books. They count from the last
    epoch of the trial before it, which in a cnnsearch run is the last one that ended before this was `begun`, and that
    no other followed. Those that no trial came before have the imports in them and do not count.
    """
    own: dict[Any, list[float]] = {}
    for event in sorted(events, key=lambda event: event.t):
        own.setdefault(event.trial, []).append(event.t)
    ends, found = sorted(times[-1] for times in own.values()), []
    for trial, times in sorted(own.items(), key=lambda each: begun.get(each[0], each[1][0])):
        before = [end for end in ends if end < begun.get(trial, times[0])]
        if before:
            ends.remove(before[-1])
        if before and len(times) > 1:
            found.append(times[0] - before[-1] - min(after - since for since, after in pairwise(times)))
    return round(median(found), 3) if found else None


def summary(events: list[Event], memory: list[tuple[float, int]]) -> dict[str, Any]:
    """What is kept of a run: each improvement, the epochs until then, its plan if that is new; memory as trials end."""
    best, better, of = 0.0, [], None
    for count, event in enumerate(events, 1):
        if event.value > best:
            best = event.value
            better.append([round(event.t, 2), count, round(best, 6), None if event.trial == of else event.values])
            of = event.trial
    last = {event.trial: event.t for event in events}
    ends = sorted(last.values())
    held = {
        str(mark): round(max((size for t, size in memory if t <= ends[mark - 1]), default=0) / 2**20)
        for mark in MARKS
        if mark <= len(ends)
    }
    return {"best": round(best, 6), "better": better, "epochs": len(events), "begun": len(last), "memory_mib": held}
