"""How good the plan is that an arm of benchmarks/peers.py had chosen by a time: trained anew on three other seeds.

What a search shows as its best is the luckiest of many; what its plan is worth, seeds tell that it has not seen. Every
plan is trained to its end by the same trainer, whoever found it, on the split of its search.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers_results import quality_file, retrained

HERE = Path(__file__).parent
FRESH = (9001, 9002, 9003)
BEGINS = 1.0
"""Seconds from the launch to the moment that `--timeout` counts from."""

Values = dict[str, Any]


def again(task: str, arm: str, seed: int, seconds: float, choose: Callable[[], Values | None]) -> None:
    """Train what an arm had chosen after `seconds`, unless that was done; keep the best validation accuracies.

    `took` is how long it took to choose, with MLflow's last words, where that was not done when the arms were timed.
    What another arm chose on the same split is not trained a second time.
    """
    key, known = {"arm": arm, "seed": seed, "seconds": seconds}, retrained(task)
    if any(key.items() <= found.items() for found in known):
        return
    began = time.time()
    values = choose()
    took = round(time.time() - began, 1)
    same = (found["fresh"] for found in known if values and (found["seed"], found.get("values")) == (seed, values))
    fresh = (next(same, None) or train(task, seed, values)) if values else []
    with quality_file(task).open("a") as file:
        file.write(json.dumps({**key, "fresh": fresh, "values": values, "took": took}) + "\n")
    print(f"{task} {arm} seed {seed}: {fresh}", flush=True)


def named(task: str, seed: int, seconds: float, trials: int) -> Values | None:
    """The hyperparameters of what cnnsearch names as its best when it has so many seconds."""
    from cnnsearch.study import listing, ranking

    with tempfile.TemporaryDirectory() as folder:
        given = ["--space", str(HERE / "spaces" / f"{task}_small.toml"), "--study", "peers", "--seed", str(seed)]
        limits = ["--timeout", str(seconds - BEGINS), "--trials", str(trials), "--precision", "float32", "--quiet"]
        subprocess.run([sys.executable, "-m", "cnnsearch", "run", *given, *limits], cwd=folder, check=True)
        study = listing.load("peers", Path(folder) / "runs")
        best = next((record for record in ranking.ranked(study) if record.state == "complete"), None)
        print(f"{task} seed {seed}: {len(study.trials())} trials, {len(study.repeats())} again")
    return best.params if best else None


def chosen(row: dict[str, Any], seconds: float) -> dict[str, Any] | None:
    """The hyperparameters of the best epoch so far; None where no epoch had ended."""
    return next((values for t, _, _, values in reversed(row["better"]) if t <= seconds and values), None)


def train(name: str, seed: int, values: dict[str, Any]) -> list[float]:
    """The best validation accuracy of all epochs on each of FRESH."""
    from first_looks import train as fit
    from peer_task import Task

    task = Task(name, seed)
    plan, _ = task.plan(lambda each, _: values[each])
    return [max(fit(task, plan, fresh, 1.0, plan.epochs)[0]) for fresh in FRESH]
