"""The tasks and arms of benchmarks/peers.py, and its stored results; importing it starts nothing."""

import json
import math
import random
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, median
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "peers"

PEERS = ("A", "B", "C", "D", "E", "H", "I", "J", "K")

USUAL = (*(arm for arm in PEERS if arm != "K"), "F")
"""The arms that run if none is named: those that need no further package."""

SAME = ("--precision", "float32")

OURS: dict[str, tuple[str, ...]] = {
    "F": SAME,
    "G-half": ("--precision", "mixed_bfloat16"),
    "G-fit": ("--no-lean", *SAME),
    "G-one-job": ("--jobs", "1", *SAME),
    "G-no-pruning": ("--scheduler", "none", "--pruner", "none", *SAME),
    "G-no-rungs": ("--scheduler", "none", *SAME),
    "G-random": ("--sampler", "random", *SAME),
    "G-no-default": ("--no-default", *SAME),
}

TASKS = ("digits", "mnist", "cifar")

HELD_OUT = 200
"""The first seed that nothing was developed with."""

ENOUGH = 10
"""A task is judged by these seeds as soon as cnnsearch has run with so many of them."""

PILOT = (101, 102, 103, 104, 105)

TRIALS = {"digits": 25, "mnist": 12, "cifar": 12}

CAP = {"digits": 90.0, "mnist": 120.0, "cifar": 180.0}
"""The most seconds of an arm, unless `--cap` is given; a pilot always has these."""

MOST = 300
"""More trials than any arm gets to within CAP."""

EQUAL = {"digits": 20.0, "mnist": 40.0, "cifar": 60.0}
"""The plans that the arms chose within so many seconds are compared."""

NEAR = 1e-9
"""Two accuracies that differ by less than this are equal."""


def goal(found: list[dict[str, Any]]) -> float:
    """The validation accuracy that every arm should reach: the median of the pilots' best."""
    return median(row["best"] for row in found if row["arm"] == "A" and row["seed"] in PILOT)


def rows(task: str) -> list[dict[str, Any]]:
    """The rows of a task that follow the present rules; for each arm and seed the run with the most time."""
    path = RESULTS / f"{task}.jsonl"
    every = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    ruled = [row for row in every if row["trials"] == (TRIALS[task] if row["seed"] in PILOT else MOST)]
    return list({(row["arm"], row["seed"]): row for row in sorted(ruled, key=lambda row: row["cap"])}.values())


def judged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of seeds that nothing was developed with, if there are ENOUGH; else those of the other seeds."""
    held_out = [row for row in rows if row["seed"] >= HELD_OUT]
    return held_out if sum(row["arm"] == "F" for row in held_out) >= ENOUGH else developed(rows)


def developed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the seeds that cnnsearch was developed with."""
    return [row for row in rows if row["seed"] < HELD_OUT and row["seed"] not in PILOT]


def reached(row: dict[str, Any], target: float) -> tuple[float, int, bool]:
    """Seconds and epochs to the target, and whether it was reached; if not, those of the whole run."""
    for seconds, epochs, value, *_ in row["better"]:
        if value >= target - NEAR:
            return seconds, epochs, True
    return row["wall"], row["epochs"], False


def per_hit(found: list[tuple[float, int, bool]], at: int) -> float:
    """All seconds or epochs that an arm spent, divided by how often it reached the target; infinite if never."""
    hits = sum(hit for *_, hit in found)
    return sum(each[at] for each in found) / hits if hits else math.inf


def per_hit_ratio(
    theirs: list[tuple[float, int, bool]], ours: list[tuple[float, int, bool]], at: int, repeats: int = 4000
) -> tuple[float, float, float]:
    """What a hit costs them as a multiple of ours, with the bootstrap 95% interval over the seeds, which both have."""
    generator, numbers = random.Random(0), range(len(ours))

    def ratio(chosen: Iterable[int]) -> float:
        some = list(chosen)
        other, own = per_hit([theirs[n] for n in some], at), per_hit([ours[n] for n in some], at)
        # neither has hit in this sample
        return 1.0 if other == own else other / own

    drawn = sorted(ratio(generator.choices(numbers, k=len(numbers))) for _ in range(repeats))
    return ratio(numbers), drawn[round(0.025 * repeats)], drawn[round(0.975 * repeats) - 1]


def interval(values: list[float], repeats: int = 4000) -> tuple[float, float]:
    """The bootstrap 95% interval of the mean of paired values."""
    generator = random.Random(0)
    drawn = sorted(mean(generator.choices(values, k=len(values))) for _ in range(repeats))
    return drawn[round(0.025 * repeats)], drawn[round(0.975 * repeats) - 1]
