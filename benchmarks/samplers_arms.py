"""The arms of benchmarks/samplers.py, and its stored trainings; importing it starts nothing."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from cnnsearch.study.samplers import sampler

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "samplers"

TASKS = ("digits", "mnist")

DEFAULT = -1
"""The number of the default point among the plans."""

NEAR = 0.7
"""The probability that a point near another has a hyperparameter of it."""

TRIALS = 100

SHIPPED = "tpe"


def tpe(**options: Any) -> Callable[[int], Any]:
    def make(seed: int) -> Any:
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed, constant_liar=True, **options)

    return make


class Arm(NamedTuple):
    """A sampler, whether the default point is the first trial, and whether points near it come next."""

    make: Callable[[int], Any]
    told: str
    default: bool = True
    near: int = 0


def named(name: str) -> Callable[[int], Any]:
    return lambda seed: sampler(name, seed)


# the options that cnnsearch had when this was measured, so that later changes of the defaults do not change the arms
AS_IT_WAS = tpe(multivariate=True, n_startup_trials=10)

GROUPED = tpe(multivariate=True, group=True, n_startup_trials=10)

ALONE = tpe(multivariate=False, n_startup_trials=10)

ARMS = {
    SHIPPED: Arm(AS_IT_WAS, "TPE, multivariate, 10 at random first"),
    "tpe-5": Arm(tpe(multivariate=True, n_startup_trials=5), "TPE, multivariate, 5 at random first"),
    "tpe-20": Arm(tpe(multivariate=True, n_startup_trials=20), "TPE, multivariate, 20 at random first"),
    "near": Arm(AS_IT_WAS, "TPE, multivariate, 9 near the default first", near=9),
    "near-4": Arm(AS_IT_WAS, "TPE, multivariate, 4 near the default and 5 at random first", near=4),
    "near-5": Arm(tpe(multivariate=True, n_startup_trials=5), "TPE, multivariate, 4 near the default first", near=4),
    "group": Arm(GROUPED, "TPE, multivariate, grouped, 10 at random first"),
    "alone": Arm(ALONE, "TPE, each hyperparameter alone, 10 at random first"),
    "gp": Arm(named("gp"), "Gaussian process, 10 at random first"),
    "qmc": Arm(named("qmc"), "quasi-random"),
    "random": Arm(named("random"), "random"),
    "tpe-nd": Arm(AS_IT_WAS, "TPE, multivariate, 10 at random first", default=False),
    "group-nd": Arm(GROUPED, "TPE, multivariate, grouped, 10 at random first", default=False),
    "alone-nd": Arm(ALONE, "TPE, each hyperparameter alone, 10 at random first", default=False),
    "gp-nd": Arm(named("gp"), "Gaussian process, 10 at random first", default=False),
    "random-nd": Arm(named("random"), "random", default=False),
}

FREE = tuple(name for name in ARMS if not name.startswith("gp"))
"""The arms that need no further package."""


def near(values: dict[str, Any], seed: int, count: int) -> list[dict[str, Any]]:
    """Points that have some hyperparameters of another point; the sampler draws the others.

    A default point is better than most random points, and so are points near it, as in PriorBand (Mallik et al., 2023,
    arXiv 2306.12370).
    """
    generator = random.Random(seed)
    return [{name: value for name, value in values.items() if generator.random() < NEAR} for _ in range(count)]


def keep(path: Path, row: dict[str, Any]) -> None:
    """Add a line to a file of results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def rows(path: Path) -> list[dict[str, Any]]:
    """Every line of a file of results."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measured(task: str) -> list[dict[str, Any]]:
    """Every training of a task's plans, in order of plan and seed."""
    found = {(row["plan"], row["seed"]): row for row in rows(RESULTS / f"{task}_points.jsonl")}
    return [found[key] for key in sorted(found)]
