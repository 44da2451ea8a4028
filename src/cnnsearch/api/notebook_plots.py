"""The pictures that a notebook shows of a study: the scores of its trials, and the curves of the best one."""

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnsearch.study.trial import Trial

COLOURS = {"complete": "#2b6cb0", "pruned": "#8795a8"}


def picture(draw: Callable[[Axes], None], alt: str) -> str:
    """What `draw` draws, as HTML."""
    buffer = io.BytesIO()
    # a dollar sign in a name does not begin a formula
    with matplotlib.rc_context({"axes.grid": True, "grid.alpha": 0.3, "font.size": 9, "text.parse_math": False}):
        figure = Figure(figsize=(4.7, 3.1), layout="constrained")
        draw(figure.subplots())
        figure.savefig(buffer, format="svg")
    return (
        f'<img src="data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}" '
        f'alt="{html.escape(alt)}" title="{html.escape(alt)}" '
        'style="display:inline-block;background:white;max-width:48%">'
    )


def history(axes: Axes, records: Sequence[Trial], metric: str, maximize: bool) -> None:
    """The scores of the trials in their order, and the best so far."""
    best: list[tuple[int, float]] = []
    scores = {
        state: [
            (record.number, record.score) for record in records if record.state == state and record.score is not None
        ]
        for state in COLOURS
    }
    for state, found in scores.items():
        if found:
            numbers, values = zip(*found, strict=True)
            axes.scatter(numbers, values, color=COLOURS[state], s=18, label=state)
    for number, score in scores["complete"]:
        if not best or (score > best[-1][1] if maximize else score < best[-1][1]):
            best.append((number, score))
    if best:
        best.append((scores["complete"][-1][0], best[-1][1]))
        numbers, values = zip(*best, strict=True)
        axes.step(numbers, values, where="post", color=COLOURS["complete"], alpha=0.5, label="best so far")
    _limit(axes, [score for _, score in scores["complete"] or scores["pruned"]], maximize)
    axes.set(xlabel="trial", ylabel=metric)
    axes.legend(loc="best")


def curves(axes: Axes, lines: Mapping[str, Sequence[float]], metric: str, maximize: bool) -> None:
    """A metric over the epochs, with one line for each entry of `lines`."""
    for name, values in lines.items():
        axes.plot(range(1, len(values) + 1), values, marker="o", markersize=3, label=name)
    _limit(axes, [value for values in lines.values() for value in values], maximize)
    axes.set(xlabel="epoch", ylabel=metric)
    axes.legend(loc="best")


def _limit(axes: Axes, scores: Sequence[float], maximize: bool) -> None:
    """End the axis four times as far from the best score as the median is: a very bad score would hide all others."""
    if not scores:
        return
    best, worst = (max(scores), min(scores)) if maximize else (min(scores), max(scores))
    end = best + 4 * (median(scores) - best)
    if best != end and abs(worst - best) > abs(end - best):
        axes.set_ylim(*((end, None) if maximize else (None, end)))
