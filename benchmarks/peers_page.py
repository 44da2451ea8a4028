"""docs/peers.md and its plot, from what benchmarks/peers.py measured."""

from pathlib import Path
from statistics import median
from typing import Any

from peers import MACHINE, OURS, PEERS, PILOT, interval, reached

DOCS = Path(__file__).parents[1] / "docs"
NAMES = {
    "A": "KerasTuner RandomSearch",
    "B": "KerasTuner Hyperband",
    "C": "KerasTuner BayesianOptimization",
    "D": "Optuna script: TPE, median pruner",
    "E": "one epoch, then the best three",
    "F": "cnnsearch as shipped",
    "G-fit": "cnnsearch with Keras' fit",
    "G-one-job": "cnnsearch, one worker",
    "G-median": "cnnsearch, median pruner",
    "G-halving": "cnnsearch, halving",
    "G-topk": "cnnsearch, top-k",
    "G-random": "cnnsearch, random sampler",
    "G-no-default": "cnnsearch without the default point",
}
COLOURS = ("#9aa0a6", "#c58af9", "#669df6", "#f6aea9", "#e8a33d", "#188038")
HEAD = """# Time to the same answer

Made by `python benchmarks/peers.py pilot`, `run` and `table`; how it is done is told at the top of that
file. Every arm has the same space, builder, split, backend and cores, and a fresh process; its time counts from the
launch. The target is fixed beforehand from other seeds. A ratio above 1 is in favour of cnnsearch: the other's time by
its own on the same seed. An arm that misses the target counts with all the time that it took, which flatters it.

Machine: {machine}. {trials} trials of at most 9 epochs an arm; Hyperband has no number of trials and ends by a limit of
time. cnnsearch has two workers of one thread, the others one process of two threads, so it holds twice the memory.
"""
TABLE = """
## {task}: {target:.4f} in validation

| arm | seeds | reached | seconds | epochs | ratio of seconds | 95% | ratio of epochs | best | MiB at trial 1, 10, 25 |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def write(measured: dict[str, list[dict[str, Any]]]) -> None:
    """Write the page, and the plot of the best so far against time."""
    text, trials = "", 0
    for task, rows in measured.items():
        target = median(row["best"] for row in rows if row["arm"] == "A" and row["seed"] in PILOT)
        arms = {
            arm: {r["seed"]: r for r in rows if r["arm"] == arm and r["seed"] not in PILOT} for arm in (*PEERS, *OURS)
        }
        trials = rows[-1]["trials"]
        text += TABLE.format(task=task, target=target)
        text += "".join(line(arm, found, arms["F"], target) for arm, found in arms.items() if found)
    plot(measured)
    (DOCS / "peers.md").write_text(
        HEAD.format(machine=MACHINE, trials=trials) + text + "\n![The best so far against time](peers.png)\n"
    )


def line(arm: str, found: dict[int, Any], ours: dict[int, Any], target: float) -> str:
    """A row of a task's table."""
    got = {seed: reached(row, target) for seed, row in found.items()}
    pairs = [(got[seed], reached(ours[seed], target)) for seed in got if seed in ours]
    seconds, epochs = [a[0] / b[0] for a, b in pairs], [a[1] / b[1] for a, b in pairs]
    low, high = interval(seconds) if seconds else (0.0, 0.0)
    ratios = (
        ["", "", ""]
        if arm == "F" or not pairs
        else [f"{median(seconds):.2f}", f"{low:.2f} to {high:.2f}", f"{median(epochs):.2f}"]
    )
    held = [
        median(sizes)
        for mark in ("1", "10", "25")
        if (sizes := [r["memory_mib"][mark] for r in found.values() if mark in r["memory_mib"]])
    ]
    cells = [
        f"{arm[0]} {NAMES[arm]}",
        str(len(found)),
        f"{sum(hit for *_, hit in got.values())} of {len(got)}",
        f"{median(each[0] for each in got.values()):.1f}",
        f"{median(each[1] for each in got.values()):g}",
        *ratios,
        f"{median(row['best'] for row in found.values()):.4f}",
        ", ".join(f"{size:.0f}" for size in held),
    ]
    return f"| {' | '.join(cells)} |\n"


def plot(measured: dict[str, list[dict[str, Any]]]) -> None:
    """The median over seeds of the best so far, against seconds since the launch."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    figure, axes = plt.subplots(1, len(measured), figsize=(5 * len(measured), 3.6), squeeze=False)
    for axis, (task, rows) in zip(axes[0], measured.items(), strict=True):
        end = max(row["wall"] for row in rows if row["seed"] not in PILOT)
        times = np.linspace(0, end, 400)
        for arm, colour in zip((*PEERS, "F"), COLOURS, strict=True):
            runs = [row for row in rows if row["arm"] == arm and row["seed"] not in PILOT]
            if runs:
                curves = [[best_at(row, t) for t in times] for row in runs]
                axis.plot(
                    times, np.median(curves, axis=0), color=colour, lw=2.2 if arm == "F" else 1.4, label=NAMES[arm]
                )
        axis.set(title=task, xlabel="seconds since the launch", ylabel="best validation accuracy so far")
        goal = median(row["best"] for row in rows if row["arm"] == "A" and row["seed"] in PILOT)
        axis.axhline(goal, color="black", lw=0.6, ls=":")
        axis.set_ylim(goal - 0.06, min(1, goal + 0.02))
        axis.set_xscale("log")
        axis.set_xlim(left=5)
    axes[0][0].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(DOCS / "peers.png", dpi=110)


def best_at(row: dict[str, Any], t: float) -> float:
    """The best of a run by a time."""
    return max((value for seconds, _, value in row["better"] if seconds <= t), default=0.0)
