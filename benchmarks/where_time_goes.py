"""Where a search's time goes: training, tracing, data, validation, messages, storage, logging, in seconds.

    CNNSEARCH_DATA=DIR python benchmarks/where_time_goes.py run [--task TASK]… [--trials 8] [--repeats 3]
    python benchmarks/where_time_goes.py table

One worker searches the spaces of benchmarks/peers.py under one seed and without pruning, by Keras' `fit` (`--no-lean`)
and as shipped, each run in a fresh folder under the clocks of clocks.py. A worker's parts add up to its life; the
parent's run beside it, and what the worker waits for of them is its `waiting for the parent`. `starting` is mostly
Keras' import. Tracing is by how much the first epoch and the first validation of a trial take longer than the median of
its others. Rows go to `benchmarks/results/where_time_goes.json`; a run goes on where it was stopped.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import click
from clocks import MLFLOW, read

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "where_time_goes.json"
MACHINE = f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"
TASKS = ("digits", "mnist")
WAYS: dict[str, tuple[str, ...]] = {"fit": ("--no-lean",), "shipped": ()}
SEED = 3

WORKER = (
    "starting",
    "training",
    "tracing and compiling",
    "validation",
    "data",
    "drawing",
    "building",
    "around epochs",
    "keeping the best weights",
    "keeping the epoch",
    "saving",
    "waiting for the parent",
    "between trials",
)
"""Parts of the worker's life, which add up to it."""

PARENT = {
    "start: until the worker is begun": ("start",),
    "storage: Optuna": (
        "Optuna: ask",
        "Optuna: draw",
        "Optuna: report",
        "Optuna: write",
        "Optuna: tell",
        "Optuna: read back",
    ),
    "logging: MLflow, in its own thread": (MLFLOW,),
    "display": ("display",),
    "the loop itself": ("the loop itself",),
    "end: the best model logged, MLflow written": ("end",),
}
"""Parts of the parent's, and the clocks' names for them; most of it waits for the worker."""


@click.group()
def main() -> None:
    """Measure, or show what was measured."""


@main.command()
@click.option("--task", "tasks", multiple=True, default=TASKS, type=click.Choice(TASKS))
@click.option("--trials", default=8, show_default=True)
@click.option("--repeats", default=3, show_default=True)
def run(tasks: tuple[str, ...], trials: int, repeats: int) -> None:
    """Measure what is missing, both ways of a repeat before the next."""
    for task in tasks:
        for repeat in range(repeats):
            for way in WAYS:
                asked = {"task": task, "trials": trials, "way": way, "repeat": repeat}
                if not any(asked.items() <= row.items() for row in rows()):
                    keep({**asked, **measured(task, trials, way), "machine": MACHINE})
    click.echo(tables(rows()))


@main.command()
def table() -> None:
    """Print the tables."""
    click.echo(tables(rows()))


def measured(task: str, trials: int, way: str) -> dict[str, Any]:
    """One search: seconds by part of the worker and of the parent."""
    named = ["--space", str(HERE / "spaces" / f"{task}_small.toml"), "--study", "spent", "--seed", str(SEED), "--quiet"]
    asked = ["--trials", str(trials), "--jobs", "1", "--pruner", "none", "--confirm", "0", *WAYS[way]]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_RUN", "MLFLOW_"))}
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, str(HERE / "clocks.py"), "run", *named, *asked]
        launched = time.time()
        done = subprocess.run(line, cwd=folder, env={**clean, "CLOCKS": folder}, capture_output=True, text=True)
        wall = time.time() - launched
        if done.returncode:
            raise click.ClickException((done.stdout + done.stderr)[-2000:])
        parent = read(Path(folder) / "parent.jsonl")
        [path] = Path(folder).glob("worker-*.jsonl")
        worker = read(path)
    last = worker[-1]
    spent = {part: seconds for part, (seconds, _, _) in last["spent"].items()}
    life = last["at"] - last["began"]
    told = {part: seconds for part, (seconds, _, _) in parent[-1]["spent"].items()}
    told |= {"start": last["began"] - launched, "end": launched + wall - last["at"]}
    return {
        "wall": round(wall, 2),
        "life": round(life, 2),
        "worker": rounded(spent | {"starting": spent["starting"] + life - sum(spent.values())}),
        "parent": rounded(told),
    }


def rounded(seconds: dict[str, float]) -> dict[str, float]:
    """To milliseconds."""
    return {part: round(value, 3) for part, value in seconds.items()}


def rows() -> list[dict[str, Any]]:
    """What was measured."""
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return found


def keep(row: dict[str, Any]) -> None:
    """Add a row."""
    RESULTS.write_text(json.dumps([*rows(), row], indent=1) + "\n")
    click.echo(f"{row['task']} {row['way']} {row['repeat']}: {row['wall']} s")


def tables(every: list[dict[str, Any]]) -> str:
    """A table for each task: medians of seconds, with the least and the most, and shares of the worker's life."""
    return "\n\n".join(
        one_table(task, trials, [row for row in every if (row["task"], row["trials"]) == (task, trials)])
        for task, trials in sorted({(row["task"], row["trials"]) for row in every})
    )


def one_table(task: str, trials: int, own: list[dict[str, Any]]) -> str:
    """The worker's parts, then the parent's."""
    ways = {way: [row for row in own if row["way"] == way] for way in WAYS}
    counts = " and ".join(f"n = {len(found)} {way}" for way, found in ways.items())
    lines = [["part", "fit s", "share", "shipped s", "share"], ["---"] * 5]
    for part in WORKER:
        lines.append([f"worker: {part}", *cells(ways, lambda row, part=part: row["worker"].get(part, 0.0))])
    lines.append(["worker: all", *cells(ways, lambda row: row["life"])])
    for part, names in PARENT.items():
        every = cells(ways, lambda row, names=names: sum(row["parent"].get(name, 0.0) for name in names))
        lines.append([f"parent: {part}", *every])
    lines.append(["from launch to end", *cells(ways, lambda row: row["wall"])])
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{task}, {trials} trials, {counts}\n\n{table}"


def cells(ways: dict[str, list[dict[str, Any]]], value: Any) -> list[str]:
    """Seconds and their share of the worker's life, for each way."""
    told = []
    for found in ways.values():
        if not found:
            told += ["", ""]
            continue
        seconds = [value(row) for row in found]
        shares = [value(row) / row["life"] for row in found]
        told += [f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})", f"{median(shares):.0%}"]
    return told


if __name__ == "__main__":
    main()
