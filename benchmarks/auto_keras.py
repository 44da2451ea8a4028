"""AutoKeras' image classifier, and cnnsearch for the same time: the accuracy on the same test images.

    CNNSEARCH_DATA=DIR python benchmarks/auto_keras.py run --python AUTOKERAS/bin/python --task digits_cnn
    python benchmarks/auto_keras.py table

AUTOKERAS is a virtual environment with AutoKeras 3.0.0, which works with Keras 3.10 and not with 3.15:
`python -m venv AUTOKERAS`, `AUTOKERAS/bin/pip install autokeras==3.0.0 keras==3.10.0 "tensorflow==2.19.*"`.
Each row of `results/autokeras.jsonl` is one seed: AutoKeras first, with one trial, then cnnsearch with the seconds
that AutoKeras needed as its time limit. What is in the file is not measured again.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import click
from peers_results import interval

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "autokeras.jsonl"
PAGE = HERE.parent / "docs" / "benchmarks" / "autokeras.md"
MACHINE = f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} cores"

LIMITED = ("--set", "dataset.limit=7200")


class Task(NamedTuple):
    """What the table says, the name of its data in peer_task.py, and the options of `cnnsearch run`."""

    title: str
    data: str
    options: tuple[str, ...]


TASKS = {
    "digits_small": Task(
        "8x8 digits, 1,197 images, at most 9 epochs", "digits", ("--space", str(HERE / "spaces" / "digits_small.toml"))
    ),
    "digits_cnn": Task("the same with `digits_cnn`", "digits", ("--space", "digits_cnn")),
    "digits_cnn, 40 epochs": Task(
        "the same with `digits_cnn --epochs 40`", "digits", ("--space", "digits_cnn", "--epochs", "40")
    ),
    "mnist_cnn": Task("MNIST, 6,000 images, `mnist_cnn`", "mnist", ("--space", "mnist_cnn", *LIMITED)),
    "cifar10_cnn": Task("CIFAR-10, 6,000 images, `cifar10_cnn`", "cifar", ("--space", "cifar10_cnn", *LIMITED)),
}

DATA = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from peer_task import Task
task = Task(sys.argv[2], int(sys.argv[3]), test=True)
labels = {"y": task.y.argmax(1), "y_val": task.y_val.argmax(1)}
np.savez("data.npz", x=task.x, x_val=task.x_val, x_test=task.test[0], y_test=task.test[1], **labels)
"""

SEARCH = """
import sys
import autokeras
import numpy as np
data = np.load("data.npz")
found = autokeras.ImageClassifier(max_trials=1, seed=int(sys.argv[1]) + 1, directory="found", overwrite=True)
found.fit(data["x"], data["y"], validation_data=(data["x_val"], data["y_val"]), verbose=0)
answers = found.predict(data["x_test"], verbose=0).reshape(-1).astype(int)
print("TEST", (answers == data["y_test"]).mean())
"""

READ = """
from pathlib import Path
from cnnsearch.study import listing
print("TEST", next(iter(listing.load(None, Path("runs")).test_results()))["accuracy"])
"""


@click.group()
def main() -> None:
    """Measure, or show what was measured."""


@main.command()
@click.option("--python", required=True, help="The Python of the environment with AutoKeras.")
@click.option("--task", "tasks", type=click.Choice(tuple(TASKS)), multiple=True, default=tuple(TASKS))
@click.option("--first", default=200, show_default=True, help="The first seed.")
@click.option("--seeds", default=5, show_default=True, help="How many seeds.")
def run(python: str, tasks: tuple[str, ...], first: int, seeds: int) -> None:
    """Measure the seeds that are not in the file yet."""
    done = {(row["task"], row["seed"]) for row in rows()}
    for seed in range(first, first + seeds):
        for task in tasks:
            if (task, seed) not in done:
                row = {"task": task, "seed": seed, **measured(python, task, seed), "machine": MACHINE}
                with RESULTS.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                click.echo(json.dumps(row))


@main.command()
def table() -> None:
    """Write docs/benchmarks/autokeras.md."""
    lines = [line(task, [row for row in rows() if row["task"] == task]) for task in TASKS]
    machines = ", ".join(sorted({row["machine"] for row in rows()}))
    mnist = [100 * (row["cnnsearch"] - row["autokeras"]) for row in rows() if row["task"] == "mnist_cnn"]
    head = HEAD.format(gain=f"{fmean(mnist):.2f}", n=len(mnist), of=sum(gain > 0 for gain in mnist))
    PAGE.write_text(head + "\n".join(filter(None, lines)) + METHOD.format(machine=machines))


def measured(python: str, task: str, seed: int) -> dict[str, Any]:
    """Seconds and accuracies of both, on the split of this seed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        called(folder, sys.executable, "-c", DATA, str(HERE), TASKS[task].data, str(seed))
        seconds, told = called(folder, python, "-c", SEARCH, str(seed), environment={"PYTHONPATH": ""})
        ours = [sys.executable, "-m", "cnnsearch"]
        options = ["--timeout", f"{seconds:.0f}", "--trials", "1000", "--seed", str(seed), "--quiet"]
        search, _ = called(folder, *ours, "run", *TASKS[task].options, *options)
        export, _ = called(folder, *ours, "export", "--best")
        _, own = called(folder, sys.executable, "-c", READ)
    times = {"seconds": round(seconds, 1), "search": round(search, 1), "export": round(export, 1)}
    return times | {"autokeras": test(told), "cnnsearch": test(own)}


def called(folder: Path, *words: str, environment: dict[str, str] | None = None) -> tuple[float, str]:
    """The seconds that a command took, and what it printed."""
    began = time.monotonic()
    own = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **(environment or {})}
    done = subprocess.run(words, cwd=folder, env=own, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(done.stderr[-2000:])
    return time.monotonic() - began, done.stdout


def test(told: str) -> float:
    """The accuracy on the test set that a process printed."""
    return round(float(told.rpartition("TEST")[2]), 6)


def rows() -> list[dict[str, Any]]:
    """What was measured."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def line(task: str, found: list[dict[str, Any]]) -> str:
    """A row of the table; empty without a result."""
    if not found:
        return ""
    gains = [100 * (row["cnnsearch"] - row["autokeras"]) for row in found]
    low, high = interval(gains)
    seconds = [f"{fmean(row[which] for row in found):.0f}" for which in ("seconds", "search", "export")]
    tested = [f"{fmean(row[which] for row in found):.2%}" for which in ("autokeras", "cnnsearch")]
    better = f"{fmean(gains):+.2f} ({low:+.2f} to {high:+.2f})"
    return f"| {TASKS[task].title} | {len(found)} | {' | '.join([*seconds, *tested])} | {better} |"


HEAD = """# Is cnnsearch better than AutoKeras in the same time?

On MNIST yes, by {gain} points on the test images (n = {n}; {of} seeds in favour of cnnsearch). On the 8x8 digits no
difference is shown with the shipped space `digits_cnn`. With small networks and at most 9 epochs, cnnsearch is worse
there. cnnsearch had the seconds of AutoKeras' first trial as its time limit. It ended about 4 seconds later, and the
export took 7 to 10 seconds more.

| images | n | AutoKeras, s | cnnsearch, s | export, s | AutoKeras, test | cnnsearch, test | better by, in points |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
METHOD = """

The last column is the mean difference on the same seed, with the bootstrap's 95% interval.

## Method

AutoKeras' `ImageClassifier` has its own space and `max_trials=1`. Its first trial is a small CNN, trained until the
validation loss has not improved for 10 epochs. `cnnsearch run` has the seconds that AutoKeras needed as `--timeout`,
and a shipped space; in the first row the space of [the comparison with other tools](peers.md). `export --best` measures
the model on the test set. Both have the same images for training, validation and test.

* AutoKeras' second trial is a ResNet of 50 layers. It had not ended its first epoch of 8x8 digits after 100 seconds.
* AutoKeras 3.0.0 runs with Keras 3.10 and TensorFlow 2.19, as it does not work with Keras 3.15.
* The first row was measured before the others. AutoKeras has its shipped space; so has cnnsearch there.
* n: seeds from 200 on, with which nothing was developed.
* Command: `CNNSEARCH_DATA=DIR python benchmarks/auto_keras.py run --python AUTOKERAS/bin/python`, then `table`.
* Machine: {machine}.
"""


if __name__ == "__main__":
    main()
