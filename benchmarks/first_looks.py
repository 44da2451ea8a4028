"""How well a short look at a candidate ranks it: Spearman's correlation with its score after all epochs.

    CNNSEARCH_DATA=DIR python benchmarks/first_looks.py --task digits --plans 30

Plans by chance from the spaces of benchmarks/peers.py are trained to their end, and once more for single epochs on a
part of the images. What is `lost` is how far the best of those that the look would train on, three or half of them, is
below the best of all in the end.
"""

import json
import os
import platform
import random
import time
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "first_looks.json"
MACHINE = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
PARTS = (0.25, 0.5)


@click.command()
@click.option("--task", "tasks", multiple=True, default=("digits", "mnist", "cifar"))
@click.option("--plans", default=30, show_default=True)
def main(tasks: tuple[str, ...], plans: int) -> None:
    """Measure, and keep the figures."""
    every = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for task in tasks:
        every[task] = {"plans": plans, "machine": MACHINE, "looks": look(task, plans)}
        RESULTS.write_text(json.dumps(every, indent=1) + "\n")
        for name, figures in every[task]["looks"].items():
            click.echo(f"{task:<7} {name:<20} {figures}")


def look(name: str, plans: int) -> dict[str, Any]:
    """The correlation of each look of a task with the final score."""
    from peer_arms import Task

    task, generator = Task(name, 0), random.Random(7)
    seen: dict[str, list[float]] = {}
    taken: dict[str, float] = {}
    for number in range(plans):
        plan, _ = task.plan(lambda _, d: d.random(generator))
        curve = train(task, plan, number, 1.0, task.epochs)
        for epoch in (1, 2, 3, 5):
            seen.setdefault(f"{epoch} epochs", []).append(max(curve[:epoch]))
        seen.setdefault("end", []).append(max(curve))
        for part in PARTS:
            label, started = f"1 epoch of {part:g}", time.perf_counter()
            seen.setdefault(label, []).append(max(train(task, plan, number, part, 1)))
            taken[label] = taken.get(label, 0) + time.perf_counter() - started
    return {label: judged(values, seen["end"], taken.get(label)) for label, values in seen.items() if label != "end"}


def train(task: Any, plan: Any, seed: int, part: float, epochs: int) -> list[float]:
    """The validation accuracy after each epoch, on a part of the images."""
    import keras

    from cnnsearch import training

    keras.utils.set_random_seed(seed)
    count = round(part * len(task.x))
    one = training.from_plan(plan, count)
    curve: list[float] = []
    data = training.Fold(task.x[:count], task.y[:count], task.x_val, task.y_val, plan.batch_size)

    def note(_: int, metrics: dict[str, float]) -> bool:
        curve.append(metrics["val_accuracy"])
        return True

    training.train(one, None, None, data, epochs, "val_accuracy", note)
    keras.backend.clear_session()
    return curve


def judged(values: list[float], end: list[float], seconds: float | None) -> dict[str, Any]:
    """Correlation, what would be lost, and the time that it took."""
    from scipy.stats import spearmanr

    best = sorted(range(len(end)), key=lambda at: -end[at])
    order = sorted(range(len(end)), key=lambda at: -values[at])
    told = {
        "spearman": round(float(spearmanr(values, end).statistic), 3),
        "lost with 3": round(end[best[0]] - max(end[at] for at in order[:3]), 4),
        "lost with half": round(end[best[0]] - max(end[at] for at in order[: len(end) // 2]), 4),
    }
    return told | ({"seconds": round(seconds, 1)} if seconds else {})


if __name__ == "__main__":
    main()
