"""What all plots of a report share: their style, axes without outliers, and positions of values on an axis."""

import io
import random
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

INK, BLUE, ORANGE, GREEN, RED, GREY = "#1f2933", "#2b6cb0", "#c05621", "#2f855a", "#c53030", "#8795a8"
LINES = (BLUE, ORANGE, GREEN, "#805ad5", GREY)

STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.alpha": 0.3,
    "hatch.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.framealpha": 0.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "cnnsearch",
    # a dollar sign in a name does not begin a formula
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}
SIZE = (4.7, 3.1)
"""Inches. On a phone the letters are then as large as the text around the plot."""

POINTS = 1000
"""A plot draws at most so many points of one kind."""

Draw = Callable[[Axes], None]

Item = TypeVar("Item")


def svg(draw: Draw, size: tuple[float, float] = SIZE) -> bytes:
    """What `draw` draws, as an SVG file with the same bytes each time."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return buffer.getvalue()


class Reach(NamedTuple):
    """The end of an axis of scores on the side of bad scores; `end` is None if every score fits."""

    end: float | None
    maximize: bool

    def beyond(self, score: float) -> bool:
        """Whether this score lies beyond the end."""
        return self.end is not None and (score < self.end if self.maximize else score > self.end)


def reach(scores: Sequence[float], maximize: bool) -> Reach:
    """The end is four times as far from the best score as the median is.

    Without it a few very bad trials would compress all others into a line.
    """
    best, worst = (max(scores), min(scores)) if maximize else (min(scores), max(scores))
    end = best + 4 * (median(scores) - best)
    return Reach(end if best != end and abs(worst - best) > abs(end - best) else None, maximize)


def thinned(items: Sequence[Item]) -> Sequence[Item]:
    """At most POINTS of the items, evenly spaced."""
    count = len(items)
    return items if count <= POINTS else [items[place * count // POINTS] for place in range(POINTS)]


def scatter(
    axes: Axes,
    x: Sequence[float],
    scores: Sequence[float],
    far: Reach,
    colour: str = BLUE,
    marker: str = "o",
    label: str = "",
) -> None:
    """Points, at most POINTS; those beyond the end of the axis are drawn at its end as open triangles."""
    points = thinned(list(zip(x, scores, strict=True)))
    inside = [point for point in points if not far.beyond(point[1])]
    outside = [a for a, b in points if far.beyond(b)]
    if inside:
        across, up = zip(*inside, strict=True)
        axes.scatter(across, up, marker=marker, color=colour, s=18, label=label or None)
    if outside:
        arrow = "v" if far.maximize else "^"
        ends = [far.end or 0.0] * len(outside)
        axes.scatter(outside, ends, marker=arrow, facecolors="none", edgecolors=colour, s=22, label=None)


def positions(values: Sequence[Any]) -> tuple[list[float], list[str]]:
    """The positions of values on an axis, and the labels of the positions.

    More than six different numbers are their own positions, without labels. All other values get one position each.
    """
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    kinds = set(values)
    if numeric and len(kinds) > 6:
        return [float(value) for value in values], []
    ordered = sorted(kinds) if numeric else sorted(kinds, key=str)
    return [float(ordered.index(value)) for value in values], [short(brief(value), 12) for value in ordered]


def spread(places: Sequence[float], ticks: Sequence[str], seed: int = 0) -> list[float]:
    """Labelled positions moved a little to the side, so that equal values stay visible."""
    chance = random.Random(seed)
    return [place + chance.uniform(-0.2, 0.2) if ticks else place for place in places]


def label(axes: Axes, which: str, name: str, places: Sequence[float], ticks: Sequence[str]) -> None:
    """Name the `x` or `y` axis and its values; a wide range of positive numbers gets a logarithmic scale."""
    axes.set(**{f"{which}label": short(name, 34)})
    if ticks:
        axes.set(**{f"{which}ticks": range(len(ticks)), f"{which}ticklabels": list(ticks)})
        if which == "x" and len(ticks) > 4:
            axes.tick_params(axis="x", labelrotation=30)
    elif min(places) > 0 and max(places) > 8 * min(places):
        log_scale(axes, which)
    else:
        getattr(axes, f"{which}axis").set_major_locator(MaxNLocator(5))


def log_scale(axes: Axes, which: str) -> None:
    """Make the `x` or `y` axis logarithmic, with ticks at 1, 2 and 5."""
    axes.set(**{f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, place: compact(value)))
    axis.set_minor_formatter(NullFormatter())


def scores(axes: Axes, metric: str, which: str = "y") -> None:
    """Name an axis of scores; accuracies are shown as percentages."""
    axes.set(**{f"{which}label": metric})
    if "accuracy" in metric:
        getattr(axes, f"{which}axis").set_major_formatter(PercentFormatter(1))


def compact(value: float) -> str:
    """`0.002`, `250`, `20k`, `1.5M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if unit == 'k' else size):g}{unit}"
    return f"{value:g}"


def brief(value: Any) -> str:
    """A value in few characters."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def short(text: str, most: int = 26) -> str:
    """`text` without its middle if it is longer than `most` characters."""
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[: most - 1 - half]}…{text[-half:]}"
