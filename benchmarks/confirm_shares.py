"""How much of a limited time is to be kept for fresh seeds of the best: searches simulated on measured curves.

    python benchmarks/confirm_shares.py

Two workers draw plans by chance from those that benchmarks/first_looks.py trained, and train them by cnnsearch's own
scheduler (all to their end on digits) until the time is up that is not kept; then the best three are trained again, one
seed of each first, and the best by the mean of these is chosen. Every training of a plan is its measured curve with
noise: in log odds, one normal number for the training and one for each epoch. Writes docs/benchmarks/confirming.md.
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

from cnnsearch.tuning.schedulers.rungs import LOW_FIDELITY_UPDATES, Rungs

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "confirming.md"
TOP, SEEDS = 3, 3
BEGIN, AGAIN = 6.0, 2.5
"""Seconds until workers have started, and those that begin anew once the search's share is up."""
OF_TRAINING, OF_EPOCH = 0.25, 0.12
"""Noise in log odds; between trainings of one plan of digits it was 0.31 to 0.34 (docs/benchmarks/samplers.md)."""
VALIDATED = {"digits": 240, "mnist": 1200, "cifar": 1200}
TIMES = {"digits": (20, 60), "mnist": (40, 120, 300), "cifar": (60, 180, 400)}
SHARES = (0, 1 / 10, 1 / 5, 1 / 3)
SEARCHES = 300
HEAD = """# How much of a time limit should be kept for the confirmation?

At most a fifth. With little time, keeping a part of it for new seeds costs accuracy. With more time, choosing the
winner by new seeds is as good as searching longer, or a little better. A third was no better than a fifth on digits
and MNIST, and better on CIFAR-10.

So `--timeout` keeps at most a fifth for the confirmation. It keeps nothing if a fifth is too short for one new seed
of each of the three best trials.

Each cell has the accuracy of the chosen plan in percent, with its standard error, and then the mean number of
trainings on new seeds. The last column is what cnnsearch does.

| task | seconds | none | at most 1/10 | at most 1/5 | at most 1/3 | **shipped** |
| --- | --- | --- | --- | --- | --- | --- |
"""
FOOT = f"""
## Method

These are simulated searches. Two workers draw plans at random from plans that were trained before: 40 of digits, 24
of MNIST and 10 of CIFAR-10. They train them with cnnsearch's own scheduler (on digits all to their end, as
cnnsearch did then) until the time is up that is not kept. Then the three best trials are trained again, one new seed of
each first. The trial with the best mean is chosen. Its value is the best accuracy of its measured curve.

Each training of a plan is its measured curve with noise. The noise is normal in log odds: one number for the
training, and one for each epoch.

A search without a time limit confirms all three trials. So does a search that reaches its number of trials before its
time limit.

There are few plans, and they are drawn at random. So the table shows large differences, not small ones.

* Command: `python benchmarks/confirm_shares.py`. It writes this page.
* Machine: none, the searches are simulated. The curves were measured on one core of a Linux x86_64 machine with two
  ([how well a short evaluation ranks candidates](first-looks.md)).
* n: {SEARCHES} simulated searches for each cell.
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
    PAGE.write_text(HEAD + "\n".join(lines) + "\n" + FOOT)


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
    scheduler = Rungs("none" if task == "digits" else "halving", EPOCHS, LOW_FIDELITY_UPDATES, maximize=True)
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
