"""Does pausing trials at rungs save time where an epoch has few updates? Pairs of searches, with and without pauses.

    CNNSEARCH_DATA=DIR python benchmarks/pausing.py run --task cifar --seeds 40 48
    python benchmarks/pausing.py table

Both searches of a pair have the same seed, space and time limit. One pauses trials at rungs (`--scheduler halving`),
the other has Optuna's median pruner (`--scheduler none`). A pair is compared by what both reached: the best accuracy of
the one that had less luck. What is in `results/pausing.jsonl` is not run again. `table` writes
docs/benchmarks/pausing.md.
"""

import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from math import exp, log
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import click
from peers_events import logged, summary

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "pausing.jsonl"
PAGE = HERE.parent / "docs" / "benchmarks" / "pausing.md"
MACHINE = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
SCHEDULERS = ("halving", "none")


class Task(NamedTuple):
    """What is searched, and for how many seconds."""

    what: str
    seconds: int
    options: tuple[str, ...]


TASKS = {
    "digits_small": Task(
        "8x8 digits, 1,197 images, small networks",
        20,
        ("--space", str(HERE / "spaces" / "digits_small.toml"), "--precision", "float32"),
    ),
    "mnist_small": Task(
        "MNIST, 1,250 images, small networks",
        30,
        ("--space", str(HERE / "spaces" / "mnist_small.toml"), "--set", "dataset.limit=1500", "--precision", "float32"),
    ),
    "cifar_small": Task(
        "CIFAR-10, 1,500 images, small networks",
        50,
        ("--space", str(HERE / "spaces" / "cifar_small.toml"), "--set", "dataset.limit=1800", "--precision", "float32"),
    ),
    "cifar": Task(
        "CIFAR-10, 1,500 images, `cifar10_cnn`, 12 epochs",
        120,
        ("--space", "cifar10_cnn", "--set", "dataset.limit=1800", "--epochs", "12"),
    ),
}


@click.group()
def main() -> None:
    """Measure, or show what was measured."""


@main.command()
@click.option("--task", "tasks", type=click.Choice(tuple(TASKS)), multiple=True, default=tuple(TASKS))
@click.option(
    "--seeds", nargs=2, type=int, default=(40, 50), show_default=True, help="The first, and one past the last."
)
def run(tasks: tuple[str, ...], seeds: tuple[int, int]) -> None:
    """Run the searches that are not in the file yet; the two of a pair take turns in being the first."""
    done = {(row["task"], row["seed"], row["scheduler"]) for row in rows()}
    for seed in range(*seeds):
        for task in tasks:
            for scheduler in SCHEDULERS[:: 1 if seed % 2 else -1]:
                if (task, seed, scheduler) not in done:
                    row = {"task": task, "seed": seed, "scheduler": scheduler, **measured(TASKS[task], seed, scheduler)}
                    with RESULTS.open("a") as file:
                        file.write(json.dumps({**row, "machine": MACHINE}) + "\n")
                    click.echo(f"{task} {scheduler} seed {seed}: {row['best']} in {row['epochs']} epochs")


def measured(task: Task, seed: int, scheduler: str) -> dict[str, Any]:
    """The improvements of one search: seconds since its launch, epochs until then, validation accuracy."""
    words = [*task.options, "--study", "peers", "--seed", str(seed), "--trials", "400", "--confirm", "0", "--quiet"]
    words += ["--timeout", str(task.seconds), "--scheduler", scheduler]
    with tempfile.TemporaryDirectory() as name:
        folder, launched = Path(name), time.time()
        subprocess.run([sys.executable, "-m", "cnnsearch", "run", *words], cwd=folder, check=True)
        found = summary(sorted(logged(folder, launched)), [])
    return {
        "best": found["best"],
        "better": [better[:3] for better in found["better"]],
        "epochs": found["epochs"],
        "trials": found["begun"],
    }


def rows() -> list[dict[str, Any]]:
    """What was measured."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


@main.command()
def table() -> None:
    """Write docs/benchmarks/pausing.md."""
    found = {task: pairs([row for row in rows() if row["task"] == task]) for task in TASKS}
    lines = [line(TASKS[task].what, f"{TASKS[task].seconds}", some) for task, some in found.items()]
    lines.append(line("all", "", [pair for some in found.values() for pair in some]))
    machines = ", ".join(sorted({row["machine"] for row in rows()}))
    PAGE.write_text(HEAD + "\n".join(lines) + "\n" + METHOD.format(machine=machines))


def pairs(found: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The searches of a task with pauses and without them, for each seed that has both."""
    both = [{row["seed"]: row for row in found if (row["scheduler"] == "none") == without} for without in (False, True)]
    return [(both[0][seed], both[1][seed]) for seed in sorted(both[0].keys() & both[1].keys())]


def line(what: str, seconds: str, found: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """A row of the table."""
    told = [what, seconds, str(len(found)), *(f"{mean(pair[at]['trials'] for pair in found):.0f}" for at in (0, 1))]
    gains = [100 * (pair[0]["best"] - pair[1]["best"]) for pair in found]
    told.append("{:+.1f} ({:+.1f} to {:+.1f})".format(mean(gains), *interval(gains)))
    for at in (0, 1):
        ratios = [log(ratio(*pair, at)) for pair in found]
        low, high = interval(ratios)
        told.append(f"{exp(mean(ratios)):.2f} ({exp(low):.2f} to {exp(high):.2f})")
    return f"| {' | '.join(told)} |"


def ratio(paused: dict[str, Any], other: dict[str, Any], at: int) -> float:
    """The seconds or epochs of the first search until it reached what both reached, by those of the other."""
    target = min(paused["best"], other["best"])
    own, theirs = (next(better for better in row["better"] if better[2] >= target) for row in (paused, other))
    return float(own[at] / theirs[at])


def interval(values: list[float], repeats: int = 4000) -> tuple[float, float]:
    """The bootstrap 95% interval of the mean."""
    generator = random.Random(0)
    drawn = sorted(mean(generator.choices(values, k=len(values))) for _ in range(repeats))
    return drawn[round(0.025 * repeats)], drawn[round(0.975 * repeats) - 1]


COLUMNS = ("task", "s", "pairs", "trials with pauses", "without", "best with pauses, in points", "seconds", "epochs")
HEAD = f"""# Does pausing trials at rungs save time where an epoch has few updates?

No clear gain: searches with pauses needed 0.92 (0.83 to 1.01) of the time, and 0.70 (0.60 to 0.80) of the epochs, until
the best accuracy that both searches of a pair reached. At the end of the time both were as good. So `--scheduler auto`
still has no pauses where an epoch has fewer than 60 updates. Where an epoch is expensive, try `--scheduler halving`.

| {" | ".join(COLUMNS)} |
| {" | ".join("---" for _ in COLUMNS)} |
"""
METHOD = """
`seconds` and `epochs` are those with pauses divided by those without: below 1 is in favour of pauses (geometric means
with the bootstrap's 95% interval over pairs). `best` is the mean difference of the best accuracies at the end.

## Method

* A pair of searches has the same seed, space and time limit, and takes turns in being the first. One pauses trials at
  rungs, the other has Optuna's median pruner, as `--scheduler auto` where an epoch has fewer than 60 updates. Both have
  two workers. An epoch has about 20 updates with small networks, so the rungs are 1, 3 and 9 epochs, and 12 with
  `cifar10_cnn`, so that they are 4 and 12.
* The searches of digits are arms of [the comparison with other tools](peers.md), without a time limit of their own.
* With small networks on MNIST and CIFAR-10 the first trials were not paused: there the rungs began when trainings were
  known to take more than twice as long as the starts of trials. That was tried as another rule for `auto`.
* Command: `CNNSEARCH_DATA=DIR python benchmarks/pausing.py run`, then `table`.
* Machine: {machine}. n: the column `pairs`.
"""


if __name__ == "__main__":
    main()
