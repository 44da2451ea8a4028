"""Which share of a rung is to be trained on: searches simulated on the measured curves of benchmarks/first_looks.py.

    python benchmarks/rung_shares.py

Two workers draw plans by chance from those that were measured, train them by cnnsearch's own scheduler and stop at the
first epoch that reaches the target: what the best few of the plans reach. Starting a trial and training an epoch take
the seconds that they took about on one core; nothing else takes time. Adds its table to docs/first-looks.md.
"""

import heapq
import random
from fractions import Fraction
from statistics import mean, median
from typing import Any, NamedTuple

import click
from first_looks import PAGE, SHARES_TITLE, rows

from cnnsearch import rungs
from cnnsearch.rungs import LOOK, Scheduler, Stand

START = {"digits": 0.6, "mnist": 1.0, "cifar": 1.5}
EPOCH = {"digits": 0.06, "mnist": 0.9, "cifar": 2.5}
GO_ON = 0.3
REACHED_BY = {"digits": (3, 4), "mnist": (2, 3), "cifar": (1, 2)}
"""How many of the plans reach the target, for two targets."""
WHOLE, HALF, THIRD, QUARTER = (Fraction(1, parts) for parts in (1, 2, 3, 4))
SHIPPED = rungs.FIRST, rungs.LATER
SHARES = (
    (WHOLE, WHOLE),
    (HALF, HALF),
    (HALF, 2 * THIRD),
    (THIRD, THIRD),
    (THIRD, 2 * THIRD),
    (QUARTER, QUARTER),
    (QUARTER, 2 * THIRD),
)
SEARCHES = 400
LONGEST = 1000.0
HEAD = """
400 simulated searches each, by chance over plans, with two workers and rungs after 1, 3 and 9 epochs (`python
benchmarks/rung_shares.py`): mean seconds until an epoch reaches the target, which so many of the measured plans reach;
at most {longest:.0f}. All to their end is no scheduler and no pruner. Of few curves, so that small differences say
little; what is shipped is in bold.

| task | target | reached by | {shares} |
| --- | --- | --- | {lines} |
"""


class Candidate(NamedTuple):
    """A plan's measured curve, how many epochs of it are trained, and whether a worker has it."""

    curve: list[float]
    done: int
    busy: bool


@click.command()
def main() -> None:
    """Simulate, and write the table."""
    text = PAGE.read_text().partition(SHARES_TITLE)[0]
    names = [name(*shares) for shares in SHARES]
    head = HEAD.format(shares=" | ".join(names), lines=" | ".join("---" for _ in names), longest=LONGEST)
    lines = [line(task, count) for task, counts in REACHED_BY.items() for count in counts]
    PAGE.write_text(text + SHARES_TITLE + head + "\n".join(lines) + "\n")


def name(first: Fraction, later: Fraction) -> str:
    """A pair of shares, in words."""
    told = "all to their end" if first == 1 else f"{float(first):.2f}, then {float(later):.2f}"
    return f"**{told}**" if (first, later) == SHIPPED else told


def line(task: str, count: int) -> str:
    """A row of the table."""
    curves = [row["curve"] for row in rows(task)]
    target = sorted(map(max, curves), reverse=True)[count - 1]
    told = [task, f"{target:.4f}", f"{sum(max(curve) >= target for curve in curves)} of {len(curves)}"]
    for shares in SHARES:
        rungs.FIRST, rungs.LATER = shares
        taken = [search(curves, target, task, random.Random(seed)) for seed in range(SEARCHES)]
        told.append(f"{mean(taken):.0f} (median {median(taken):.0f})")
    return f"| {' | '.join(told)} |"


def search(curves: list[list[float]], target: float, task: str, generator: Any) -> float:
    """The seconds until an epoch reaches the target."""
    plans: list[Candidate] = []
    scheduler = Scheduler("halving" if rungs.FIRST < 1 else "none", len(curves[0]), LOOK, maximize=True)
    workers, in_hand = [(0.0, 0), (0.0, 1)], {}
    hits: list[float] = []
    while True:
        now, worker = heapq.heappop(workers)
        if now > LONGEST or (hits and min(hits) <= now):
            return min([LONGEST, *hits])
        if worker in in_hand:
            number, end = in_hand.pop(worker)
            plans[number] = plans[number]._replace(done=end, busy=False)
        stands = [Stand(i, tuple(each.curve[: each.done]), not each.busy) for i, each in enumerate(plans) if each.done]
        number = scheduler.next(stands, True)
        if number is None:
            number = len(plans)
            plans.append(Candidate(generator.choice(curves), 0, True))
        one = plans[number]
        end = next((e for e in range(one.done + 1, len(one.curve)) if scheduler.waits_at(e)), len(one.curve))
        ready = now + (GO_ON if one.done else START[task])
        hits += [
            ready + EPOCH[task] * (epoch - one.done + 1) for epoch in range(one.done, end) if one.curve[epoch] >= target
        ]
        plans[number] = one._replace(busy=True)
        in_hand[worker] = number, end
        heapq.heappush(workers, (ready + EPOCH[task] * (end - one.done), worker))


if __name__ == "__main__":
    main()
