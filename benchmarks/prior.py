"""Does a prior of other datasets reach a target in fewer epochs? Each is judged without the family of its dataset.

    python benchmarks/learn_prior.py record       # first, see there
    python benchmarks/prior.py pools --seeds 20
    python benchmarks/prior.py landscapes --searches 40
    CNNSEARCH_DATA=DIR python benchmarks/prior.py run --task digits --seeds 20
    python benchmarks/prior.py table

`pools` searches among the recorded points of each dataset, by cnnsearch's own rungs. `landscapes` simulates whole
searches of MNIST, as benchmarks/rung_samplers.py does, by cnnsearch's own samplers and rungs. `run` runs searches. Each
search is a line of results/prior/; what is there already is not run again, so all may be stopped at any time.

Arms: `none` begins with the default point. `prior` trains a portfolio next, and its weights bias the sampler. `points`
has no weights, `weights` no points. `wrong` is a prior of the points that were worst on the other datasets. `optuna` is
TPE with the median pruner, the default point first; `optuna-prior` gets the same portfolio.
"""

import functools
import json
import math
import os
import platform
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from learn_prior import DEFAULT, HERE, MACHINE, POINTS, Recorded, learnt
from learn_prior import rows as recorded
from prior_data import family
from samplers_arms import keep, rows
from simulated import Candidate, turns

from cnnsearch.spaces.prior import Prior, from_file, replay_projected

RESULTS = POINTS.parent
QUANTILE = 0.95
"""The target of a pool is this quantile of the best accuracies of its points."""
POOL_ARMS = ("none", "points", "wrong", "optuna", "optuna-prior")
LANDSCAPE_ARMS = ("none", "prior", "points", "weights", "wrong", "optuna", "optuna-prior")
RUN_ARMS = ("none", "prior", "wrong")
FAMILIES = {"digits": "handwriting", "mnist": "handwriting", "cifar": "cifar"}
"""The families that the priors of the tasks of benchmarks/peers.py leave out."""
FIRST = 1000
"""The first seed. Nothing was tuned on seeds from here on."""
LONGEST = 400
"""Epochs after which a simulated search is given up."""


@click.group()
def main() -> None:
    """Search, or write down what was found."""


@functools.cache
def prior_of(without: str, wrong: bool = False) -> Prior:
    """The prior that was learned without a family."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{'wrong' if wrong else 'good'}.json"
        path.write_text(json.dumps(learnt(recorded(), without, wrong)))
        return from_file(path)


@main.command()
@click.option("--seeds", default=20, show_default=True)
def pools(seeds: int) -> None:
    """Search among the recorded points of each dataset."""
    every = Recorded(recorded())
    done = {(row["dataset"], row["arm"], row["seed"], row["points"]) for row in rows(RESULTS / "pools.jsonl")}
    for name in every.datasets:
        curves = {row["point"]: row["curve"] for row in recorded() if row["dataset"] == name}
        pool = {point: curves[point] for point in every.points}
        rest = [row for row in recorded() if row["family"] != family(name)]
        good, bad = Recorded(rest).portfolio(False), Recorded(rest).portfolio(True)
        first = {"points": good, "optuna-prior": good, "wrong": bad}
        for seed in range(FIRST, FIRST + seeds):
            for arm in POOL_ARMS:
                if (name, arm, seed, len(pool)) not in done:
                    order = in_order(list(pool), [DEFAULT, *first.get(arm, [])], seed)
                    target = float(np.quantile([max(curve) for curve in pool.values()], QUANTILE))
                    draws = (pool[point] for point in order)
                    epochs = pruned(draws, target) if "optuna" in arm else by_rungs(draws, target)
                    row = {"dataset": name, "arm": arm, "seed": seed, "epochs": epochs, "points": len(pool)}
                    keep(RESULTS / "pools.jsonl", row)


def in_order(points: list[int], first: list[int], seed: int) -> list[int]:
    """The points of a pool: these first, then the others by chance."""
    rest = [point for point in points if point not in first]
    random.Random(seed).shuffle(rest)
    return [*dict.fromkeys(first), *rest]


def by_rungs(draws: Iterator[list[float]], target: float) -> int:
    """The epochs that a search with rungs and two workers trains until it reaches the target."""
    from cnnsearch.tuning.schedulers.rungs import LOW_FIDELITY_UPDATES, Rungs

    drawn = list(draws)
    epochs = len(drawn[0])
    scheduler = Rungs("halving", epochs, LOW_FIDELITY_UPDATES, maximize=True, low_fidelity=False)
    left, every = iter(drawn), list[Candidate]()
    # what is left when all are drawn never reaches anything
    return searched(every, scheduler, lambda: Candidate(next(left, [0.0] * epochs), 1.0), target)


def searched(every: list[Any], scheduler: Any, draw: Any, target: float) -> int:
    """The epochs of a simulated search until one reaches the target; LONGEST if none does."""
    reached = math.inf
    for now in turns(every, scheduler, draw, 0.0):
        reached = min([reached, *(one.reached(target) for one in every)])
        if now >= reached or sum(one.done for one in every) >= LONGEST:
            break
    spent = sum(sum(end <= reached for end in one.ends) for one in every)
    return min(spent, LONGEST) if reached < math.inf else LONGEST


def pruned(draws: Iterator[list[float]], target: float) -> int:
    """The epochs that Optuna's median pruner leaves a search that trains one plan after another."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner())
    return one_by_one(study, lambda trial: next(draws, None), target)


def one_by_one(study: Any, trained: Callable[[Any], list[float] | None], target: float) -> int:
    """The epochs of a search by Optuna's sampler and pruner until the target, at most LONGEST, one trial after another.

    `trained` gives the curve of a trial; None ends the search.
    """
    import optuna

    spent = 0
    while spent < LONGEST and (curve := trained(trial := study.ask())) is not None:
        for epoch, value in enumerate(curve):
            spent += 1
            if value >= target:
                return min(spent, LONGEST)
            trial.report(value, epoch)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, max(curve))
    return LONGEST


@main.command()
@click.option("--searches", default=40, show_default=True)
@click.option("--begin", default=FIRST, show_default=True, help="The first landscape.")
@click.option("--arm", "arms", multiple=True, default=LANDSCAPE_ARMS, type=click.Choice(LANDSCAPE_ARMS))
def landscapes(searches: int, begin: int, arms: tuple[str, ...]) -> None:
    """Simulate whole searches of MNIST, all arms of a landscape before the next."""
    import optuna
    from peers_results import goal
    from peers_results import rows as raced
    from rung_samplers import TASK, Measured

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    points = len(Recorded(recorded()).points)
    done = {(row["arm"], row["seed"], row["points"]) for row in rows(RESULTS / "landscapes.jsonl")}
    known, target = Measured(), goal(raced(TASK))
    for seed in range(begin, begin + searches):
        for arm in arms:
            if (arm, seed, points) not in done:
                epochs = search(arm, known, seed, target)
                row = {"arm": arm, "seed": seed, "epochs": epochs, "points": points}
                keep(RESULTS / "landscapes.jsonl", row)


def search(arm: str, known: Any, seed: int, target: float) -> int:
    """The epochs until a search of a landscape reaches the target."""
    import optuna
    from rung_samplers import EPOCHS, Drawn, begun
    from samplers import asked

    from cnnsearch.study import samplers
    from cnnsearch.study.sampler_view import SamplerView
    from cnnsearch.tuning.schedulers.rungs import LOW_FIDELITY_UPDATES, Rungs

    landscape, own = Drawn(known, seed), "optuna" not in arm
    prior = Prior() if arm in ("none", "optuna") else prior_of("handwriting", arm == "wrong")
    weights = prior.weights if arm in ("prior", "weights", "wrong") else {}
    sampler = samplers.sampler("tpe", seed, weights=weights) if own else optuna.samplers.TPESampler(seed=seed)
    made = optuna.create_study(direction="maximize", sampler=sampler, pruner=optuna.pruners.MedianPruner())
    study = SamplerView(made.study_name, made._storage, made.sampler, made.pruner)
    nearest = [known.land.point(replay_projected(point.values)) for point in prior.points if arm != "weights"]
    first = [known.land.default()]
    first += [point for at, point in enumerate(nearest) if point not in (first[0], *nearest[:at])]
    for point in first:
        study.enqueue_trial(point)
    if not own:
        return one_by_one(study, lambda trial: landscape.trained(landscape.land.point(asked(trial)))[0], target)
    scheduler = Rungs("halving", EPOCHS, LOW_FIDELITY_UPDATES, maximize=True, low_fidelity=False)
    return searched([], scheduler, lambda: begun(study, landscape), target)


@main.command()
@click.option("--task", "tasks", multiple=True, default=tuple(FAMILIES), type=click.Choice(list(FAMILIES)))
@click.option("--seeds", default=20, show_default=True)
@click.option("--trials", default=100, show_default=True, help="A search that misses the target ends here.")
def run(tasks: tuple[str, ...], seeds: int, trials: int) -> None:
    """Run searches, all arms of a seed before the next seed."""
    from peers_results import goal
    from peers_results import rows as raced

    points = len(Recorded(recorded()).points)
    done = {(row["task"], row["arm"], row["seed"], row["points"]) for row in rows(RESULTS / "runs.jsonl")}
    for seed in range(FIRST, FIRST + seeds):
        for task in tasks:
            for at in range(len(RUN_ARMS)):
                # another arm begins with each seed
                arm = RUN_ARMS[(at + seed) % len(RUN_ARMS)]
                if (task, arm, seed, points) not in done:
                    row = one_run(task, arm, seed, trials, goal(raced(task)))
                    keep(RESULTS / "runs.jsonl", row | {"points": points})


def one_run(task: str, arm: str, seed: int, trials: int, target: float) -> dict[str, Any]:
    """One search of cnnsearch to the target, or to so many trials."""
    from peers import best, end, wait
    from peers_events import logged
    from peers_results import NEAR

    without = FAMILIES[task]
    with tempfile.TemporaryDirectory() as name:
        folder, launched = Path(name), time.time()
        path = folder / "prior.json"
        path.write_text(json.dumps(learnt(recorded(), without, arm == "wrong")))
        process = started(folder, task, seed, trials, "none" if arm == "none" else str(path))
        wait(process, 3600, lambda: best(folder, folder / "none") >= target - NEAR)
        if process.poll() is None:
            end(process)
        events = sorted(logged(folder, launched))
    # rounded as the target
    spent = next((count for count, event in enumerate(events, 1) if round(event.value, 6) >= target - NEAR), 0)
    row = {"task": task, "arm": arm, "seed": seed, "reached": bool(spent), "epochs": spent or len(events)}
    return row | {"trials": trials, "seconds": round(time.time() - launched, 1), "machine": machine()}


def started(folder: Path, task: str, seed: int, trials: int, prior: str) -> Any:
    """The process of a search."""
    import subprocess
    import sys

    words = ["run", "--space", str(HERE / "spaces" / f"{task}_small.toml"), "--study", "peers", "--seed", str(seed)]
    words += ["--trials", str(trials), "--confirm", "0", "--precision", "float32", "--quiet", "--prior", prior]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([sys.executable, "-m", "cnnsearch", *words], cwd=folder, stdout=log, stderr=log)


def machine() -> str:
    """This machine."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


@main.command()
def table() -> None:
    """Write docs/benchmarks/prior.md."""
    from prior_page import write

    found = {name: rows(RESULTS / f"{name}.jsonl") for name in ("pools", "landscapes", "runs")}
    write(found, Recorded(recorded()), MACHINE)


if __name__ == "__main__":
    main()
