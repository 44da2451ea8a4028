"""How good the plan is that an arm of benchmarks/peers.py had chosen by a time: trained anew on three other seeds.

What a search shows as its best is the luckiest of many; what its plan is worth, seeds tell that it has not seen. Every
plan is trained to its end by the same trainer, whoever found it, on the split of its search.
"""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "peers"
FRESH = (9001, 9002, 9003)


def again(task: str, row: dict[str, Any], seconds: float) -> None:
    """Train what `row` had chosen after `seconds`, unless that was done; keep the best validation accuracies."""
    key = {"arm": row["arm"], "seed": row["seed"], "seconds": seconds}
    if any(key.items() <= found.items() for found in measured(task)):
        return
    values = chosen(row, seconds)
    fresh = train(task, row["seed"], values) if values else []
    with path(task).open("a") as file:
        file.write(json.dumps({**key, "fresh": fresh}) + "\n")
    print(f"{task} {row['arm']} seed {row['seed']}: {fresh}", flush=True)


def chosen(row: dict[str, Any], seconds: float) -> dict[str, Any] | None:
    """The hyperparameters of the best epoch so far; None where no epoch had ended."""
    return next((values for t, _, _, values in reversed(row["better"]) if t <= seconds and values), None)


def train(name: str, seed: int, values: dict[str, Any]) -> list[float]:
    """The best validation accuracy of all epochs on each of FRESH."""
    from first_looks import train as fit
    from peer_arms import Task

    task = Task(name, seed)
    plan, _ = task.plan(lambda each, _: values[each])
    return [max(fit(task, plan, fresh, 1.0, plan.epochs)[0]) for fresh in FRESH]


def measured(task: str) -> list[dict[str, Any]]:
    """What was trained anew so far."""
    return [json.loads(line) for line in path(task).read_text().splitlines()] if path(task).exists() else []


def path(task: str) -> Path:
    """Where that is kept."""
    return RESULTS / f"{task}_quality.jsonl"
