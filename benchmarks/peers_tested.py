"""The accuracy on the test set of the plan that an arm of benchmarks/peers.py had chosen, at each time of its search.

A plan is chosen from the epoch on that is the best so far. It is trained again with another seed, on the images of its
search and to its last epoch; the weights of its best validation epoch are evaluated on the test set. So no search and
no choice depends on the test set, and what counts is the plan, not the luck of one training.
"""

import functools
import json
from pathlib import Path
from statistics import mean
from typing import Any

from peers_results import EQUAL, OURS, RESULTS, interval, judged, rows

FRESH = 9001
"""The seed of the second training."""

SHARES = (0.4, 0.6, 1.0)
"""The table has a column for these shares of EQUAL, the seconds for which every arm searches at least."""

Values = dict[str, Any]


def stored(task: str) -> list[dict[str, Any]]:
    """The plans that were trained again: the seed of their search, their values, their accuracy on the test set."""
    return [json.loads(line) for line in _file(task).read_text().splitlines()] if _file(task).exists() else []


def measure(task: str, arms: tuple[str, ...]) -> None:
    """Train the plans that these arms had chosen at any time until EQUAL and that are not stored yet."""
    known = {_key(found["seed"], found["values"]) for found in stored(task)}
    for row in (row for row in judged(rows(task)) if row["arm"] in arms):
        for _, values in _chosen(row):
            if _key(row["seed"], values) not in known:
                known.add(_key(row["seed"], values))
                told = {"seed": row["seed"], "values": values, "test": _accuracy(task, row["seed"], values)}
                with _file(task).open("a") as file:
                    file.write(json.dumps(told) + "\n")
                print(f"{task} {row['arm']} seed {row['seed']}: {told['test']}", flush=True)


Curve = list[tuple[float, float]]
"""The seconds since the launch at which a plan was chosen, and its accuracy."""


def curves(task: str) -> dict[str, dict[int, Curve]]:
    """The curve of each search of the complete arms: those with all seeds of cnnsearch and without a missing plan."""
    known = {_key(found["seed"], found["values"]): found["test"] for found in stored(task)}
    found: dict[str, dict[int, Curve]] = {}
    for row in judged(rows(task)):
        steps = [(t, known.get(_key(row["seed"], values))) for t, values in _chosen(row)]
        if all(test is not None for _, test in steps):
            found.setdefault(row["arm"], {})[row["seed"]] = [(t, test) for t, test in steps if test is not None]
    seeds = {row["seed"] for row in judged(rows(task)) if row["arm"] == "F"}
    return {arm: each for arm, each in found.items() if each.keys() >= seeds}


def _chosen(row: dict[str, Any]) -> list[tuple[float, Values]]:
    """The plans that a search had chosen until EQUAL seconds, each with its time."""
    return [(t, values) for t, _, _, values in row["better"] if values and t <= EQUAL[row["task"]]]


def at(curve: Curve, seconds: float) -> float | None:
    """The accuracy at a time; None before the first epoch has ended."""
    return next((test for t, test in reversed(curve) if t <= seconds), None)


def table(task: str, names: dict[str, str]) -> str:
    """The mean accuracy of each complete arm at some times, as Markdown; nothing without cnnsearch."""
    found, moments = curves(task), [share * EQUAL[task] for share in SHARES]
    if "F" not in found:
        return ""
    ours = found["F"]
    lines = []
    for arm in (arm for arm in names if arm in found):
        own = {seed: found[arm][seed] for seed in ours}
        told = [_mean([at(curve, seconds) for curve in own.values()]) for seconds in moments]
        ends = [(at(ours[seed], moments[-1]), at(own[seed], moments[-1])) for seed in ours]
        gains = [100 * (one - other) for one, other in ends if one is not None and other is not None]
        compared = arm not in OURS and len(gains) == len(ours)
        told.append(_interval(gains) if compared else "")
        lines.append(f"| {arm[0]} {names[arm]} | {len(own)} | {' | '.join(told)} |\n")
    columns = ["arm", "seeds", *(f"{seconds:g} s" for seconds in moments), "cnnsearch better by, in points"]
    return f"{ABOUT}| {' | '.join(columns)} |\n| {' | '.join('---' for _ in columns)} |\n" + "".join(lines)


def _interval(gains: list[float]) -> str:
    low, high = interval(gains)
    return f"{mean(gains):+.2f} ({low:+.2f} to {high:+.2f})"


def _mean(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{mean(known):.2%}" if len(known) == len(values) else ""


@functools.lru_cache(1)
def _task(name: str, seed: int) -> Any:
    from peer_task import Task

    return Task(name, seed, test=True)


def _accuracy(name: str, seed: int, values: Values) -> float:
    """The accuracy on the test set, trained with FRESH on the split of the search with this `seed`."""
    import keras

    from cnnsearch.training import fitting, model_io
    from cnnsearch.training.candidate import from_plan
    from cnnsearch.training.training_data import TrainingData

    keras.backend.clear_session()
    keras.utils.set_random_seed(FRESH)
    task = _task(name, seed)
    plan, _ = task.plan(lambda each, _: values[each])
    candidate = from_plan(plan, len(task.x))
    data = TrainingData(task.x, task.y, task.x_val, task.y_val, plan.batch_size)
    fitting.train(candidate, None, None, data, plan.epochs, "val_accuracy", lambda *_: True)
    x, y = task.test
    return round(float((model_io.predict(candidate.core, x).argmax(1) == y).mean()), 6)


def _key(seed: int, values: Values) -> str:
    return f"{seed} {json.dumps(values, sort_keys=True)}"


def _file(task: str) -> Path:
    return RESULTS / f"{task}_tested.jsonl"


ABOUT = """
The accuracy on the test set of the plan that an arm had chosen by then: the plan of its best epoch so far, trained
again with another seed. Means over searches; empty where a search had no epoch yet. The last column is the mean
difference on the same seed in the last of these times, with the bootstrap's 95% interval.

"""
