"""Half precision on a CPU: how long the default point of a space trains in it, and how good it becomes.

    CNNSEARCH_DATA=DIR python benchmarks/half_precision.py run --seeds 10
    python benchmarks/half_precision.py table

Each training is one `cnnsearch run --trials 1` on one core, in float32 and in mixed_bfloat16 with the same seed, one
after the other; on every core of the machine at the same time. `table` writes docs/benchmarks/half-precision.md.
"""

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from statistics import mean, stdev
from typing import Any, NamedTuple

import click

from cnnsearch.training.half_precision import processor

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "half_precision.jsonl"
PAGE = HERE.parent / "docs" / "benchmarks" / "half-precision.md"
PRECISIONS = ("float32", "mixed_bfloat16")


class Task(NamedTuple):
    """A space, so many of its images (0: all), and epochs."""

    space: str
    images: int
    epochs: int


TASKS = (Task("digits_cnn", 0, 12), Task("mnist_cnn", 6000, 6), Task("cifar10_cnn", 4000, 5))


@click.group()
def main() -> None:
    """Measure, or write down what was measured."""


@main.command()
@click.option("--seeds", default=10, show_default=True)
@click.option("--first", default=600, show_default=True, help="The first of the seeds.")
def run(seeds: int, first: int) -> None:
    """Train what is missing."""
    cores: SimpleQueue[int] = SimpleQueue()
    for core in sorted(os.sched_getaffinity(0)):
        cores.put(core)
    done = {(row["space"], row["seed"]) for row in rows() if row["processor"] == about()}
    missing = [(task, seed) for seed in range(first, first + seeds) for task in TASKS if (task.space, seed) not in done]
    with ThreadPoolExecutor(cores.qsize()) as pool:
        for row in pool.map(lambda job: both(*job, cores), missing):
            with RESULTS.open("a") as file:
                file.write(json.dumps(row) + "\n")
            click.echo(json.dumps(row))


def both(task: Task, seed: int, cores: "SimpleQueue[int]") -> dict[str, Any]:
    """Score and seconds in both precisions; the order changes from seed to seed."""
    core = cores.get()
    order = PRECISIONS if seed % 2 else PRECISIONS[::-1]
    try:
        found = {precision: train(task, seed, precision, core) for precision in order}
    finally:
        cores.put(core)
    return {"space": task.space, "seed": seed, **found, "processor": about()}


def train(task: Task, seed: int, precision: str, core: int) -> list[float]:
    """Score and seconds of one training."""
    limit = ["--set", f"dataset.limit={task.images}"] if task.images else []
    words = ["run", "--space", task.space, "--seed", str(seed), "--trials", "1", "--epochs", str(task.epochs), *limit]
    words += ["--precision", precision, "--jobs", "1", "--confirm", "0"]
    with tempfile.TemporaryDirectory() as folder:
        for arguments in (words, ["leaderboard", "--format", "csv"]):
            done = subprocess.run(
                [sys.executable, "-m", "cnnsearch", *arguments],
                cwd=folder,
                check=True,
                capture_output=True,
                text=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    return [float(row["score"]), float(row["seconds"])]


def about() -> str:
    """The processor, and its instructions that half precision needs."""
    name, flags = processor()
    useful = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags.split()]
    return f"{name} with {' and '.join(useful) or 'neither avx512_bf16 nor amx_bf16'}, {os.cpu_count()} cores"


def rows() -> list[dict[str, Any]]:
    """What was measured."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


@main.command()
def table() -> None:
    """Write docs/benchmarks/half-precision.md."""
    lines = []
    for processor_name in dict.fromkeys(row["processor"] for row in rows()):
        for task in TASKS:
            found = [row for row in rows() if (row["space"], row["processor"]) == (task.space, processor_name)]
            if len(found) > 1:
                lines.append(line(task, found, processor_name))
    PAGE.write_text(HEAD + "\n".join(lines) + "\n" + METHOD)


def line(task: Task, found: list[dict[str, Any]], processor_name: str) -> str:
    """A row of the table."""
    from scipy.stats import t

    pairs = [(row["mixed_bfloat16"], row["float32"]) for row in found]
    ratios = sorted(half[1] / full[1] for half, full in pairs)
    gains = [100 * (half[0] - full[0]) for half, full in pairs]
    wide = float(t.ppf(0.975, len(gains) - 1)) * stdev(gains) / len(gains) ** 0.5
    gain = f"{mean(gains):+.2f} | {mean(gains) - wide:+.2f} to {mean(gains) + wide:+.2f}"
    images = f"{task.images:,} images" if task.images else "all images"
    ratio = f"{mean(ratios):.2f} | {ratios[0]:.2f} to {ratios[-1]:.2f}"
    return f"| `{task.space}`, {images}, {task.epochs} epochs | {ratio} | {gain} | {len(found)} | {processor_name} |"


HEAD = """# Is half precision faster on a CPU?

On a CPU with instructions for bfloat16, yes: trials of MNIST and CIFAR-10 took 0.72 and 0.60 of float32's time, whole
trials with tracing and compiling. Trials of 8x8 digits took longer. No loss of accuracy was found.

| training | time in half / in float32 | range | accuracy, points | 95% interval | n | processor |
| --- | --- | --- | --- | --- | --- | --- |
"""
METHOD = """
The time is that of a whole trial: tracing, compiling, all epochs. The accuracy is the best validation accuracy of all
epochs.

`--precision auto` measures on each machine and chooses half precision where two convolutions take at most 0.8 of
float32's time ([precision](../how-to/precision.md)).

* Each training is the default point of the space on one core, in both precisions with the same seed and images. All
  cores train at the same time.
* n: seeds from 600 on, with which nothing was developed.
* Command: `CNNSEARCH_DATA=DIR python benchmarks/half_precision.py run`, then `table`.
"""


if __name__ == "__main__":
    main()
