"""Writes docs/benchmarks/samplers.md from what benchmarks/samplers.py measured and simulated."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

from samplers_arms import ARMS, DEFAULT, SHIPPED, TASKS, TRIALS, measured
from samplers_surrogate import accuracy

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "samplers.md"
RUNGS_TITLE = "\n## With rungs\n"
"""What follows it is of benchmarks/rung_samplers.py."""
MARKS = (10, 20, 50, 100)
SPAN = range(20, TRIALS + 1)
"""The numbers of trials for which a default is sought."""
REPEATS = 2000
HEAD = """# Which sampler should be the default?

TPE. No other sampler had less regret than TPE on both tasks, and random search had more. The default draws five
trials at random before TPE begins (`tpe-5`).
"""
RULE = """## How to read the tables

**Regret** is how far the true accuracy of the chosen trial is below the best attainable accuracy, in points of a
percent. The chosen trial is the best one that was *observed*. Cells have the median over seeds, with the bootstrap's
95% interval. The column of differences has the mean over seeds, each paired with `tpe` on the same seed; it is bold
if the interval does not contain 0. `ms an ask` is the processor time of a draw; that of `random` is what drawing
costs by itself. `n` is the number of seeds.

**The rule** was fixed before the searches were simulated. Another sampler becomes the default if all of this holds:

* its regret, averaged over 20 to 100 trials, is below that of `tpe`, the default when this was measured;
* the 95% interval of the paired difference does not contain 0, on both tasks, under the surrogate that predicts best;
* it needs no further package.

How many trials TPE draws at random first was chosen by another rule: see [searches with rungs](#with-rungs).

## Method

Real trainings of random plans were measured. A surrogate model was fitted to them, and searches were simulated on it:
the surrogate answers instead of a training, with noise. Two trials run at any time, as with two workers. TPE takes a
running trial for bad until it ends (constant liar).

* Commands: at the top of `benchmarks/samplers.py`; `python benchmarks/samplers.py table` writes this page.
* Machine of the trainings: one core of a Linux x86_64 machine.
"""
NOISE = """\
The noise is the standard deviation between seeds of one plan, in log odds. It is added to each answer, which is
then rounded to whole images. The surrogate with the highest R² is used for each task.
"""
FOOT = """## Limits of these results

* A surrogate is smoother than training. Cliffs, and effects of many hyperparameters together, are averaged away, and
  so is a part of what a sampler could have found. A surrogate of trees has steps along single hyperparameters, which
  suits samplers that treat each one alone. The smooth surrogate is a Gaussian process itself, which suits `gp`.
* The measured plans are random, so few of them lie where searches end. The Spearman correlation in the better half
  shows how little is known of the order there. Differences of some tenths of a percent are differences on the
  surrogate.
* The best attainable accuracy is the surrogate's, beyond what was measured. Near 100%, several plans classify every
  image correctly in one training, and which of them is chosen is luck.
* There are two tasks with few small images, 9 epochs, and one space of about 15 hyperparameters with more choices
  than ranges. Larger spaces, or spaces with more ranges, may give other results.
* `qmc` draws the same points with every seed. All its searches are one search, and its intervals contain only the
  noise of training.
* The trials here run to their end. A real search prunes or has rungs by default (see below), and tells the sampler
  the last score of a trial that did not end.
* These spaces have no recipes; the default point takes their place. Whether it comes first is measured; what recipes
  would add is not.
* Each interval is of one comparison and is not corrected for their number. One that only just excludes 0 may be luck.
  They contain the randomness of the searches, not that of the points that the surrogate was fitted to.
* On MNIST a few searches end far below the rest (in 2 to 11 of 50 an arm loses over 5 points), so differences of
  means say little there. The medians say more.
* `gp` draws hyperparameters at random that exist only under another choice, so it does not learn about them.
"""

Rows = list[dict[str, Any]]


def write(facts: dict[str, dict[str, Any]], found: dict[tuple[str, str], Rows]) -> None:
    """The page: what was measured, each task's table, and what follows."""
    parts = [HEAD, RULE, measurements(facts)]
    verdicts: dict[tuple[str, str], dict[str, tuple[float, float, float]]] = {}
    for (task, kind), rows in found.items():
        regrets, top = curves(rows, facts[task]["heights"][kind])
        verdicts[task, kind] = {arm: against(regrets, arm) for arm in regrets if arm != SHIPPED}
        parts.append(section(task, kind, rows, facts[task], regrets, top, verdicts[task, kind]))
    mains = {task: verdict for (task, kind), verdict in verdicts.items() if facts[task]["kind"] == kind}
    parts.insert(1, conclusion(mains) + missing(mains))
    _, title, rungs = PAGE.read_text().partition(RUNGS_TITLE)
    PAGE.write_text("\n".join([*parts, FOOT]) + title + rungs)


def curves(rows: Rows, heights: dict[str, float]) -> tuple[dict[str, dict[int, list[float]]], float]:
    """Each arm's regret after each trial by seed, in points of a percent, and the best attainable score."""
    top = max(heights["best"], *(row["highest"] for row in rows))
    regrets: dict[str, dict[int, list[float]]] = {arm: {} for arm in ARMS if any(row["arm"] == arm for row in rows)}
    for row in rows:
        regrets[row["arm"]][row["seed"]] = regret(row["chosen"], top)
    return regrets, top


def regret(chosen: list[list[float]], top: float) -> list[float]:
    """The regret after each trial."""
    told, at = [], 0
    for trial in range(1, TRIALS + 1):
        while at + 1 < len(chosen) and chosen[at + 1][0] <= trial:
            at += 1
        told.append(100 * float(accuracy(top) - accuracy(chosen[at][1])))
    return told


def against(regrets: dict[str, dict[int, list[float]]], arm: str) -> tuple[float, float, float]:
    """How much more an arm regrets than what is shipped, from 20 to 100 trials: mean over paired seeds, interval."""
    pairs = [
        mean(ours[at - 1] - regrets[SHIPPED][seed][at - 1] for at in SPAN)
        for seed, ours in regrets[arm].items()
        if seed in regrets[SHIPPED]
    ]
    return mean(pairs), *interval(pairs, mean)


def interval(values: list[float], of: Callable[[list[float]], float]) -> tuple[float, float]:
    """The bootstrap's 95% interval over seeds."""
    generator = random.Random(0)
    drawn = sorted(of(generator.choices(values, k=len(values))) for _ in range(REPEATS))
    return drawn[round(0.025 * REPEATS)], drawn[round(0.975 * REPEATS) - 1]


def section(
    task: str,
    kind: str,
    rows: Rows,
    known: dict[str, Any],
    regrets: dict[str, dict[int, list[float]]],
    top: float,
    verdict: dict[str, tuple[float, float, float]],
) -> str:
    """A task's table under one surrogate."""
    heights = known["heights"][kind]
    goal, default = heights["one in 100"], heights["default"]
    role = "which predicts best" if kind == known["kind"] else "as a check"
    head = (
        f"## {task}, surrogate {kind} ({role})\n\n"
        f"Best attainable {accuracy(top):.2%}; the default point {accuracy(default):.2%}; the target, which one random "
        f"plan in a hundred exceeds, {accuracy(goal):.2%}.\n"
    )
    titles = ["sampler", "default first", "n", *(f"{mark} trials" for mark in MARKS), "20 to 100, minus `tpe`"]
    titles += ["trials to target", "ms an ask"]
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    for arm, by_seed in regrets.items():
        mine = [row for row in rows if row["arm"] == arm]
        cells = [f"`{arm}`: {ARMS[arm].told}", "yes" if ARMS[arm].default else "no", str(len(mine))]
        cells += [spread([told[mark - 1] for told in by_seed.values()], "{:.2f}") for mark in MARKS]
        cells += [difference(verdict[arm]) if arm in verdict else ""]
        cells += [spread([hit(row, goal) for row in mine], "{:.0f}")]
        lines.append("| " + " | ".join([*cells, f"{1000 * median(row['ask'] for row in mine):.0f}"]) + " |")
    return head + "\n" + "\n".join(lines) + "\n"


def spread(values: list[float], how: str) -> str:
    """A median and its interval."""
    told = [how.format(each) if math.isfinite(each) else f">{TRIALS}" for each in (median(values), *ends(values))]
    return f"{told[0]} ({told[1]} to {told[2]})"


def ends(values: list[float]) -> tuple[float, float]:
    """The interval of a median."""
    return interval(values, lambda some: sorted(some)[len(some) // 2])


def difference(told: tuple[float, float, float]) -> str:
    """A difference and its interval, bold where that leaves out 0."""
    text = f"{told[0]:+.2f} ({told[1]:+.2f} to {told[2]:+.2f})"
    return f"**{text}**" if told[1] > 0 or told[2] < 0 else text


def hit(row: dict[str, Any], goal: float) -> float:
    """The trial after which the chosen point was first as good as the target."""
    return next((float(at) for at, score in row["chosen"] if score >= goal), math.inf)


def measurements(facts: dict[str, dict[str, Any]]) -> str:
    """What was trained, and how well it is foretold."""
    titles = ["task", "images", "validated on", "plans", "trainings", "median", "best", "noise below, above the median"]
    titles += ["R² (Spearman; in the better half) of each surrogate in cross-validation"]
    lines = ["## Which trainings were measured?", "", "| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    for task, known in facts.items():
        trained = measured(task)
        best = sorted(row["best"] for row in trained if row["plan"] != DEFAULT)
        fits = ", ".join(
            f"{name} {fit['r2']:.2f} ({fit['spearman']:.2f}; {fit['upper_spearman']:.2f})"
            for name, fit in known["fits"].items()
        )
        cells = [task, f"{trained[0]['images']:,}", f"{trained[0]['validated']:,}", str(known["plans"])]
        cells += [str(known["points"]), f"{median(best):.2%}", f"{best[-1]:.2%}"]
        cells += [", ".join(f"{sd:.2f}" for sd in known["noise"]), fits]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\n" + NOISE


def conclusion(verdicts: dict[str, dict[str, tuple[float, float, float]]]) -> str:
    """Which arms are better than what is shipped on every task that was simulated, and which are worse."""
    common = [arm for arm in ARMS if verdicts and all(arm in verdict for verdict in verdicts.values())]
    better = [arm for arm in common if all(verdict[arm][2] < 0 for verdict in verdicts.values())]
    worse = [arm for arm in common if all(verdict[arm][1] > 0 for verdict in verdicts.values())]
    rest = [arm for arm in common if arm not in better + worse]
    told = f"Against `{SHIPPED}` on {' and '.join(verdicts)}, by the differences below. Better: {names(better)}. "
    told += f"Worse: {names(worse)}. No clear difference: {names(rest)}. "
    settled = len(verdicts) == len(TASKS) and not better
    return told + ("So TPE stays the default.\n" if settled else "\n")


def missing(verdicts: dict[str, dict[str, tuple[float, float, float]]]) -> str:
    """What was not simulated yet, so that nobody takes the page for more than it is."""
    lines = []
    for task in TASKS:
        if task not in verdicts:
            trained = measured(task)
            plans = len({row["plan"] for row in trained})
            lines.append(f"* {task}: so far {len(trained)} trainings of {plans} plans are measured.")
        elif left := [arm for arm in ARMS if arm != SHIPPED and arm not in verdicts[task]]:
            lines.append(f"* {task}: {names(left)}.")
    return "\nNot simulated yet:\n\n" + "\n".join(lines) + "\n" if lines else ""


def names(arms: list[str]) -> str:
    """Arms as Markdown."""
    return ", ".join(f"`{arm}`" for arm in arms) or "none"
