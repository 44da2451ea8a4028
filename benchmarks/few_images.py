"""How many epochs few images need: the default point of a space, trained on few images for more and more epochs.

    CNNSEARCH_DATA=DIR python benchmarks/few_images.py run --seeds 3
    python benchmarks/few_images.py table

Each training is one `cnnsearch run --trials 1` and one `cnnsearch export --best` on one core, on every core at the same
time. What is there already is not run again, so it may be stopped at any time. `table` prints a table.
"""

import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from statistics import fmean
from typing import Any, NamedTuple

import click

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "few_images.jsonl"
MACHINE = f"{platform.system()} {platform.machine()}, one core of {os.cpu_count()}"
UPDATES = (100, 250, 500, 1000)
HELD_OUT = 800
"""The first seed with which nothing was chosen."""


class Task(NamedTuple):
    """A space, its epochs and batch size, the share of its images that is for training, and so many images."""

    space: str
    epochs: int
    batch_size: int
    share: float
    images: int

    def length(self, updates: int) -> int:
        """The epochs with at least so many updates of the weights; the space's own if `updates` is 0."""
        return math.ceil(updates / math.ceil(self.share * self.images / self.batch_size)) if updates else self.epochs


TASKS = tuple(
    Task(*space, images)
    for space in (("cifar10_cnn", 20, 128, 5 / 6), ("mnist_cnn", 8, 128, 5 / 6), ("digits_cnn", 12, 64, 2 / 3))
    for images in (150, 500, 1500, 5000)
    if space[0] != "digits_cnn" or images < 1500
)

READ = """
from pathlib import Path
from cnnsearch.study import listing
study = listing.load(None, Path("runs"))
print(next(iter(study.test_results()))["accuracy"], study.trials()[0].seconds)
"""


@click.group()
def main() -> None:
    """Measure, or write down what was measured."""


@main.command()
@click.option("--seeds", default=3, show_default=True)
@click.option("--first", default=HELD_OUT - 100, show_default=True, help="The first of the seeds.")
@click.option("--updates", multiple=True, type=int, default=(0, *UPDATES), help="0: the space's epochs.")
@click.option("--space", "spaces", multiple=True, default=tuple(dict.fromkeys(task.space for task in TASKS)))
@click.option("--most", default=5000, show_default=True, help="The most images.")
def run(seeds: int, first: int, updates: tuple[int, ...], spaces: tuple[str, ...], most: int) -> None:
    """Train what is missing."""
    cores: SimpleQueue[int] = SimpleQueue()
    for core in sorted(os.sched_getaffinity(0)):
        cores.put(core)
    done = {(row["space"], row["images"], row["seed"], row["epochs"]) for row in rows()}
    tasks = [task for task in TASKS if task.space in spaces and task.images <= most]
    lengths = [(task, each) for task in tasks for each in sorted({task.length(count) for count in updates})]
    jobs = [(task, each, seed) for seed in range(first, first + seeds) for task, each in lengths]
    # more images need fewer epochs for as many updates; shorter trainings than the space's are left out
    missing = [
        job for job in jobs if job[1] >= job[0].epochs and (job[0].space, job[0].images, job[2], job[1]) not in done
    ]
    with ThreadPoolExecutor(cores.qsize()) as pool:
        for row in pool.map(lambda job: trained(*job, cores), missing):
            with RESULTS.open("a") as file:
                file.write(json.dumps(row) + "\n")
            click.echo(json.dumps(row))


def trained(task: Task, epochs: int, seed: int, cores: "SimpleQueue[int]") -> dict[str, Any]:
    """A row: the accuracy on the test set, and the seconds of the training."""
    run = ["run", "--space", task.space, "--set", f"dataset.limit={task.images}", "--seed", str(seed), "--trials", "1"]
    run += ["--epochs", str(epochs), "--precision", "float32", "--jobs", "1", "--confirm", "0", "--quiet"]
    ours = [sys.executable, "-m", "cnnsearch"]
    core = cores.get()
    try:
        with tempfile.TemporaryDirectory() as folder:
            for words in ([*ours, *run], [*ours, "export", "--best"], [sys.executable, "-c", READ]):
                told = called(words, folder, core)
    finally:
        cores.put(core)
    accuracy, seconds = map(float, told.split()[-2:])
    row = {"space": task.space, "images": task.images, "seed": seed, "epochs": epochs, "accuracy": round(accuracy, 6)}
    return row | {"seconds": round(seconds, 2), "machine": MACHINE}


def called(words: list[str], folder: str, core: int) -> str:
    """What a command printed that ran in `folder` on one core."""
    pinned = ["taskset", "-c", str(core), *words]
    done = subprocess.run(pinned, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(done.stderr[-2000:])
    return done.stdout


def rows() -> list[dict[str, Any]]:
    """What was measured."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


@main.command()
def table() -> None:
    """Print the mean accuracy on the test set for each number of updates."""
    click.echo(f"| space | images | epochs of the space | {' | '.join(f'{count} updates' for count in UPDATES)} |")
    click.echo("| --- " * (3 + len(UPDATES)) + "|")
    for task in TASKS:
        found = [row for row in rows() if (row["space"], row["images"]) == (task.space, task.images)]
        cells = [_cell([row for row in found if row["epochs"] == task.length(count)]) for count in (0, *UPDATES)]
        click.echo(f"| {task.space} | {task.images} | {' | '.join(cells)} |")


def _cell(found: list[dict[str, Any]]) -> str:
    if not found:
        return ""
    accuracy, seconds = (fmean(row[name] for row in found) for name in ("accuracy", "seconds"))
    return f"{accuracy:.2%} ({len(found)}; {seconds:.0f} s)"


if __name__ == "__main__":
    main()
