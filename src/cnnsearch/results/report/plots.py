"""The plots of a report; each function draws on the axes that it gets."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cnnsearch.results.report.drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LINES,
    ORANGE,
    RED,
    label,
    log_scale,
    positions,
    reach,
    scatter,
    short,
    spread,
    thinned,
)
from cnnsearch.results.report.drawing import scores as score_axis
from cnnsearch.results.report.importance import Importance
from cnnsearch.spaces.prior import ORIGIN as PRIOR
from cnnsearch.study.trial import Trial

NO_RECIPE = ("sampler", "default", PRIOR)
"""Beginnings of the origins of trials that are no recipe."""


class Point(NamedTuple):
    """A trial at a cost `x` (milliseconds, multiply-adds) with its score."""

    x: float
    score: float
    trial: int


def history(axes: Axes, records: Sequence[Trial], metric: str, maximize: bool) -> None:
    """The score of every trial in the order of the trials, and the best score so far."""
    trained = [(r, r.score) for r in records if r.score is not None and r.state in ("complete", "pruned")]
    complete = [(r, score) for r, score in trained if r.state == "complete"]
    far = reach([score for _, score in complete or trained], maximize)
    kinds = (
        ("pruned", "o", GREY, [(r, s) for r, s in trained if r.state == "pruned"]),
        ("complete", "o", BLUE, [(r, s) for r, s in complete if r.origin == "sampler"]),
        ("default point", "s", GREEN, [(r, s) for r, s in complete if r.origin == "default"]),
        ("prior", "P", BLUE, [(r, s) for r, s in complete if r.origin.startswith(PRIOR)]),
        ("recipe", "D", ORANGE, [(r, s) for r, s in complete if not r.origin.startswith(NO_RECIPE)]),
    )
    for name, marker, colour, own in kinds:
        scatter(axes, [r.number for r, _ in own], [score for _, score in own], far, colour, marker, name)
    failed = thinned([record.number for record in records if record.state == "failed"])
    if failed:
        places = axes.get_xaxis_transform()
        axes.scatter(failed, [0.03] * len(failed), marker="x", color=RED, s=25, transform=places, label="failed")
    numbers, so_far = _best_so_far([(r.number, score) for r, score in complete], maximize)
    axes.step(numbers, so_far, where="post", color=BLUE, alpha=0.5, label="best so far")
    axes.set(xlabel="trial")
    score_axis(axes, metric)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)


def _best_so_far(scored: Sequence[tuple[int, float]], maximize: bool) -> tuple[list[int], list[float]]:
    """The trials that were better than all before, and the last one, with the best score at that moment."""
    found: list[tuple[int, float]] = []
    for number, score in scored:
        if not found or (score > found[-1][1] if maximize else score < found[-1][1]):
            found.append((number, score))
    ends = [*found, (scored[-1][0], found[-1][1])] if found else []
    return [number for number, _ in ends], [score for _, score in ends]


def cost(axes: Axes, rows: dict[str, dict[str, float]]) -> None:
    """A bar for each row (time, epochs): the share of each state, and the share that pruning saved."""
    colours = {"complete": BLUE, "pruned": GREY, "failed": RED, "saved": "none"}
    for place, shares in enumerate(rows.values()):
        whole, left = sum(shares.values()) or 1.0, 0.0
        for name, value in shares.items():
            width = 100 * value / whole
            look: Any = {"hatch": "////", "edgecolor": GREEN} if name == "saved" else {}
            axes.barh(place, width, left=left, height=0.5, color=colours[name], label="" if place else name, **look)
            if width > 9:
                ink = INK if name == "saved" else "white"
                backing = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if name == "saved" else None
                middle = left + width / 2
                axes.text(middle, place, f"{width:.0f}%", ha="center", va="center", color=ink, bbox=backing)
            left += width
    axes.set(yticks=range(len(rows)), yticklabels=list(rows), xlabel="% of the cost without pruning")
    axes.set(ylim=(len(rows) - 0.5, -1.0), xlim=(0, 100))
    axes.grid(axis="y", visible=False)
    axes.legend(loc="upper center", ncols=4)


def importance(axes: Axes, rows: Sequence[Importance]) -> None:
    """A bar for each share, the first at the top; the red mark is the share by chance."""
    places = range(len(rows))
    axes.barh(
        places, [row.share for row in rows], color=[BLUE if row.above_chance else GREY for row in rows], height=0.6
    )
    axes.scatter([row.chance for row in rows], places, marker="|", color=RED, s=70, label="by chance")
    axes.set(yticks=places, yticklabels=[short(row.name) for row in rows], xlabel="share of the variance")
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.legend(loc="lower right")


def slices(axes: Axes, name: str, values: Sequence[Any], scores: Sequence[float], metric: str, maximize: bool) -> None:
    """Scores against the values of one hyperparameter; a line marks the median of each labelled value."""
    places, ticks = positions(values)
    far = reach(scores, maximize)
    scatter(axes, spread(places, ticks), scores, far)
    for place in range(len(ticks)):
        middle = median(score for at, score in zip(places, scores, strict=True) if at == place)
        if not far.beyond(middle):
            axes.hlines(middle, place - 0.3, place + 0.3, color=ORANGE, linewidth=2)
    label(axes, "x", name, places, ticks)
    score_axis(axes, metric)


def pair(
    axes: Axes,
    names: tuple[str, str],
    values: Sequence[tuple[Any, Any]],
    scores: Sequence[float],
    metric: str,
    maximize: bool,
) -> None:
    """Two hyperparameters against each other. Colour is the score, and the best trial has a ring."""
    (across, ticks), (up, other) = (positions([value[axis] for value in values]) for axis in (0, 1))
    end = reach(scores, maximize).end
    low, high = (end, None) if maximize else (None, end)
    x, y = spread(across, ticks), spread(up, other, seed=1)
    shown = thinned(range(len(scores)))
    points = axes.scatter(
        [x[place] for place in shown],
        [y[place] for place in shown],
        c=[scores[place] for place in shown],
        cmap="viridis" if maximize else "viridis_r",
        s=38,
        vmin=low,
        vmax=high,
    )
    best = scores.index(max(scores) if maximize else min(scores))
    axes.scatter([x[best]], [y[best]], s=110, facecolors="none", edgecolors=RED, linewidths=1.5)
    label(axes, "x", names[0], across, ticks)
    label(axes, "y", names[1], up, other)
    extend = "neither" if end is None else "min" if maximize else "max"
    figure: Any = axes.figure
    bar = figure.colorbar(points, ax=axes, extend=extend)
    bar.outline.set_visible(False)
    score_axis(bar.ax, metric)


def curves(axes: Axes, lines: Mapping[str, Sequence[float]], metric: str, maximize: bool) -> None:
    """A metric over the epochs, with one line for each entry of `lines`."""
    for (name, values), colour in zip(lines.items(), LINES, strict=False):
        axes.plot(range(1, len(values) + 1), values, marker="o", markersize=3, color=colour, label=name)
    every = [value for values in lines.values() for value in values if math.isfinite(value)]
    end = reach(every, maximize).end if every else None
    axes.set_ylim(*((end, None) if maximize else (None, end)))
    axes.set(xlabel="epoch")
    score_axis(axes, metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="best")


def tradeoff(axes: Axes, points: Sequence[Point], cost_name: str, metric: str, maximize: bool) -> None:
    """Scores against a cost on a logarithmic axis, and the Pareto front with the numbers of its trials."""
    best, far = pareto_front(points, maximize), reach([point.score for point in points], maximize)
    scatter(axes, [point.x for point in points], [point.score for point in points], far, GREY)
    seen = [point for point in best if not far.beyond(point.score)]
    axes.plot(
        [point.x for point in seen], [point.score for point in seen], marker="o", color=BLUE, label="Pareto front"
    )
    for point in seen:
        axes.annotate(str(point.trial), (point.x, point.score), (-3, 5), textcoords="offset points", ha="right")
    log_scale(axes, "x")
    axes.set(xlabel=cost_name)
    score_axis(axes, metric)
    axes.legend(loc="lower right" if maximize else "upper right")


def pareto_front(points: Sequence[Point], maximize: bool) -> list[Point]:
    """The points that no other point beats in both cost and score, the cheapest first."""
    sign = 1 if maximize else -1
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.x, -sign * point.score)):
        if not kept or sign * point.score > sign * kept[-1].score:
            kept.append(point)
    return kept
