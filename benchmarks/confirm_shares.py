"""How much of a limited time is to be kept for fresh seeds of the best: searches simulated on measured curves.

    python benchmarks/confirm_shares.py

Two workers draw plans by chance from those that benchmarks/first_looks.py trained, and train them by cnnsearch's own
scheduler (all to their end on digits) until the time is up that is not kept; then the best three are trained again, one
seed of each first, and the best by the mean of these is chosen. Every training of a plan is its measured curve with
noise: in log odds, one normal number for the training and one for each epoch. Writes docs/confirming.md.
"""

import math
import random
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import click
from first_looks import rows
from simulated import EPOCH, EPOCHS, START, WORKERS, turns
from simulated import Candidate as Trained

from cnnsearch.tuning.schedulers.rungs import LOOK, Rungs

PAGE = Path(__file__).parents[1] / "docs" / "confirming.md"
TOP, SEEDS = 3, 3
BEGIN, AGAIN = 6.0, 2.5
"""Seconds until workers have started, and those that begin anew once the search's share is up."""
OF_TRAINING, OF_EPOCH = 0.25, 0.12
"""Noise in log odds; between trainings of one plan of digits it was measured as 0.31 to 0.34 (docs/samplers.md)."""
VALIDATED = {"digits": 240, "mnist": 1200, "cifar": 1200}
TIMES = {"digits": (20, 60), "mnist": (40, 120, 300), "cifar": (60, 180, 400)}
SHARES = (0, 1 / 10, 1 / 5, 1 / 3)
SEARCHES = 300
HEAD = f"""# How much of a `--timeout` is kept for fresh seeds

Made by `python benchmarks/confirm_shares.py`, which tells how. What is chosen is worth the best of its measured curve;
the mean over {SEARCHES} simulated searches of that worth, with its standard error, and how many trainings of fresh
seeds there were. A search without a time limit, or one that has its trials before it, confirms all of them.

The curves are few (40, 24 and 10) and plans are drawn by chance, so that this tells large differences, not small ones.
With little time to search, what is kept for fresh seeds is missed. With more, choosing by them is worth as much as
searching on, or a little more; then a third was no better than a fifth on digits and MNIST, and better on CIFAR-10.
What is shipped (the last column) keeps a fifth at most, and nothing where that would not do for one fresh seed of each
of the three.

| task | seconds | none | at most 1/10 | at most 1/5 | at most 1/3 | **shipped** |
| --- | --- | --- | --- | --- | --- | --- |
"""


class Plan(NamedTuple):
    """A plan as it was measured: the validation accuracy after each epoch, and the seconds of an epoch."""

    curve: list[float]
    seconds: float


class Candidate(Trained):
    """A plan in the search: one noisy training of it."""

    def __init__(self, plan: Plan, validated: int, generator: random.Random) -> None:
        super().__init__(trained(plan, validated, generator), plan.seconds)
        self.plan = plan


@click.command()
def main() -> None:
    """Simulate, and write the page."""
    lines = []
    for task, times in TIMES.items():
        plans = [Plan(row["curve"], EPOCH[task] * share) for row, share in zip(rows(task), costs(task), strict=True)]
        for seconds in times:
            cells = [cell(task, plans, seconds, share, False) for share in SHARES]
            lines.append(f"| {task} | {seconds} | {' | '.join(cells)} | {cell(task, plans, seconds, 1 / 5, True)} |")
            click.echo(lines[-1])
    PAGE.write_text(HEAD + "\n".join(lines) + "\n")


def costs(task: str) -> list[float]:
    """What an epoch of each plan takes, by their mean."""
    typical = [sorted(row["seconds"])[len(row["seconds"]) // 2] for row in rows(task)]
    return [each / mean(typical) for each in typical]


def cell(task: str, plans: list[Plan], seconds: float, share: float, all_or_none: bool) -> str:
    """The worth of what is chosen, and the trainings of fresh seeds."""
    found = [search(task, plans, seconds, share, all_or_none, random.Random(seed)) for seed in range(SEARCHES)]
    worth, again = [each[0] for each in found], mean(each[1] for each in found)
    middle = mean(worth)
    error = math.sqrt(sum((each - middle) ** 2 for each in worth) / (SEARCHES - 1) / SEARCHES)
    return f"{100 * middle:.2f} ± {100 * error:.2f}" + (f", {again:.1f}" if share else "")


def search(
    task: str, plans: list[Plan], seconds: float, share: float, all_or_none: bool, generator: random.Random
) -> tuple[float, int]:
    """One search: the worth of what is chosen, and how many trainings of fresh seeds chose it."""
    validated = VALIDATED[task]
    scheduler = Rungs("none" if task == "digits" else "halving", EPOCHS, LOOK, maximize=True)
    begun: list[Candidate] = []

    def drawn() -> Candidate:
        return Candidate(generator.choice(plans), validated, generator)

    for now in turns(begun, scheduler, drawn, START[task], BEGIN):
        kept = reserved(task, leaders(begun), seconds * share, all_or_none)
        if now >= seconds - kept:
            break
    best = leaders(begun) or sorted(begun, key=lambda each: -each.best)[:1]
    scores = again(task, best, kept, generator) if kept else {}
    chosen = max(scores, key=lambda place: mean(scores[place])) if scores else 0
    return max(best[chosen].plan.curve), sum(map(len, scores.values()))


def leaders(begun: list[Candidate]) -> list[Candidate]:
    """The best of those at their end."""
    return sorted((each for each in begun if each.done == EPOCHS), key=lambda each: -each.best)[:TOP]


def reserved(task: str, best: list[Candidate], most: float, all_or_none: bool) -> float:
    """The seconds that are kept."""
    every = [whole(task, each) for each in best]
    # one training is not shared between workers
    if not best or (all_or_none and AGAIN + max(*every, sum(every) / WORKERS) > most):
        return 0.0
    return min(most, AGAIN + max(*every, SEEDS * sum(every) / WORKERS))


def again(task: str, best: list[Candidate], seconds: float, generator: random.Random) -> dict[int, list[float]]:
    """The scores on fresh seeds that there is time for, by the place among the best."""
    free = [AGAIN] * WORKERS
    scores: dict[int, list[float]] = {}
    for place in [*range(len(best))] * SEEDS:
        free.sort()
        if free[0] + whole(task, best[place]) <= seconds:
            free[0] += whole(task, best[place])
            scores.setdefault(place, []).append(max(trained(best[place].plan, VALIDATED[task], generator)))
    return scores


def whole(task: str, one: Candidate) -> float:
    """Seconds of a training at full length."""
    return START[task] + EPOCHS * one.plan.seconds


def trained(plan: Plan, validated: int, generator: random.Random) -> list[float]:
    """The plan's curve in another training, in whole images."""
    luck = generator.gauss(0, OF_TRAINING)
    return [round(validated * noisy(value, luck + generator.gauss(0, OF_EPOCH))) / validated for value in plan.curve]


def noisy(share: float, noise: float) -> float:
    """A share with noise in log odds."""
    share = min(max(share, 0.002), 0.998)
    return 1 / (1 + (1 - share) / share * math.exp(-noise))


if __name__ == "__main__":
    main()
