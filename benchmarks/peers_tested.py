"""The accuracy on the test set of the plan that an arm of benchmarks/peers.py had chosen, at each time of its search.

A plan is chosen from the epoch on that is the best so far. It is trained again with another seed, on the images of its
search and to its last epoch; the weights of its best validation epoch are evaluated on the test set. So no search and
no choice depends on the test set, and what counts is the plan, not the luck of one training.
"""

import json
from pathlib import Path
from statistics import mean
from typing import Any

from peers_results import RESULTS, judged, rows

FRESH = 9001
"""The seed of the second training."""

MOMENTS = {"digits": (8, 12, 20, 40, 80), "mnist": (12, 20, 40, 80, 120), "cifar": (20, 40, 60, 120, 180)}
"""The seconds since the launch for which the table has a column."""

Values = dict[str, Any]


def stored(task: str) -> list[dict[str, Any]]:
    """The plans that were trained again: the seed of their search, their values, their accuracy on the test set."""
    return [json.loads(line) for line in _file(task).read_text().splitlines()] if _file(task).exists() else []


def measure(task: str, arms: tuple[str, ...]) -> None:
    """Train the plans that these arms had chosen at any time and that are not stored yet."""
    known = {_key(found["seed"], found["values"]) for found in stored(task)}
    for row in judged(rows(task)):
        for values in (better[3] for better in row["better"] if row["arm"] in arms and better[3]):
            if _key(row["seed"], values) not in known:
                known.add(_key(row["seed"], values))
                told = {"seed": row["seed"], "values": values, "test": _accuracy(task, row["seed"], values)}
                with _file(task).open("a") as file:
                    file.write(json.dumps(told) + "\n")
                print(f"{task} {row['arm']} seed {row['seed']}: {told['test']}", flush=True)


def curves(task: str) -> dict[str, list[list[tuple[float, float]]]]:
    """For each arm and search: at which second which accuracy began. Searches with a missing plan are left out."""
    known = {_key(found["seed"], found["values"]): found["test"] for found in stored(task)}
    found: dict[str, list[list[tuple[float, float]]]] = {}
    for row in judged(rows(task)):
        steps = [(t, known.get(_key(row["seed"], values))) for t, _, _, values in row["better"] if values]
        if all(test is not None for _, test in steps):
            found.setdefault(row["arm"], []).append([(t, test) for t, test in steps if test is not None])
    return found


def at(curve: list[tuple[float, float]], seconds: float) -> float:
    """The accuracy at a time: 0 before the first epoch has ended, as there is no model yet."""
    return next((test for t, test in reversed(curve) if t <= seconds), 0.0)


def table(task: str, names: dict[str, str]) -> str:
    """The mean accuracy of each arm at MOMENTS, as Markdown; nothing where no plan was trained again."""
    found, moments = curves(task), MOMENTS[task]
    lines = []
    for arm in (arm for arm in names if arm in found):
        means = [mean(at(curve, seconds) for curve in found[arm]) for seconds in moments]
        told = [f"{value:.2%}" if value else "" for value in means]
        lines.append(f"| {arm[0]} {names[arm]} | {len(found[arm])} | {' | '.join(told)} |\n")
    head = f"| arm | seeds | {' | '.join(f'{seconds} s' for seconds in moments)} |\n| --- | --- |"
    return ABOUT + head + " --- |" * len(moments) + "\n" + "".join(lines) if lines else ""


def _accuracy(name: str, seed: int, values: Values) -> float:
    """The accuracy on the test set, trained with FRESH on the split of the search with this `seed`."""
    import keras
    from peer_task import Task

    from cnnsearch.training import fitting, model_io
    from cnnsearch.training.candidate import from_plan
    from cnnsearch.training.training_data import TrainingData

    keras.backend.clear_session()
    keras.utils.set_random_seed(FRESH)
    task = Task(name, seed)
    plan, _ = task.plan(lambda each, _: values[each])
    candidate = from_plan(plan, len(task.x))
    data = TrainingData(task.x, task.y, task.x_val, task.y_val, plan.batch_size)
    fitting.train(candidate, None, None, data, plan.epochs, "val_accuracy", lambda *_: True)
    predicted = model_io.predict(candidate.core, task.x_test)
    return round(float((predicted.argmax(1) == task.y_test).mean()), 6)


def _key(seed: int, values: Values) -> str:
    return f"{seed} {json.dumps(values, sort_keys=True)}"


def _file(task: str) -> Path:
    return RESULTS / f"{task}_tested.jsonl"


ABOUT = """
The accuracy on the test set of the plan that an arm had chosen by then: the plan of its best epoch so far, trained
again with another seed. Means over searches. A search that has no epoch yet counts with 0, and one that ended at the
target keeps its plan.

"""
