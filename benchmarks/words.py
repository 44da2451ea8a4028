"""What each part of cifar10_fast gains: its default network, made smaller, with one part changed at a time.

    CNNSEARCH_DATA=DIR python benchmarks/words.py run --seeds 5
    python benchmarks/words.py table

`run` trains all recipes of `spaces/cifar_words.toml` with each seed: one `cnnsearch run` for each, which goes on where
it was stopped. A seed has its own split into training and validation images and its own first weights. `table` writes
docs/benchmarks/cifar-words.md from what `run` has written into `results/words`.
"""

import csv
import io
import json
import os
import platform
import subprocess
import sys
import tomllib
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import click

from cnnsearch.study import listing

HERE = Path(__file__).parent
ROOT = HERE.parent
SPACE = HERE / "spaces" / "cifar_words.toml"
RESULTS = HERE / "results" / "words"
PAGE = ROOT / "docs" / "benchmarks" / "cifar-words.md"
BASE = "unchanged"


def recipes() -> dict[str, str]:
    """What each recipe changes, by its name."""
    found = tomllib.loads(SPACE.read_text("utf-8"))["recipes"]
    return {
        name: ", ".join(f"`{key}` = {value}" for key, value in each["values"].items()) for name, each in found.items()
    }


@click.group()
def main() -> None:
    """Measure, or write down what was measured."""


@main.command()
@click.option("--seeds", default=5, show_default=True)
@click.option("--first", default=500, show_default=True, help="The first of the seeds.")
@click.option("--runs", default=ROOT / "runs" / "words", type=click.Path(path_type=Path), help="Studies go here.")
@click.argument("more", nargs=-1)
def run(seeds: int, first: int, runs: Path, more: tuple[str, ...]) -> None:
    """Train what is missing, a seed after the other. MORE are further options of `cnnsearch run`."""
    named = [word for name in recipes() for word in ("--recipe", name)]
    for seed in range(first, first + seeds):
        study, place = f"words-{seed}", ["--runs", str(runs)]
        words = ["run", "--space", str(SPACE), "--study", study, "--seed", str(seed), *named, *place, *more]
        command = [sys.executable, "-m", "cnnsearch"]
        # a worker for each core
        subprocess.run([*command, *words, "--jobs", str(os.cpu_count())], check=True)
        board = [*command, "leaderboard", study, "--format", "csv", "--wide", *place]
        row = {
            "trainings": trainings(subprocess.run(board, check=True, stdout=subprocess.PIPE, text=True).stdout),
            "precision": listing.load(study, runs).precision,
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        }
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{study}.json").write_text(json.dumps(row, indent=1) + "\n")


@main.command()
def table() -> None:
    """Write docs/benchmarks/cifar-words.md."""
    seeds = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    boards = [seed["trainings"] for seed in seeds]
    rows = [(name, what, *effect(name, boards)) for name, what in recipes().items() if name != BASE]
    rows.sort(key=lambda row: -row[2])
    lines = [
        f"| `{name}` | {what} | {gain:+.2f} | {gain - half:+.2f} to {gain + half:+.2f} | {time:.2f} |"
        for name, what, gain, half, time in rows
    ]
    accuracy, seconds = (mean(board[BASE][at] for board in boards) for at in (0, 1))
    machines = ", ".join(sorted({f"{seed['machine']}, {seed['precision']}" for seed in seeds}))
    about = METHOD.format(n=len(boards), accuracy=accuracy, seconds=seconds, machine=machines)
    PAGE.write_text(HEAD + "\n".join(lines) + "\n" + about)


def trainings(board: str) -> dict[str, tuple[float, float]]:
    """Validation accuracy and seconds of the trainings of a leaderboard, by their recipe."""
    rows = [row for row in csv.DictReader(io.StringIO(board)) if row["origin"].startswith("recipe ")]
    return {row["origin"].removeprefix("recipe "): (float(row["score"]), float(row["seconds"])) for row in rows}


def effect(name: str, boards: list[dict[str, Any]]) -> tuple[float, float, float]:
    """The mean gain over the unchanged network in points, half of Student's 95% interval, and the ratio of seconds."""
    from scipy.stats import t

    pairs = [(board[name], board[BASE]) for board in boards]
    gains = [100 * (one[0] - base[0]) for one, base in pairs]
    half = float(t.ppf(0.975, len(gains) - 1)) * stdev(gains) / len(gains) ** 0.5
    return mean(gains), half, mean(one[1] / base[1] for one, base in pairs)


HEAD = """# Which parts of cifar10_fast help?

Gain in validation accuracy, in points, when one part of the network is changed, with its 95% interval.

| change | hyperparameter | gain | 95% interval | time |
| --- | --- | --- | --- | --- |
"""
METHOD = """
## Method

* The network is the default point of `cifar10_fast` with 32, 64 and 128 filters in place of 64, 256 and 256. It is
  trained for 10 epochs on 16,666 images of CIFAR-10 (the copy that was compressed as JPEG), and validated on 3,334. It
  reaches {accuracy:.2%} in {seconds:.0f} seconds on one core. All intervals are of pairs with the same seed and images.
* What helps a larger network, more images or more epochs may be something else: augmentation has little to do in ten
  epochs of a small network.
* With so many comparisons, one in twenty of the intervals is expected to miss the true gain.
* `time` is the time of the training, divided by that of the unchanged network.
* n = {n} seeds, from 500 on, with which nothing was developed. Machine: {machine}.
* Command: `CNNSEARCH_DATA=DIR python benchmarks/words.py run`, then `table`.
"""


if __name__ == "__main__":
    main()
