"""What a trial costs as a study grows: searches of 50, 500 and 5,000 trials that take no time to train.

    python benchmarks/scaling.py run [--trials N]… [--sampler NAME]… [--rungs] [--label WORD]
    python benchmarks/scaling.py table

Each is one `cnnsearch run` of the space in trivial.py with one worker, Optuna's SQLite, MLflow's SQLite and the median
pruner, three epochs a trial, under the clocks of clocks.py; then `cnnsearch leaderboard` as a table and as CSV. Rows go
to `benchmarks/results/scaling.json`; what is there already is not measured again. With `--rungs` candidates are small
Keras models of six epochs, which wait at a rung and are trained on if they are among the best; there it is the parent's
CPU time that tells.
"""

import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import psutil
from clocks import MLFLOW, read

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "scaling.json"
MACHINE = f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"
SIZES, SAMPLERS = (50, 500, 5000), ("random", "tpe")
STORES = ("runs/cnnsearch.db", "mlflow.db", "mlruns")
EPOCHS = 3
MIB = 1 << 20
NOTHING = (0.0, 0.0, 0)


class Used(NamedTuple):
    """What a process took: seconds of wall and CPU, and the most memory in MiB."""

    wall: float
    cpu: float
    mib: float


@click.group()
def main() -> None:
    """Measure, or show what was measured."""


@main.command()
@click.option("--trials", "sizes", multiple=True, type=int, default=SIZES, show_default=True)
@click.option("--sampler", "samplers", multiple=True, default=SAMPLERS, show_default=True)
@click.option("--label", default="", help="What is measured, such as `before`; a row of each label is kept.")
@click.option("--rungs", is_flag=True, help="Small Keras models that wait at a rung.")
def run(sizes: tuple[int, ...], samplers: tuple[str, ...], label: str, rungs: bool) -> None:
    """Measure what is missing, the small studies first."""
    for trials in sorted(sizes):
        for sampler in samplers:
            asked = {"label": label or "rungs" * rungs, "sampler": sampler, "trials": trials}
            if any(asked.items() <= row.items() for row in rows()):
                continue
            with tempfile.TemporaryDirectory() as folder:
                keep({**asked, **measured(Path(folder), sampler, trials, rungs), "machine": MACHINE})
    click.echo(tables(rows()))


@main.command()
def table() -> None:
    """Print the tables."""
    click.echo(tables(rows()))


def measured(folder: Path, sampler: str, trials: int, rungs: bool) -> dict[str, Any]:
    """One search and its leaderboard."""
    space, epochs = ("Small", 2 * EPOCHS) if rungs else ("Trivial", EPOCHS)
    named = ["--space", f"{HERE / 'trivial.py'}:{space}", "--dataset", "digits", "--study", "scaling", "--quiet"]
    named += ["--scheduler", "halving"] if rungs else []
    asked = ["--epochs", str(epochs), "--trials", str(trials), "--sampler", sampler, "--jobs", "1", "--confirm", "0"]
    (folder / "clocks").mkdir()
    memory: dict[str, list[tuple[float, float]]] = {"parent": [], "worker": []}
    searched = call(folder, [str(HERE / "clocks.py"), "run", *named, *asked], memory)
    every = {form: call(folder, ["-m", "cnnsearch", "leaderboard", "--format", form]) for form in ("table", "csv")}
    return {
        "wall": round(searched.wall, 1),
        "cpu": round(searched.cpu, 1),
        "ms": by_tenth(ends(folder)),
        "parts": spent(read(folder / "clocks" / "parent.jsonl")),
        "parent_mib": held(memory["parent"], folder),
        "worker_mib": held(memory["worker"], folder),
        "kb": {
            name: round(size(folder / name) / 1000 / trials, 2) for name in ("runs/cnnsearch.db", "mlflow.db", "mlruns")
        },
        "leaderboard": {form: [round(number, 2) for number in used] for form, used in every.items()},
    }


def call(folder: Path, words: list[str], memory: dict[str, list[tuple[float, float]]] | None = None) -> Used:
    """Run Python with these words in `folder`; what it took, without its workers' CPU."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_", "MLFLOW_"))}
    environment = {**clean, "CLOCKS": str(folder / "clocks"), "COLUMNS": "160"}
    started = time.time()
    with (folder / "said").open("w") as said:
        process = subprocess.Popen([sys.executable, *words], cwd=folder, env=environment, stdout=said, stderr=said)
    cpu: list[float] = [0.0]
    watcher = threading.Thread(target=watch, args=(process, cpu, memory))
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    watcher.join()
    if process.returncode:
        raise click.ClickException((folder / "said").read_text()[-2000:])
    own = cpu[0] if memory is not None else usage.ru_utime + usage.ru_stime
    return Used(time.time() - started, own, usage.ru_maxrss / 1024)


def watch(
    process: "subprocess.Popen[Any]", cpu: list[float], memory: dict[str, list[tuple[float, float]]] | None
) -> None:
    """Note the CPU seconds of a process alone, and how much memory it and its children hold."""
    while memory is not None and process.returncode is None:
        try:
            one = psutil.Process(process.pid)
            times, now = one.cpu_times(), time.time()
            cpu[0] = times.user + times.system
            memory["parent"].append((now, one.memory_info().rss / MIB))
            memory["worker"].append((now, sum(each.memory_info().rss for each in one.children()) / MIB))
        except psutil.Error:
            pass
        time.sleep(0.25)


def ends(folder: Path) -> list[float]:
    """The moments at which trials ended, in order, after that of the first one's start."""
    with sqlite3.connect(folder / "runs" / "cnnsearch.db") as store:
        found = store.execute("select datetime_start, datetime_complete from trials where datetime_complete not null")
        pairs = [[datetime.fromisoformat(moment).timestamp() for moment in pair] for pair in found]
    return [min(start for start, _ in pairs), *sorted(end for _, end in pairs)]


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return (
        sum(each.stat().st_size for each in path.rglob("*") if each.is_file()) if path.is_dir() else path.stat().st_size
    )


def by_tenth(moments: list[float]) -> list[float]:
    """Milliseconds from one moment to the next: over all of them, the first tenth and the last."""
    last = len(moments) - 1
    part = max(1, last // 10)
    spans = ((0, last), (0, part), (last - part, last))
    return [round(1000 * (moments[end] - moments[start]) / (end - start), 2) for start, end in spans]


def spent(lines: list[dict[str, Any]]) -> dict[str, list[float]]:
    """CPU milliseconds a trial by part: over all trials, the first tenth and the last.

    MLflow's thread may lie behind: its tenths are those of its own work.
    """
    found = {}
    for part in lines[-1]["spent"]:
        steps = [line["spent"].get(part, NOTHING)[2] if part == MLFLOW else line["trials"] for line in lines]
        seconds = [line["spent"].get(part, NOTHING)[1] for line in lines]
        found[part] = growth([0, *steps], [0.0, *seconds], lines[-1]["trials"])
    return found


def growth(steps: list[int], seconds: list[float], trials: int) -> list[float]:
    """Milliseconds a trial over all `steps`, their first tenth and their last."""
    whole = steps.index(steps[-1])
    # lines after the last step tell of the end of the search, which is no trial's
    steps, seconds = steps[: whole + 1], seconds[: whole + 1]
    ends = [(0.0, 1.0), (0.0, 0.1), (0.9, 1.0)]
    at = [[float(np.interp(share * steps[-1], steps, seconds)) for share in pair] for pair in ends]
    shares = [end - start for start, end in ends]
    return [round(1000 * (end - start) / (share * trials), 3) for (start, end), share in zip(at, shares, strict=True)]


def held(memory: list[tuple[float, float]], folder: Path) -> dict[str, float]:
    """Memory when the first trial begins, when the last one ends, and the most."""
    moments = ends(folder)
    told = {
        "first": next((mib for at, mib in memory if at >= moments[0]), 0.0),
        "last": next((mib for at, mib in reversed(memory) if at <= moments[-1]), 0.0),
        "most": max(mib for _, mib in memory),
    }
    return {name: round(mib, 1) for name, mib in told.items()}


def rows() -> list[dict[str, Any]]:
    """What was measured."""
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return found


def keep(row: dict[str, Any]) -> None:
    """Add a row."""
    every = sorted([*rows(), row], key=lambda each: (each["label"], each["sampler"], each["trials"]))
    RESULTS.write_text(json.dumps(every, indent=1) + "\n")
    click.echo(f"{row['label']} {row['sampler']} {row['trials']}: {row['wall']} s")


def tables(every: list[dict[str, Any]]) -> str:
    """Two Markdown tables: what a trial costs, and the parts of the parent's CPU time."""
    return "\n".join([costs(every), "", parts(every)])


def costs(every: list[dict[str, Any]]) -> str:
    """A row a study: time, memory and space a trial."""
    head = ["", "sampler", "trials", "ms a trial", "first tenth", "last tenth", "parent's CPU ms", "parent MiB"]
    head += ["worker MiB", "cnnsearch.db kB", "mlflow.db kB", "mlruns kB", "leaderboard s", "MiB", "as CSV s"]
    lines = []
    for row in every:
        board = row["leaderboard"]
        memory = [f"{each['first']:.0f} to {each['last']:.0f}" for each in (row["parent_mib"], row["worker_mib"])]
        cells = [row["label"], row["sampler"], f"{row['trials']:,}", *(f"{ms:.0f}" for ms in row["ms"])]
        cells += [f"{1000 * row['cpu'] / row['trials']:.0f}", *memory, *(f"{kb:.1f}" for kb in row["kb"].values())]
        cells += [f"{board['table'][0]:.1f}", f"{board['table'][2]:.0f}", f"{board['csv'][0]:.1f}"]
        lines.append(cells)
    return markdown(head, lines)


GROUPS = {
    "Optuna: sampler": ("Optuna: ask", "Optuna: draw"),
    "Optuna: report, prune": ("Optuna: report", "Optuna: prune"),
    "Optuna: write": ("Optuna: write",),
    "Optuna: tell, read back": ("Optuna: tell", "Optuna: read back"),
    "cnnsearch's loop": ("the loop itself", "display", "waiting for workers"),
    MLFLOW: (MLFLOW,),
}


def parts(every: list[dict[str, Any]]) -> str:
    """A row a study: CPU milliseconds a trial in the first tenth of the trials and in the last."""
    head = ["", "sampler", "trials", *GROUPS]
    lines = []
    for row in every:
        sums = [
            [sum(row["parts"].get(name, NOTHING)[at] for name in names) for at in (1, 2)] for names in GROUPS.values()
        ]
        cells = [f"{first:.1f} to {last:.1f}" for first, last in sums]
        lines.append([row["label"], row["sampler"], f"{row['trials']:,}", *cells])
    return markdown(head, lines)


def markdown(head: list[str], lines: list[list[str]]) -> str:
    """A table; the first column only where it says something."""
    first = 0 if any(line[0] for line in lines) else 1
    every = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(line[first:]) + " |" for line in every)


if __name__ == "__main__":
    main()
