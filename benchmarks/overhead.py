"""What cnnsearch costs beside a bare `model.fit` of the same plans: time from trial to trial, and the start.

    CNNSEARCH_DATA=DIR python benchmarks/overhead.py run [--task digits] [--task mnist] [--plans 6] [--repeats 5]
    python benchmarks/overhead.py table

Plans are drawn by chance, the same ones each time, from the spaces of benchmarks/peers.py. Three arms train them,
each in a fresh process, taking turns: `bare` is a script that imports Keras, reads the data, and for every plan builds
its model, calls `fit` and clears Keras' session; `fit` is `cnnsearch run --no-lean --precision float32` of these plans
as recipes, with one worker and nothing pruned or confirmed; `shipped` is the same without those two options. Rows go to
`benchmarks/results/overhead.json`; a run goes on where it was stopped.
"""

import json
import os
import platform
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import click
import tomli_w

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "overhead.json"
MACHINE = f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"
TASKS, ARMS = ("digits", "mnist"), ("bare", "fit", "shipped")
SEED = 11


@click.group()
def main() -> None:
    """Measure, or show what was measured."""


@main.command()
@click.option("--task", "tasks", multiple=True, default=TASKS, type=click.Choice(TASKS))
@click.option("--plans", default=6, show_default=True, help="How many plans each arm trains.")
@click.option("--epochs", default=9, show_default=True, help="For how many epochs each.")
@click.option("--repeats", default=5, show_default=True)
def run(tasks: tuple[str, ...], plans: int, epochs: int, repeats: int) -> None:
    """Measure what is missing, all arms of a repeat before the next."""
    for task in tasks:
        for repeat in range(repeats):
            # another arm begins with each repeat
            for arm in (*ARMS[repeat % 3 :], *ARMS[: repeat % 3]):
                asked = {"task": task, "plans": plans, "epochs": epochs, "arm": arm, "repeat": repeat}
                if not any(asked.items() <= row.items() for row in rows()):
                    keep({**asked, **measured(task, arm, plans, epochs), "machine": MACHINE})
    click.echo(tables(rows()))


@main.command()
def table() -> None:
    """Print the table."""
    click.echo(tables(rows()))


@main.command()
@click.argument("task")
@click.argument("plans", type=int)
@click.argument("epochs", type=int)
@click.argument("out", type=click.Path(path_type=Path))
def bare(task: str, plans: int, epochs: int, out: Path) -> None:
    """The bare arm itself, in a process of its own: when each plan began and when it ended, to OUT."""
    import keras
    from peer_task import Task

    made, marks = Task(task, SEED), []
    for number, values in enumerate(points(made, plans)):
        keras.utils.set_random_seed(number)
        started = time.time()
        plan = planned(made, values)
        model = made.model(plan)
        told = made.fit(model, plan, epochs, [])
        keras.backend.clear_session()
        marks.append([started, time.time(), max(told.history["val_accuracy"])])
    out.write_text(json.dumps(marks))


@main.command()
@click.argument("task")
@click.argument("plans", type=int)
@click.argument("out", type=click.Path(path_type=Path))
def space(task: str, plans: int, out: Path) -> None:
    """Write the task's space with the plans as its recipes to OUT."""
    from peer_task import Task

    named = {f"plan{number}": {"values": values} for number, values in enumerate(points(Task(task, SEED), plans))}
    out.write_text((HERE / "spaces" / f"{task}_small.toml").read_text() + "\n" + tomli_w.dumps({"recipes": named}))


def points(made: Any, plans: int) -> list[dict[str, Any]]:
    """The values of different plans, by chance and always the same."""
    generator, found = random.Random(SEED), {}
    while len(found) < plans:
        plan, values = made.plan(lambda _, distribution: distribution.random(generator))
        found.setdefault(plan.key, values)
    return list(found.values())


def planned(made: Any, values: dict[str, Any]) -> Any:
    """The plan with these values."""
    return made.plan(lambda name, _: values[name])[0]


def measured(task: str, arm: str, plans: int, epochs: int) -> dict[str, Any]:
    """One arm: seconds from the launch to the first trial, of the trials together, and to the end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arm == "bare":
            words = [str(HERE / "overhead.py"), "bare", task, str(plans), str(epochs), str(folder / "marks.json")]
        else:
            call(folder, [str(HERE / "overhead.py"), "space", task, str(plans), str(folder / "plans.toml")])
            words = command(plans, epochs, arm)
        launched = time.time()
        call(folder, words)
        ended = time.time()
        marks = json.loads((folder / "marks.json").read_text()) if arm == "bare" else trials(folder)
    assert len(marks) == plans, f"{arm} trained {len(marks)} plans of {plans}"
    first, last = min(mark[0] for mark in marks), max(mark[1] for mark in marks)
    return {
        "start": round(first - launched, 3),
        "trials": round(last - first, 3),
        "end": round(ended - last, 3),
        "scores": [round(mark[2], 4) for mark in marks],
    }


def command(plans: int, epochs: int, arm: str) -> list[str]:
    """What follows `python` to train the plans by cnnsearch."""
    named = ["--space", "plans.toml", "--study", "overhead", "--seed", str(SEED), "--epochs", str(epochs), "--quiet"]
    only = ["--no-default", *(word for number in range(plans) for word in ("--recipe", f"plan{number}"))]
    as_bare = ["--no-lean", "--precision", "float32"] if arm == "fit" else []
    plain = ["--jobs", "1", "--pruner", "none", "--confirm", "0", *as_bare]
    return ["-m", "cnnsearch", "run", *named, *only, *plain]


def call(folder: Path, words: list[str]) -> None:
    """Run Python with these words in `folder`.

    Raises:
        ClickException: if it fails.
    """
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_RUN", "MLFLOW_"))}
    # as cnnsearch's workers have it
    environment = {**clean, "TF_DETERMINISTIC_OPS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException((done.stdout + done.stderr)[-2000:])


def trials(folder: Path) -> list[list[float]]:
    """When each trial began, when it ended, and its score, as Optuna has them."""
    with sqlite3.connect(folder / "runs" / "cnnsearch.db") as store:
        found = store.execute(
            "select datetime_start, datetime_complete, value from trials join trial_values using (trial_id) "
            "where state = 'COMPLETE' order by number"
        ).fetchall()
    return [[*(datetime.fromisoformat(moment).timestamp() for moment in row[:2]), row[2]] for row in found]


def rows() -> list[dict[str, Any]]:
    """What was measured."""
    found: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return found


def keep(row: dict[str, Any]) -> None:
    """Add a row."""
    RESULTS.write_text(json.dumps([*rows(), row], indent=1) + "\n")
    click.echo(f"{row['task']} {row['arm']} {row['repeat']}: {row['start']} + {row['trials']} + {row['end']} s")


def tables(every: list[dict[str, Any]]) -> str:
    """A row for each arm of each task: medians, with the least and the most; ratios by repeat."""
    head = ["task", "plans", "arm", "n", "start s", "trials s", "beside bare", "end s"]
    lines = [head, ["---"] * len(head)]
    for task, plans, epochs in sorted({(row["task"], row["plans"], row["epochs"]) for row in every}):
        asked = {"task": task, "plans": plans, "epochs": epochs}
        own = [row for row in every if asked.items() <= row.items()]
        base = {row["repeat"]: row["trials"] for row in own if row["arm"] == "bare"}
        for arm in ARMS:
            found = [row for row in own if row["arm"] == arm]
            ratios = [100 * (row["trials"] / base[row["repeat"]] - 1) for row in found if row["repeat"] in base]
            times = {name: spread([row[name] for row in found], 1) for name in ("start", "trials", "end")}
            beside = "" if arm == "bare" else spread(ratios, 0, " %")
            cells = [f"{task}, {epochs} epochs", str(plans), arm, str(len(found))]
            lines.append([*cells, times["start"], times["trials"], beside, times["end"]])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: list[float], digits: int, unit: str = "") -> str:
    """The median, the least and the most."""
    if not values:
        return ""
    sign = "+" if unit else ""
    middle, low, high = (f"{value:{sign}.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle}{unit} ({low} to {high})"


if __name__ == "__main__":
    main()
