"""Which sampler is the best default for 20 to 100 trials: measured points, and simulated searches among them.

    CNNSEARCH_DATA=DIR python benchmarks/samplers.py points --task digits --plans 300 --repeats 60
    CNNSEARCH_DATA=DIR python benchmarks/samplers.py points --task mnist --plans 100 --repeats 24
    python benchmarks/samplers.py simulate --seeds 50
    python benchmarks/samplers.py simulate --arm gp --seeds 10
    python benchmarks/samplers.py table

`points` trains plans drawn by chance to their end. `simulate` lets a surrogate fitted to them answer in place of
training, with the noise that there is between seeds, so that every sampler can search many times; two trials are always
in flight, as with two workers. Both resume where they were stopped. `table` writes the page. The arm `gp` needs
torch.
"""

import json
import os
import platform
import sys
import time
import warnings
from collections import deque
from pathlib import Path
from typing import Any

import click
from samplers_arms import ARMS, DEFAULT, FREE, RESULTS, TASKS, TRIALS, Arm, keep, measured, near, rows
from samplers_page import write

from cnnsearch.spaces import hyperparameters

HERE = Path(__file__).parent
MACHINE = f"{platform.system()} {platform.machine()}, 1 core of {os.cpu_count()}"
WORKERS = 2


@click.group()
def main() -> None:
    """Measure, simulate, or write down what was found."""


@main.command()
@click.option("--task", "tasks", multiple=True, default=TASKS, type=click.Choice(TASKS))
@click.option("--plans", default=100, show_default=True, help="Plans drawn by chance.")
@click.option("--repeats", default=20, show_default=True, help="How many of them are trained under a second seed too.")
@click.option("--begin", default=DEFAULT, help="The first plan: several processes can share a task.")
def points(tasks: tuple[str, ...], plans: int, repeats: int, begin: int) -> None:
    """Train what is missing to its end, and keep the best validation accuracy of each."""
    sys.path.insert(0, str(HERE))
    from peer_task import Task

    for name in tasks:
        task = Task(name, 0)
        for number in range(begin, plans):
            for seed in (0, 1) if number < repeats else (0,):
                # read anew each time: another process may have trained it meanwhile
                if (number, seed) not in {(row["plan"], row["seed"]) for row in measured(name)}:
                    keep(RESULTS / f"{name}_points.jsonl", point(task, number, seed))


def point(task: Any, number: int, seed: int) -> dict[str, Any]:
    """One training of a plan."""
    from first_looks import train

    draw = hyperparameters.defaults if number == DEFAULT else hyperparameters.by_chance(number)
    plan, values = task.plan(draw)
    started = time.perf_counter()
    curve, _ = train(task, plan, 1000 * (number + 1) + seed, 1.0, task.epochs)
    seconds = time.perf_counter() - started
    told = {"plan": number, "seed": seed, "best": round(max(curve), 6), "seconds": round(seconds, 2), "values": values}
    return told | {"images": len(task.x), "validated": len(task.x_val), "curve": curve}


@main.command()
@click.option("--task", "tasks", multiple=True, default=TASKS, type=click.Choice(TASKS))
@click.option("--surrogate", "kind", default="", help="Another than the one that foretells best.")
@click.option("--arm", "arms", multiple=True, default=FREE, type=click.Choice(tuple(ARMS)))
@click.option("--seeds", default=50, show_default=True)
@click.option("--begin", default=0, help="The first seed: several processes can share a task.")
def simulate(tasks: tuple[str, ...], kind: str, arms: tuple[str, ...], seeds: int, begin: int) -> None:
    """Run the searches that are missing, all arms of a seed before the next seed."""
    import optuna
    from samplers_surrogate import Surrogate

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    for task in tasks:
        trainings, use = measured(task), kind or facts(task)["kind"]
        surrogate, path = Surrogate(task, trainings, use), RESULTS / f"{task}_{use}_searches.jsonl"
        for seed in range(begin, seeds):
            for arm in arms:
                if (arm, seed) not in {(row["arm"], row["seed"]) for row in searches(task, use)}:
                    keep(
                        path, {"points": len(trainings), "arm": arm, "seed": seed, **search(ARMS[arm], seed, surrogate)}
                    )


def search(arm: Arm, seed: int, surrogate: Any) -> dict[str, Any]:
    """One simulated search: the true score of the chosen trial each time that changes, and the time of an ask."""
    import numpy as np
    import optuna

    study = optuna.create_study(direction="maximize", sampler=arm.make(seed))
    if arm.default:
        study.enqueue_trial(surrogate.land.default())
    for part in near(surrogate.land.default(), seed, arm.near):
        study.enqueue_trial(part)
    generator = np.random.default_rng((seed, 1))
    in_flight: deque[tuple[Any, float]] = deque()
    chosen: list[list[float]] = []
    best, highest, told, taken = -1.0, -1e9, 0, 0.0
    for begun in range(TRIALS + WORKERS - 1):
        if begun < TRIALS:
            # of this process alone: others may use the same core
            started = time.process_time()
            trial = study.ask()
            values = surrogate.land.point(asked(trial))
            taken += time.process_time() - started
            in_flight.append((trial, float(surrogate.scores([values])[0])))
        if begun >= WORKERS - 1:
            trial, score = in_flight.popleft()
            seen, told, highest = surrogate.observed(score, generator), told + 1, max(highest, score)
            study.tell(trial, seen)
            if seen > best:
                best = seen
                chosen.append([told, round(score, 4)])
    return {"chosen": chosen, "highest": round(highest, 4), "ask": round(taken / TRIALS, 5)}


def asked(trial: Any) -> hyperparameters.Draw:
    """A draw that asks Optuna, as a search does."""
    from cnnsearch.study.study import suggest

    return lambda name, distribution: suggest(trial, name, distribution.to_dict())


def searches(task: str, kind: str) -> list[dict[str, Any]]:
    """The searches that were simulated on the points that there are now."""
    count = len(measured(task))
    found = {(row["arm"], row["seed"]): row for row in rows(RESULTS / f"{task}_{kind}_searches.jsonl")}
    return [found[key] for key in sorted(found) if found[key]["points"] == count]


def facts(task: str) -> dict[str, Any]:
    """What is known of a task's surrogates, worked out once for the points that there are."""
    path = RESULTS / "surrogates.json"
    every = json.loads(path.read_text()) if path.exists() else {}
    trainings = measured(task)
    if every.get(task, {}).get("points") != len(trainings):
        every[task] = judged(task, trainings)
        path.write_text(json.dumps(every, indent=1) + "\n")
    return dict(every[task])


def judged(task: str, trainings: list[dict[str, Any]]) -> dict[str, Any]:
    """How well each model foretells, which does best, and what the best attainable is."""
    from samplers_surrogate import Surrogate, cross_validated, models

    surrogate = Surrogate(task, trainings, "trees")
    x, y = surrogate.table(trainings)
    plans = [row["plan"] for row in trainings]
    fits = {name: cross_validated(model, x, y, plans)._asdict() for name, model in models(x.shape[1]).items()}
    told = {"points": len(trainings), "plans": len(set(plans)), "noise": [round(sd, 3) for sd in surrogate.noise]}
    best = max(fits, key=lambda name: float(fits[name]["r2"]))
    # beside the one that foretells best, one of the other nature: steps or slopes
    kinds = (best, "trees" if best == "smooth" else "smooth")
    told |= {"variance": round(float(y.var()), 3), "kind": best, "fits": fits}
    return told | {"heights": {kind: heights(Surrogate(task, trainings, kind)) for kind in kinds}}


def heights(surrogate: Any) -> dict[str, float]:
    """A surrogate's best, its default point, and what one plan by chance in a hundred exceeds, as log odds."""
    import numpy as np

    _, drawn = surrogate.by_chance
    default = float(surrogate.scores([surrogate.land.default()])[0])
    told = {"best": surrogate.best(), "default": default, "one in 100": float(np.quantile(drawn, 0.99))}
    return {name: round(score, 4) for name, score in told.items()}


@main.command()
def table() -> None:
    """Write docs/benchmarks/samplers.md."""
    kinds = sorted({path.name.split("_")[1] for path in RESULTS.glob("*_searches.jsonl")})
    found = {(task, kind): searches(task, kind) for task in TASKS for kind in kinds}
    found = {key: some for key, some in found.items() if some}
    write({task: facts(task) for task in dict.fromkeys(task for task, _ in found)}, found)


if __name__ == "__main__":
    main()
