"""Is the model that a search names at its time limit as good as the best epoch that the search has seen?

    CNNSEARCH_DATA=DIR python benchmarks/time_limit.py run [--task digits] [--seeds 100 120] [--source OLD/src]
    python benchmarks/time_limit.py table

Each run is one `cnnsearch run --timeout` of two workers. Its row in `benchmarks/results/time_limit.jsonl` compares the
trial that `export --best` takes with the trial that had the best epoch: their validation scores, and the accuracies of
their models on the test set. What is in the file is not measured again.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import click

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "time_limit.jsonl"
PAGE = HERE.parent / "docs" / "benchmarks" / "time-limit.md"
MACHINE = f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores"


class Task(NamedTuple):
    """What is searched, and for how many seconds."""

    seconds: int
    options: tuple[str, ...]


TASKS = {
    "digits": Task(30, ("--space", "mnist_cnn", "--dataset", "digits", "--epochs", "12")),
    "mnist": Task(60, ("--space", "mnist_cnn", "--dataset", "mnist", "--set", "dataset.limit=6000", "--epochs", "9")),
    "cifar": Task(90, ("--space", "cifar10_cnn", "--set", "dataset.limit=6000", "--epochs", "12")),
}

READ = """
import json, sys
from pathlib import Path
from cnnsearch.study import listing, ranking
study = listing.load(None, Path("runs"))
metric, trials = study.info["metric"], study.trials()
seen = max(((epoch[metric], -trial.number) for trial in trials for epoch in trial.history), default=(None, None))
ranked = ranking.ranked(study)
named = ranked[0] if ranked and ranked[0].state == "complete" else None
facts = {"named": named and named.number, "named_score": named and named.score}
facts |= {"seen": None if seen[1] is None else -seen[1], "seen_score": seen[0]}
facts |= {"trials": len(trials), "complete": sum(trial.state == "complete" for trial in trials)}
repeats = sum(repeat["score"] is not None for repeat in study.repeats())
tested = {result["trial"]: result["accuracy"] for result in study.test_results()}
print(json.dumps({**facts, "repeats": repeats, "tested": tested}))
"""


@click.group()
def main() -> None:
    """Measure, or show what was measured."""


@main.command()
@click.option("--task", "tasks", type=click.Choice(tuple(TASKS)), multiple=True, default=tuple(TASKS))
@click.option(
    "--seeds", nargs=2, type=int, default=(100, 120), show_default=True, help="The first, and one past the last."
)
@click.option("--source", default="", help="The folder `src` of another version of cnnsearch.")
@click.option("--label", default="now", show_default=True, help="The name of the version.")
def run(tasks: tuple[str, ...], seeds: tuple[int, int], source: str, label: str) -> None:
    """Measure the searches that are not in the file yet."""
    done = {(row["label"], row["task"], row["seed"]) for row in rows()}
    for seed in range(*seeds):
        for task in tasks:
            if (label, task, seed) not in done:
                row = {"label": label, "task": task, "seed": seed, **measured(TASKS[task], seed, source)}
                with RESULTS.open("a") as file:
                    file.write(json.dumps({**row, "machine": MACHINE}) + "\n")
                click.echo(json.dumps(row))


@main.command()
def table() -> None:
    """Write docs/benchmarks/time-limit.md."""
    PAGE.write_text(HEAD + markdown(rows()) + METHOD.format(machine=", ".join(sorted({r["machine"] for r in rows()}))))


def measured(task: Task, seed: int, source: str) -> dict[str, Any]:
    """One search."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_RUN", "MLFLOW_"))}
    environment = {**kept, **({"PYTHONPATH": source} if source else {})}
    line = [*task.options, "--trials", "1000", "--jobs", "2", "--timeout", str(task.seconds), "--seed", str(seed)]
    with tempfile.TemporaryDirectory() as folder:

        def python(*words: str) -> str:
            done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
            # 1: no trial completed
            if done.returncode not in (0, 1 if "run" in words else 0):
                raise click.ClickException(done.stderr[-2000:])
            return done.stdout

        python("-m", "cnnsearch", "run", *line, "--quiet")
        found = json.loads(python("-c", READ))
        for number in {found["named"], found["seen"]} if found["named"] is not None else ():
            python("-m", "cnnsearch", "export", "--trial", str(number), "--out", f"trial{number}")
        found |= json.loads(python("-c", READ))
        tested = found.pop("tested")
        named, seen = (tested.get(str(found[which])) for which in ("named", "seen"))
        return {"seconds": task.seconds, **found, "named_test": named, "seen_test": seen}


def rows() -> list[dict[str, Any]]:
    """What was measured."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def markdown(every: list[dict[str, Any]]) -> str:
    """A row for each version and task, and one for all tasks of a version."""
    lines = []
    for label in dict.fromkeys(row["label"] for row in every):
        own = [row for row in every if row["label"] == label]
        tasks = {task: [row for row in own if row["task"] == task] for task in TASKS}
        lines += [line(label, task, found) for task, found in tasks.items() if found]
        lines.append(line(label, "all", own))
    return "\n".join(lines)


def line(label: str, task: str, found: list[dict[str, Any]]) -> str:
    """A row of the table."""
    some = [row for row in found if row["named_test"] is not None and row["seen_test"] is not None]
    better = [100 * (row["named_test"] - row["seen_test"]) for row in some]
    low, high = interval(better)
    others = sum(row["named"] != row["seen"] for row in some)
    seconds = " or ".join(str(each) for each in sorted({row["seconds"] for row in found}))
    counts = [str(len(found)), str(sum(row["named"] is None for row in found)), f"{others} of {len(some)}"]
    gain = [f"{fmean(better):+.2f}", f"{low:+.2f} to {high:+.2f}", f"{min(better):+.2f} to {max(better):+.2f}"]
    return "| " + " | ".join([label, task, seconds, *counts, *gain]) + " |"


def interval(values: list[float]) -> tuple[float, float]:
    """Student's 95% interval of the mean."""
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return fmean(values) - half, fmean(values) + half


HEAD = """# Is the model that a time limit leaves as good as the best epoch seen?

Yes: no difference was found (the row `all`). The table compares the test accuracy of the model that `--timeout` names
with that of the trial that had the best epoch of the search.

| version | task | seconds | n | no model | another trial | test, points better | 95% interval | range |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
METHOD = """

## Method

Each run is one `cnnsearch run --timeout` of two workers, with confirmation as shipped. After it, `export --trial`
measures the trial that the search named and the trial that had the best epoch, if it is another one. `no model` counts
the searches that named no trial. `another trial` counts those in which the confirmation chose another trial than the
best epoch's.

* Tasks: 30 seconds of digits, 60 seconds of 6,000 images of MNIST, 90 seconds of 6,000 images of CIFAR-10.
* n: the column `n`, seeds from 100 on.
* Command: `CNNSEARCH_DATA=DIR python benchmarks/time_limit.py run`, then `table`.
* Machine: {machine}.
"""


if __name__ == "__main__":
    main()
