"""The sections of a report that show plots: history, cost, importance, slices, learning curves, score and cost."""

from functools import partial
from typing import Any

from cnnsearch.results.report import plots
from cnnsearch.results.report.drawing import POINTS
from cnnsearch.results.report.facts import Facts, duration
from cnnsearch.results.report.importance import MIN_TRIALS, MOST, SHUFFLES, Importance
from cnnsearch.results.report.page import Picture, Section, Table, plot, table
from cnnsearch.results.report.plots import Point

CURVES = 5
"""The number of trials whose learning curves are shown."""

SLICES = 4
"""The number of hyperparameters that scores are plotted against."""


def history(known: Facts) -> Section:
    """The scores in the order of the trials."""
    title = "Search history"
    if not any(record.score is not None for record in known.trials if record.state in ("complete", "pruned")):
        return Section("history", title, ("No trial completed an epoch.",))
    draw = partial(plots.history, records=known.trials, metric=known.metric, maximize=known.study.maximize)
    alt = f"{known.metric} of every trial in the order of the trials, with the best so far"
    caption = "Triangles: scores too bad for the axis. Pruned trials: their scores when they were pruned."
    caption += _thinned(len(known.trials))
    return Section("history", title, pictures=(plot(draw, alt, caption, size=(5.2, 3.2)),))


def cost(known: Facts) -> Section:
    """Time and epochs by state, saved by pruning, and lost to failures."""
    cost = known.cost
    rows: list[tuple[Any, ...]] = [
        (each.state, each.trials, each.epochs, duration(each.seconds)) for each in cost.states
    ]
    rows.append(("saved by pruning", "", cost.saved_epochs, duration(cost.saved_seconds)))
    tables = [table(("state", "trials", "epochs", "time"), rows)]
    text = [
        "Saved by pruning: the epochs that pruned trials did not train, at each trial's own seconds per epoch. This is "
        "an estimate. It is too high if trials may stop early by themselves. Time is the sum over trials; parallel "
        "trials count separately.",
    ]
    lost = [(f.kind, f.trials, duration(f.seconds), f.reason) for f in (*cost.failures, *cost.infeasible)]
    if lost:
        tables.append(table(("kind", "trials", "time lost", "the first reason"), lost, "Failed and infeasible trials"))
    else:
        text.append("No trial failed and none was infeasible.")
    pictures: tuple[Picture, ...] = ()
    if cost.seconds:
        shares = {
            "time": {each.state: each.seconds for each in cost.states} | {"saved": cost.saved_seconds},
            "epochs": {each.state: float(each.epochs) for each in cost.states} | {"saved": float(cost.saved_epochs)},
        }
        alt = "Shares of time and epochs in complete, pruned and failed trials, and saved by pruning"
        pictures = (plot(partial(plots.cost, rows=shares), alt, size=(5.2, 2.2)),)
    return Section("cost", "Time and epochs", tuple(text), pictures, tables=tuple(tables))


def importance(known: Facts) -> Section:
    """How much the scores depend on each hyperparameter."""
    title, rows = "Hyperparameter importance", known.importances
    if not rows:
        count = len(known.complete)
        text = f"{count} complete trials are too few to estimate importances; at least {MIN_TRIALS} are needed."
        return Section("importance", title, (text,))
    above = [row.name for row in rows if row.above_chance]
    first = f"Above chance: {', '.join(above)}." if above else "No hyperparameter is above chance."
    count = len(known.complete)
    trials = f"the {count} complete trials"
    if count > MOST:
        trials = f"{MOST} of the {count:,} complete trials, chosen by chance"
    paragraphs = (
        f"{first} The bars are importances by functional ANOVA (Optuna's fANOVA) over the ranks of {trials}: the "
        "share of the variance that each hyperparameter explains. The red "
        f"mark is the largest importance in {SHUFFLES} shuffles of the ranks. One of {SHUFFLES + 1} hyperparameters "
        "exceeds its mark by chance.",
        "An importance does not say which value is better, nor by how much. It holds for the region that the search "
        "explored. Hyperparameters that only some trials have are left out.",
    )
    alt = "Importance of each hyperparameter, with its importance by chance in brackets: " + ", ".join(
        f"{row.name} {row.share:.2f} ({row.chance:.2f})" for row in rows[:6]
    )
    shown = rows[:12]
    picture = plot(partial(plots.importance, rows=shown), alt, size=(4.7, 0.7 + 0.24 * len(shown)))
    return Section("importance", title, paragraphs, (picture,), tables=(_importance_table(rows),))


def _importance_table(rows: tuple[Importance, ...]) -> Table:
    cells = [(row.name, f"{row.share:.3f}", f"{row.chance:.3f}", "yes" if row.above_chance else "") for row in rows]
    return table(("hyperparameter", "importance", "by chance", "above chance"), cells, "All hyperparameters", True)


def slices(known: Facts) -> Section:
    """Scores against the most important hyperparameters, and the two most important against each other."""
    title, rows = "Score by hyperparameter", known.importances[:SLICES]
    if not rows:
        return Section("slices", title, ("Shown if there are enough complete trials to estimate importances.",))
    text = (
        f"Complete trials against the {len(rows)} most important hyperparameters. A line is the median of a value. The "
        "search tries good values more often, so a trend may come from other hyperparameters that changed as well."
    )
    pictures = [_slice(known, row) for row in rows]
    if len(rows) > 1:
        pictures.append(_pair(known, rows[0].name, rows[1].name))
    return Section("slices", title, (text,), tuple(pictures))


def _thinned(count: int) -> str:
    """What a caption says of a plot of so many trials."""
    return f" At most {POINTS:,} points of each kind are drawn, evenly spaced." if count > POINTS else ""


def _slice(known: Facts, row: Importance) -> Picture:
    values, scores = _values(known, row.name)
    same: Any = {"metric": known.metric, "maximize": known.study.maximize}
    draw = partial(plots.slices, name=row.name, values=values, scores=scores, **same)
    caption = "Importance above chance." if row.above_chance else "Importance not above chance."
    caption += _thinned(len(values))
    return plot(draw, f"{known.metric} against {row.name}", caption)


def _pair(known: Facts, one: str, other: str) -> Picture:
    both, scores = _values(known, one, other)
    same: Any = {"metric": known.metric, "maximize": known.study.maximize}
    draw = partial(plots.pair, names=(one, other), values=both, scores=scores, **same)
    caption = "The two most important hyperparameters; the ring marks the best trial." + _thinned(len(both))
    return plot(draw, f"{one} against {other}, coloured by {known.metric}", caption)


def _values(known: Facts, *names: str) -> tuple[list[Any], list[float]]:
    """The values and the scores of the complete trials that have these hyperparameters; of one name its plain values.

    In a large study importances are of some trials only, and others may not have the same hyperparameters.
    """
    having = [record for record in known.complete if all(name in record.params for name in names)]
    values = [tuple(record.params[name] for name in names) for record in having]
    return [value[0] for value in values] if len(names) == 1 else values, [record.score or 0.0 for record in having]


def curves(known: Facts) -> Section:
    """Learning curves of the best trials, and of training and validation of the very best."""
    metric, title = str(known.study.info["metric"]), "Learning curves"
    shown = [record for record in known.complete[:CURVES] if record.history]
    if not shown:
        return Section("curves", title, ("No complete trial has stored its epochs.",))
    lines = {f"trial {record.number}": [e.get(metric, float("nan")) for e in record.history] for record in shown}
    draw = partial(plots.curves, lines=lines, metric=known.metric, maximize=known.study.maximize)
    pictures = [plot(draw, f"{known.metric} of the best {len(shown)} trials over their epochs", "The best trials")]
    for name in ("loss", "accuracy"):
        own = {
            label: [epoch[key] for epoch in shown[0].history]
            for label, key in (("training", name), ("validation", f"val_{name}"))
            if all(key in epoch for epoch in shown[0].history)
        }
        if own:
            draw = partial(plots.curves, lines=own, metric=name, maximize=name == "accuracy")
            alt = f"{name} of trial {shown[0].number} in training and validation"
            pictures.append(plot(draw, alt, f"Trial {shown[0].number}"))
    return Section("curves", title, pictures=tuple(pictures))


def tradeoff(known: Facts) -> Section:
    """Scores against latency if exports measured it, and against multiply-adds or parameters."""
    title, rows = "Score and cost", [_with_milliseconds(row) for row in known.rows if row["state"] == "complete"]
    same: Any = {"metric": known.metric, "maximize": known.study.maximize}
    axes = {
        "milliseconds": "milliseconds for one image",
        "macs": "multiply-adds per image",
        "params": "parameters",
    }
    pictures = []
    for key, label in axes.items():
        points = [Point(row[key], known.mean_or_score(row["trial"]), row["trial"]) for row in rows if row[key]]
        if len(points) > 1:
            front = ", ".join(str(point.trial) for point in plots.pareto_front(points, known.study.maximize))
            alt = f"{known.metric} against {label}; on the Pareto front: trials {front}"
            draw = partial(plots.tradeoff, points=points, cost_name=label, **same)
            pictures.append(plot(draw, alt, _thinned(len(points)).strip()))
    measured = sum(bool(row["milliseconds"]) for row in rows)
    text = [
        "The Pareto front: the trials that no other trial beats in both score and cost. The labels are trial numbers."
    ]
    if measured < 2:
        text.append(
            f"Exports measured the latency of {measured} of {len(rows)} complete trials. Multiply-adds are shown "
            "instead; latency is roughly proportional to them."
        )
    return Section("tradeoff", title, tuple(text), tuple(pictures[:2]))


def _with_milliseconds(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the leaderboard with the time for one image in milliseconds, if an export measured it."""
    return {**row, "milliseconds": 1000 * row["latency_1"] if row["latency_1"] else None}
