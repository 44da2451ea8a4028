"""docs/benchmarks/peers.md and its plot, from what benchmarks/peers.py measured."""

import math
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import peers_tested
from peers_results import (
    EQUAL,
    HELD_OUT,
    OURS,
    PEERS,
    developed,
    goal,
    judged,
    per_hit,
    per_hit_ratio,
    reached,
)

DOCS = Path(__file__).parents[1] / "docs" / "benchmarks"
NAMES = {
    "A": "KerasTuner RandomSearch",
    "B": "KerasTuner Hyperband",
    "C": "KerasTuner BayesianOptimization",
    "D": "Optuna script: TPE, median pruner",
    "E": "one epoch, then the best three",
    "F": "cnnsearch as shipped, in float32",
    "H": "Optuna script, the default point first",
    "I": "the same in two processes, with steps_per_execution",
    "J": "KerasTuner Hyperband after the default point",
    "K": "Ray Tune: ASHA, Optuna search, the default point first",
    "L": "AutoKeras ImageClassifier, its own space",
    "G-half": "cnnsearch in mixed_bfloat16",
    "G-fit": "cnnsearch with Keras' fit",
    "G-one-job": "cnnsearch, one worker",
    "G-no-pruning": "cnnsearch without pruning",
    "G-no-rungs": "cnnsearch, median pruner for rungs",
    "G-random": "cnnsearch, random sampler",
    "G-no-default": "cnnsearch without the default point",
}
COLOURS = ("#9aa0a6", "#c58af9", "#669df6", "#f6aea9", "#e8a33d", "#b31412", "#7627bb", "#1a73e8", "#00838f", "#795548")
SHOWN = dict(zip((*PEERS, "F"), (*COLOURS, "#188038"), strict=True))
"""The arms in the plot and their colours."""
HEAD = """# How fast is cnnsearch compared with other tools?

{lead}
{summary}
The table has the seconds and the epochs that a tool spent for each search that reached a fixed validation accuracy, as
multiples of cnnsearch's on the same seeds. Above 1 is in favour of cnnsearch. The 95% intervals are below: they are
wide, because single searches differ much.

* **Most of the lead is in epochs a second.** cnnsearch has compiled epochs and two workers.
* **A to E do not begin with the space's default point**; cnnsearch, H, I, J and K do. A good default point helps them.
* **cnnsearch uses more memory**: 2 to 3 GiB for two processes of one thread. The others took about 1 GiB for one
  process of two threads.

## Method

Every arm has the same space, builder, split, backend, precision (float32) and cores, and a fresh process. Its time
counts from the launch. An arm ends when it has reached the target or when its time is up. An epoch has all images in
every arm. cnnsearch, I and K have two trials at a time, of one thread each; the others have one process of two
threads.

The target was fixed before, from five other seeds: the median of what KerasTuner's random search reached, with 25
trials of digits and in 120 and 180 seconds of the others.

`seconds a hit` are all seconds of an arm, also those without success, divided by how often it reached the target.
`x cnnsearch` divides that by cnnsearch's on the same seeds, with the bootstrap's 95% interval over seeds ("no limit":
it never reached the target in some of the samples). `epochs` is the same for epochs.

`start` is the time from a trial's start to the end of its first epoch, less the time of another epoch: drawing,
building, tracing (median seconds, where it was recorded). With two workers it is the time of one worker while the
other trains. `MiB` is the memory at the trials 1, 10 and 25.

* Command: `python benchmarks/peers.py pilot`, `run`, `tested` and `table`, which writes this page. The top of that
  file describes the arms.
* Machine: Linux x86_64, 2 cores, shared with other work. The arms of a seed take turns. Of the development seeds, some
  rows were run again on another day, after the code had changed or with more time: the same trainings took 0.77 to
  1.40 of their time on another day (16 pairs).
* n: the column `seeds`.
"""
LEAD = """On {task} the other tools spent {seconds} the seconds of cnnsearch for each search that reached the target,
and {epochs} its epochs (n = {seeds} seeds).
"""
PLOT = """
![Above: the best so far in validation. Below: the test accuracy of the plan chosen by then](peers.png)
"""
DETAILS = """
## {title}

{seeds}. The target is {target:.4f} in validation. Trials have at most 9 epochs, an arm has at most {cap} s.

| arm | seeds | reached | seconds a hit | x cnnsearch | epochs, x cnnsearch | best, median | start | MiB |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
Arms = dict[str, dict[int, dict[str, Any]]]
"""The row of each seed, by arm."""


def write(measured: dict[str, list[dict[str, Any]]]) -> None:
    """Write the page, and the plot of the best so far against time."""
    details = "".join(
        section(task, rows, goal(every))
        for task, every in measured.items()
        for rows in (judged(every), [] if judged(every) == developed(every) else developed(every))
        if rows
    )
    best = {task: (judged(every), goal(every)) for task, every in measured.items()}
    plot(best)
    (DOCS / "peers.md").write_text(HEAD.format(lead=lead(best), summary=summary(best)) + details + PLOT)


def lead(best: dict[str, tuple[list[dict[str, Any]], float]]) -> str:
    """The least and the most that the other arms spend, for each task with held-out seeds."""
    told = ""
    for task, (rows, target) in best.items():
        arms = by_arm(rows)
        ratios = [compared(arms[arm], arms["F"], target) for arm in PEERS if arm in arms]
        seconds, epochs = (span([each[at][0] for each in ratios]) for at in (0, 1))
        if held_out(rows):
            told += LEAD.format(task=task, seconds=seconds, epochs=epochs, seeds=len(arms["F"]))
    return told


def span(ratios: list[float]) -> str:
    """From the least to the most."""
    low, high = min(ratios), max(ratios)
    return f"at least {low:.1f} times" if math.isinf(high) else f"{low:.1f} to {high:.1f} times"


def summary(best: dict[str, tuple[list[dict[str, Any]], float]]) -> str:
    """What the other arms spend for a hit, by task; empty where an arm was not run."""
    heads, found = [], {}
    for task, (rows, target) in best.items():
        arms = by_arm(rows)
        found[task] = {arm: compared(arms[arm], arms["F"], target) for arm in PEERS if arm in arms}
        kind = "" if held_out(rows) else " (development seeds)"
        heads += [f"{task}{kind}: seconds", "epochs"]
    lines = []
    for arm in PEERS:
        if any(arm in each for each in found.values()):
            cells = [times(each[arm][at][0]) if arm in each else "" for each in found.values() for at in (0, 1)]
            lines.append(f"| {arm} {NAMES[arm]} | {' | '.join(cells)} |\n")
    return f"\n| | {' | '.join(heads)} |\n| {' | '.join(['---'] * (len(heads) + 1))} |\n{''.join(lines)}"


def section(task: str, rows: list[dict[str, Any]], target: float) -> str:
    """The table of one task, with seeds of one kind."""
    arms = by_arm(rows)
    first, last = (end(row["seed"] for row in rows) for end in (min, max))
    fresh = held_out(rows)
    told = DETAILS.format(
        title=task if fresh else f"{task}, development seeds",
        seeds=f"Seeds {first} to {last}, with which {'nothing' if fresh else 'cnnsearch'} was developed",
        target=target,
        cap=" or ".join(f"{cap:.0f}" for cap in sorted({row["cap"] for row in rows})),
    )
    told += "".join(line(arm, arms[arm], arms["F"], target) for arm in (*PEERS, *OURS) if arm in arms)
    return told + (peers_tested.table(task, NAMES) if fresh else "")


def by_arm(rows: list[dict[str, Any]]) -> Arms:
    """The rows of each arm that has any."""
    return {
        arm: {row["seed"]: row for row in rows if row["arm"] == arm}
        for arm in (*PEERS, *OURS)
        if any(row["arm"] == arm for row in rows)
    }


def held_out(rows: list[dict[str, Any]]) -> bool:
    """Whether nothing was developed with these seeds."""
    return all(row["seed"] >= HELD_OUT for row in rows)


Ratio = tuple[float, float, float]
"""A ratio and its 95% interval."""


def compared(found: dict[int, Any], ours: dict[int, Any], target: float) -> tuple[Ratio, Ratio]:
    """The seconds and the epochs a hit, as multiples of cnnsearch's on the seeds that both have."""
    both = sorted(found.keys() & ours.keys())
    pairs = [[reached(each[seed], target) for seed in both] for each in (found, ours)]
    seconds, epochs = (per_hit_ratio(pairs[0], pairs[1], at) for at in (0, 1))
    return seconds, epochs


def line(arm: str, found: dict[int, Any], ours: dict[int, Any], target: float) -> str:
    """A row of a task's table."""
    got = [reached(row, target) for row in found.values()]
    cells = ["", ""] if arm == "F" else [told_ratio(ratio) for ratio in compared(found, ours, target)]
    held = [
        median(sizes)
        for mark in ("1", "10", "25")
        if (sizes := [r["memory_mib"][mark] for r in found.values() if mark in r["memory_mib"]])
    ]
    starts = [row["start"] for row in found.values() if row.get("start") is not None]
    cost = per_hit(got, 0)
    told = [
        f"{arm[0]} {NAMES[arm]}",
        str(len(found)),
        f"{sum(hit for *_, hit in got)} of {len(got)}",
        "never" if math.isinf(cost) else f"{cost:.0f}",
        *cells,
        f"{median(row['best'] for row in found.values()):.4f}",
        f"{median(starts):.2f}" if starts else "",
        ", ".join(f"{size:.0f}" for size in held),
    ]
    return f"| {' | '.join(told)} |\n"


def told_ratio(ratio: Ratio) -> str:
    """A multiple with its interval."""
    middle, low, high = map(times, ratio)
    return f"{middle} ({low} to {high})"


def times(ratio: float) -> str:
    """A multiple; without a limit if the arm never reached the target."""
    return "no limit" if math.isinf(ratio) else f"{ratio:.1f}"


def plot(best: dict[str, tuple[list[dict[str, Any]], float]]) -> None:
    """Against the seconds since the launch: the best so far in validation, and the plan chosen by then on test."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    size = (max(7, 5 * len(best)), 7.6)
    figure, axes = plt.subplots(2, len(best), figsize=size, squeeze=False, layout="constrained")
    for (over, under), (task, (rows, target)) in zip(zip(*axes, strict=True), best.items(), strict=True):
        draw_validation(over, by_arm(rows), target)
        over.set_title(task if held_out(rows) else f"{task}, development seeds")
        draw_test(under, task)
    labels = {label: line for axis in axes.flat for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(labels.values(), labels.keys(), fontsize=8, loc="outside lower center", ncols=3)
    figure.savefig(DOCS / "peers.png", dpi=110)
    plt.close(figure)


def draw_validation(axis: Any, arms: Arms, target: float) -> None:
    """The median over seeds of the best so far."""
    moments = np.linspace(0, max(row["wall"] for runs in arms.values() for row in runs.values()), 400)
    for arm in (arm for arm in SHOWN if arm in arms):
        curves = [[best_at(row, t) for t in moments] for row in arms[arm].values()]
        axis.plot(moments, np.median(curves, axis=0), **style(arm))
    axis.axhline(target, color="black", lw=0.6, ls=":")
    axis.set(ylabel="best validation accuracy so far", ylim=(target - 0.06, min(1, target + 0.02)))
    axis.set(xscale="log", xlim=(5, None))


def draw_test(axis: Any, task: str) -> None:
    """The mean over seeds of the chosen plan's accuracy on the test set, as soon as every search has chosen one."""
    moments = np.linspace(0, EQUAL[task], 400)
    axis.set_visible(bool(peers_tested.curves(task)))
    for arm, searches in ((arm, found) for arm, found in peers_tested.curves(task).items() if arm in SHOWN):
        means = np.array([[peers_tested.at(curve, t) for curve in searches.values()] for t in moments], float).mean(1)
        axis.plot(moments, means, **style(arm))
    axis.set(xlabel="seconds since the launch", ylabel="test accuracy of the plan chosen by then")


def style(arm: str) -> dict[str, Any]:
    """How a curve looks."""
    return {"color": SHOWN[arm], "lw": 2.2 if arm == "F" else 1.4, "label": NAMES[arm]}


def best_at(row: dict[str, Any], t: float) -> float:
    """The best of a run by a time."""
    return max((value for seconds, _, value, *_ in row["better"] if seconds <= t), default=0.0)
