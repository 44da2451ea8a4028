"""Which share of a rung is to be trained on: searches simulated on the measured curves of benchmarks/first_looks.py.

    python benchmarks/rung_shares.py

Two workers draw plans by chance from those that were measured, train them by cnnsearch's own scheduler and stop at the
first epoch that reaches the target: what the best few of the plans reach (see simulated.py). Adds its table to
docs/benchmarks/first-looks.md.
"""

import random
from fractions import Fraction
from statistics import mean, median

import click
from first_looks import PAGE, SHARES_TITLE, rows
from simulated import EPOCH, START, Candidate, turns

from cnnsearch.tuning.schedulers import rungs
from cnnsearch.tuning.schedulers.rungs import LOW_FIDELITY_UPDATES, Rungs

REACHED_BY = {"digits": (3, 4), "mnist": (2, 3), "cifar": (1, 2)}
"""How many of the plans reach the target, for two targets."""
WHOLE, HALF, THIRD, QUARTER = (Fraction(1, parts) for parts in (1, 2, 3, 4))
SHIPPED = rungs.FIRST_SHARE, rungs.LATER_SHARE
SHARES = (
    (WHOLE, WHOLE),
    (HALF, HALF),
    (HALF, 2 * THIRD),
    (THIRD, THIRD),
    (THIRD, 2 * THIRD),
    (QUARTER, QUARTER),
    (QUARTER, HALF),
    (QUARTER, 2 * THIRD),
)
SEARCHES = 400
LONGEST = 1000.0
HEAD = """
A third of the first rung and two thirds of the later ones are a safe choice. On MNIST and CIFAR-10 searches reach the
target sooner with it than if all trials are trained to their end. On digits, where an epoch is short, training all to
their end is faster in these simulated searches; [real ones](pausing.md) show no difference of time, and rungs need
fewer epochs. Choosing sharply twice is worse on CIFAR-10.

Each cell has the mean seconds until an epoch reaches the target, at most {longest:.0f}. "All to their end" is no
scheduler and no pruner. The default is in bold.

| task | target | reached by | {shares} |
| --- | --- | --- | {lines} |
"""
FOOT = """
These are simulated searches: two workers draw measured plans at random, and the rungs are after 1, 3 and 9 epochs.
"Reached by" says how many of the measured plans reach the target. There are few curves, so small differences mean
little. Command: `python benchmarks/rung_shares.py`. n: {searches} simulated searches for each cell.
"""


@click.command()
def main() -> None:
    """Simulate, and write the table."""
    text = PAGE.read_text().partition(SHARES_TITLE)[0]
    names = [name(*shares) for shares in SHARES]
    head = HEAD.format(shares=" | ".join(names), lines=" | ".join("---" for _ in names), longest=LONGEST)
    lines = [line(task, count) for task, counts in REACHED_BY.items() for count in counts]
    PAGE.write_text(text + SHARES_TITLE + head + "\n".join(lines) + "\n" + FOOT.format(searches=SEARCHES))


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
        rungs.FIRST_SHARE, rungs.LATER_SHARE = shares
        taken = [search(curves, target, task, random.Random(seed)) for seed in range(SEARCHES)]
        told.append(f"{mean(taken):.0f} (median {median(taken):.0f})")
    return f"| {' | '.join(told)} |"


def search(curves: list[list[float]], target: float, task: str, generator: random.Random) -> float:
    """The seconds until an epoch reaches the target."""
    scheduler = Rungs(
        "halving" if rungs.FIRST_SHARE < 1 else "none", len(curves[0]), LOW_FIDELITY_UPDATES, maximize=True
    )
    every: list[Candidate] = []
    reached = LONGEST
    for now in turns(every, scheduler, lambda: Candidate(generator.choice(curves), EPOCH[task]), START[task]):
        reached = min([reached, *(one.reached(target) for one in every)])
        if now >= reached:
            break
    return reached


if __name__ == "__main__":
    main()
