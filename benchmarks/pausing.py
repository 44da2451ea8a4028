"""Does pausing trials at rungs save time where an epoch has few updates? Pairs of searches, with and without pauses.

    CNNSEARCH_DATA=DIR python benchmarks/pausing.py run --task digits_small --seeds 20 32
    CNNSEARCH_DATA=DIR python benchmarks/pausing.py run --task cifar --seeds 40 45
    python benchmarks/pausing.py table

Both searches of a pair have the same seed, space and time limit. One pauses trials at rungs (`--scheduler halving`),
the other has Optuna's median pruner (`--scheduler none`). A pair is compared by what both reached: the lower of the two
best accuracies. What is in `results/pausing.jsonl` is not run again. `table` writes docs/benchmarks/pausing.md.
"""

import json
import os
import platform
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
from peers_results import interval

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "pausing.jsonl"
PAGE = HERE.parent / "docs" / "benchmarks" / "pausing.md"
MACHINE = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
FEW = 5
"""So few pairs get no interval."""

SCHEDULERS = ("halving", "none")
ANOTHER = "auto, 2 starts"
"""A rule that was tried for `auto` and not kept: pauses once a training takes more than twice as long as its start."""


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
    lines = []
    for scheduler, told in (("halving", "halving"), (ANOTHER, "the other rule")):
        found = {task: pairs(task, scheduler) for task in TASKS}
        lines += [line(told, TASKS[task].what, f"{TASKS[task].seconds}", some) for task, some in found.items() if some]
        lines.append(line(told, "all", "", [pair for some in found.values() for pair in some]))
    machines = ", ".join(sorted({row["machine"] for row in rows()}))
    PAGE.write_text(HEAD + "\n".join(lines) + "\n" + METHOD.format(machine=machines))


def pairs(task: str, scheduler: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The searches of a task with this scheduler and without pauses, for each seed that has both."""
    own = [row for row in rows() if row["task"] == task]
    paused, other = ({row["seed"]: row for row in own if row["scheduler"] == name} for name in (scheduler, "none"))
    return [(paused[seed], other[seed]) for seed in sorted(paused.keys() & other.keys())]


def line(rule: str, what: str, seconds: str, found: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    """A row of the table."""
    gains = [100 * (pair[0]["best"] - pair[1]["best"]) for pair in found]
    told = [rule, what, seconds, str(len(found)), "{:+.1f} ({:+.1f} to {:+.1f})".format(mean(gains), *spread(gains))]
    for at in (0, 1):
        ratios = [log(ratio(*pair, at)) for pair in found]
        low, high = spread(ratios)
        told.append(f"{exp(mean(ratios)):.2f} ({exp(low):.2f} to {exp(high):.2f})")
    return f"| {' | '.join(told)} |"


def ratio(paused: dict[str, Any], other: dict[str, Any], at: int) -> float:
    """The seconds or epochs of the first search until it reached what both reached, by those of the other."""
    target = min(paused["best"], other["best"])
    own, theirs = (next(better for better in row["better"] if better[2] >= target) for row in (paused, other))
    return float(own[at] / theirs[at])


def spread(values: list[float]) -> tuple[float, float]:
    """The bootstrap 95% interval of the mean; the least and the most of fewer than 6 values."""
    return interval(values) if len(values) > FEW else (min(values), max(values))


COLUMNS = ("with pauses", "task", "s", "pairs", "best, in points", "seconds", "epochs")
HEAD = f"""# Does pausing trials at rungs save time where an epoch has few updates?

No gain of time is shown, but on the 8x8 digits rungs save epochs. Until the best accuracy that both searches of a pair
reached, searches with rungs needed 0.96 (0.86 to 1.08) of the time and 0.61 (0.52 to 0.73) of the epochs. Five pairs on
CIFAR-10 alone show no difference. No difference of the best accuracy was found. Rungs are the default everywhere: it is
one rule for all data, and it costs no time.

| {" | ".join(COLUMNS)} |
| {" | ".join("---" for _ in COLUMNS)} |
"""
METHOD = """
`seconds` and `epochs` are those with pauses divided by those without: below 1 is in favour of pauses. `best` is the
mean difference of the best accuracies at the end. In brackets: the bootstrap's 95% interval over pairs; the least and
the most of fewer than 6 pairs.

## Method

* Both searches of a pair have the same seed, space and time limit, and two workers. Which search runs first alternates
  from seed to seed. One search pauses trials at rungs. The other one has `--scheduler none`: Optuna's median pruner.
* With small networks an epoch has about 20 updates, so the rungs are 1, 3 and 9 epochs. With `cifar10_cnn` an epoch has
  12 updates, so the rungs are 4 and 12 epochs. It was trained in half precision, the small networks in float32.
* The searches of digits had no time limit and ended later. Their first 20 seconds count.
* The other rule is a version of `auto` that was not kept. It began to pause trials when trainings were known to take
  more than twice as long as a start. With small networks on MNIST and CIFAR-10, only this rule was measured.
* Command: `CNNSEARCH_DATA=DIR python benchmarks/pausing.py run --task cifar --seeds 40 45`, then `table`.
* Machine: {machine}. n: the column `pairs`.
"""


if __name__ == "__main__":
    main()
