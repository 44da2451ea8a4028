"""Writes docs/benchmarks/prior.md from what benchmarks/prior.py found."""

import random
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean, mean, median
from typing import Any

from prior_data import family

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks" / "prior.md"
RESAMPLES = 2000
LEAST = 10
"""The page has nothing of fewer landscapes or seeds."""

Rows = list[dict[str, Any]]


def write(found: dict[str, Rows], recorded: Any, machine: str) -> None:
    """Write the page."""
    count = len(recorded.points)
    pools = [row for row in found["pools"] if row["points"] == count]
    landscapes = whole([row for row in found["landscapes"] if row["points"] == count])
    runs = [row for row in found["runs"] if row["points"] == count]
    seeds = Counter(row["task"] for row in runs if row["arm"] == "none")
    runs = [row for row in runs if seeds[row["task"]] >= LEAST]
    parts = [HEAD, conclusion(pools, landscapes, runs), RULE]
    parts += [pool_part(pools), landscape_part(landscapes), run_part(runs)]
    datasets = ", ".join(f"{each['dataset']} ({each['family']}, {each['images']})" for each in recorded.studies())
    datasets = f"* Datasets, with their family and their number of training images: {datasets}."
    datasets = textwrap.fill(datasets, 120, subsequent_indent="  ", break_on_hyphens=False)
    parts.append(METHOD.format(points=count, datasets=datasets, machine=machine))
    PAGE.write_text("\n".join(part for part in parts if part))


def whole(rows: Rows) -> Rows:
    """The searches of the landscapes that all arms have searched; nothing if there are few."""
    arms = {row["arm"] for row in rows}
    counts = Counter(row["seed"] for row in rows)
    kept = [row for row in rows if counts[row["seed"]] == len(arms)]
    return kept if len(kept) >= LEAST * len(arms) else []


def paired(rows: Rows, key: str, one: str, other: str) -> dict[str, list[float]]:
    """For each dataset the epochs of `other` divided by those of `one`, seed by seed."""
    epochs = {(row[key], row["arm"], row["seed"]): max(1, row["epochs"]) for row in rows}
    names = dict.fromkeys(row[key] for row in rows)
    return {
        name: [
            epochs[name, other, seed] / epochs[name, one, seed]
            for (each, arm, seed) in epochs
            if each == name and arm == one and (name, other, seed) in epochs
        ]
        for name in names
    }


def interval(values: list[Any], figure: Callable[[list[Any]], float], generator: random.Random) -> str:
    """The figure with its 95% bootstrap interval."""
    drawn = sorted(figure(generator.choices(values, k=len(values))) for _ in range(RESAMPLES))
    low, high = drawn[round(0.025 * RESAMPLES)], drawn[round(0.975 * RESAMPLES) - 1]
    return f"{figure(values):.2f} ({low:.2f} to {high:.2f})"


def over_families(ratios: dict[str, list[float]]) -> str:
    """The geometric mean over families, with an interval by a bootstrap over families and over seeds."""
    generator = random.Random(0)
    families = sorted({family(name) for name in ratios})

    def figure(some: list[str], resample: bool = True) -> float:
        means = []
        for each in some:
            own = [values for name, values in ratios.items() if family(name) == each]
            if resample:
                own = [generator.choices(values, k=len(values)) for values in own]
            means.append(geometric_mean(geometric_mean(values) for values in own))
        return geometric_mean(means)

    drawn = sorted(figure(generator.choices(families, k=len(families))) for _ in range(RESAMPLES))
    low, high = drawn[round(0.025 * RESAMPLES)], drawn[round(0.975 * RESAMPLES) - 1]
    return f"{figure(families, resample=False):.2f} ({low:.2f} to {high:.2f})"


def pool_part(rows: Rows) -> str:
    """The searches among recorded points."""
    if not rows:
        return ""
    lines = []
    seeds = len({row["seed"] for row in rows})
    for name in dict.fromkeys(row["dataset"] for row in rows):
        cells = [name, family(name)]
        for arm in ("none", "points", "optuna", "optuna-prior", "wrong"):
            cells.append(f"{mean(row['epochs'] for row in rows if (row['dataset'], row['arm']) == (name, arm)):.0f}")
        cells.append(interval(paired(rows, "dataset", "points", "none")[name], geometric_mean, random.Random(0)))
        lines.append(f"| {' | '.join(cells)} |")
    told = {name: over_families(paired(rows, "dataset", *arms)) for name, arms in COMPARED.items()}
    return POOLS.format(table="\n".join(lines), seeds=seeds, **told)


COMPARED = {
    "gain": ("points", "none"),
    "optuna": ("optuna-prior", "optuna"),
    "same": ("points", "optuna-prior"),
    "cost": ("none", "wrong"),
}
"""Pairs of arms: the epochs of the second are divided by those of the first."""


def landscape_part(rows: Rows) -> str:
    """The simulated searches of MNIST."""
    if not rows:
        return ""
    lines = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        own = [row["epochs"] for row in rows if row["arm"] == arm]
        cells = [f"`{arm}`", str(len(own)), f"{median(own):.0f}"]
        for base in ("none", "optuna"):
            ratios = landscape_ratios(rows, arm, base)
            cells.append("" if arm == base else interval(ratios, geometric_mean, random.Random(0)))
        lines.append(f"| {' | '.join(cells)} |")
    return LANDSCAPES.format(table="\n".join(lines))


def landscape_ratios(rows: Rows, arm: str, base: str) -> list[float]:
    """The epochs of `base` divided by those of `arm` on the same landscape."""
    return paired([{**row, "dataset": "mnist"} for row in rows], "dataset", arm, base)["mnist"]


def run_part(rows: Rows) -> str:
    """The real searches."""
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        for arm in ("none", "prior", "wrong"):
            own = [row for row in rows if (row["task"], row["arm"]) == (task, arm)]
            if not own:
                continue
            reached = sum(row["reached"] for row in own)
            cells = [task, f"`{arm}`", str(len(own)), str(reached), f"{median(row['epochs'] for row in own):.0f}"]
            ratios = paired(rows, "task", arm, "none")[task]
            cells.append("" if arm == "none" else interval(ratios, geometric_mean, random.Random(0)))
            lines.append(f"| {' | '.join(cells)} |")
    if not lines:
        return NO_RUNS
    return RUNS.format(table="\n".join(lines), machines=", ".join(dict.fromkeys(row["machine"] for row in rows)))


def conclusion(pools: Rows, landscapes: Rows, runs: Rows) -> str:
    """The answer in some sentences."""
    sentences = []
    if pools:
        gain, cost = (over_families(paired(pools, "dataset", *COMPARED[name])) for name in ("gain", "cost"))
        sentences.append(
            f"No gain is shown so far. Among recorded points, a search without a prior needed {gain} times the epochs "
            f"of a search that trained the portfolio first. A deliberately wrong portfolio cost {cost} times the "
            "epochs."
        )
    if landscapes:
        told = [
            interval(landscape_ratios(landscapes, *arms), geometric_mean, random.Random(0))
            for arms in (("prior", "none"), ("none", "wrong"))
        ]
        sentences.append(
            f"In simulated searches of MNIST, a search without a prior needed {told[0]} times the epochs of a search "
            f"with one, and a wrong prior cost {told[1]} times the epochs."
        )
    tasks = {row["task"] for row in runs}
    least = min((len({r["seed"] for r in runs if r["task"] == task}) for task in tasks), default=0)
    ran = f"Real searches were run on {len(tasks)} of 3 tasks, with {least} seeds at least"
    ran = ran if runs else "The real searches that the rule asks for were not run yet"
    sentences.append(f"{ran}. So the default stays `--prior none`.")
    return textwrap.fill(" ".join(sentences), 120, break_on_hyphens=False) + "\n"


HEAD = """# Does a prior of other datasets save epochs?
"""

RULE = """Numbers in parentheses are 95% intervals. All priors here were learned without the dataset that they are
judged on, and without its relatives: digits of 8x8 pixels and MNIST are one family.

## The rule for the default

It was fixed before any prior was judged. `--prior auto` becomes the default if all of this holds in real searches on
each of digits, MNIST and CIFAR-10 parts, with at least 20 seeds each, from seed 1000 on:

* the epochs to the target without a prior, divided by those with it, have a 95% interval above 1;
* a deliberately wrong prior costs at most 1.2 times the epochs.

Otherwise the default stays `none`.
"""

POOLS = """## Searches among recorded points

| dataset | family | none | portfolio | Optuna | Optuna with the portfolio | wrong portfolio | none / portfolio |
| --- | --- | --- | --- | --- | --- | --- | --- |
{table}

Columns with names of arms have the mean epochs until the target is reached, over {seeds} seeds. The target is the 95%
quantile of the best accuracies of a dataset's points. Over the families, as geometric means with intervals by a
bootstrap over families and seeds:

| comparison | ratio of epochs |
| --- | --- |
| no prior / portfolio | {gain} |
| Optuna / Optuna with the same portfolio | {optuna} |
| Optuna with the portfolio / cnnsearch with the portfolio | {same} |
| wrong portfolio / no prior | {cost} |

All arms begin with the default point; what the portfolio leaves comes at random. `none`, the portfolio and the wrong
portfolio use the rungs of cnnsearch with two workers; Optuna is its median pruner, one trial after another. The wrong
portfolio has the points that were worst on the other datasets. A pool is small: a portfolio is a large part of it.
"""

LANDSCAPES = """## Simulated searches of MNIST

| arm | searches | median epochs | epochs of `none` / epochs | epochs of `optuna` / epochs |
| --- | --- | --- | --- | --- |
{table}

Ratios are geometric means on the same landscapes; above 1 the arm needs fewer epochs. Landscapes are drawn as for
[the samplers](samplers.md#with-rungs), in the space of `benchmarks/spaces/mnist_small.toml`; the target is that of
[the comparison with other tools](peers.md). The priors know neither MNIST nor the 8x8 digits. `prior` has points and
weights, `points` and `weights` one of both, `wrong` the worst points and the weights of the worst. `optuna` is its TPE
with the median pruner, one trial after another, the default point first; `optuna-prior` gets the same portfolio. The
pruner of Optuna judges each epoch, so it can stop a trial earlier than rungs can. A search that missed the target
counts with 400 epochs.
"""

NO_RUNS = """## Real searches

Too few were run yet. `python benchmarks/prior.py run` runs what is missing and can be stopped at any time.
"""

RUNS = """## Real searches

| task | arm | seeds | reached the target | median epochs | epochs of `none` / epochs |
| --- | --- | --- | --- | --- | --- |
{table}

A search that missed the target counts with all its epochs. The tasks and targets are those of
[the comparison with other tools](peers.md). Machine: {machines}.
"""

METHOD = """## Method

* Recorded points: the default point and random points of `benchmarks/spaces/prior.toml`, {points} in all, each trained
  for 8 epochs on each dataset.
{datasets}
* The portfolio has 8 points. They are chosen greedily: each time the point that lowers the regret most, which is the
  mean over families of the mean over their datasets of the regret of the best chosen point. The regret of a point is
  how far its best validation accuracy is below the best of all points, divided by how far the median point is below it.
* The weight of a value is how often it was among the best quarter of points, divided by how often it was tried.
* Limits: few points. Five points of the shipped portfolio together contain the best point of every dataset; the other
  three are nearer to the median point of a dataset than to its best.
* Few updates (8 epochs of at most 2,000 images of at most 16x16 pixels) and small networks: points that learn fast are
  preferred. Each point was trained once, so the order of neighbours is partly noise.
* Commands: `CNNSEARCH_DATA=DIR python benchmarks/learn_prior.py record`, `python benchmarks/learn_prior.py learn`,
  `python benchmarks/prior.py pools`, `landscapes`, `run`, `table`. All resume where they were stopped. The page is
  written by `table`.
* Machine of the trainings: {machine}.
"""
