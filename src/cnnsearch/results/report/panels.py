"""The parts of a report that are plots: the search, its cost, what mattered, learning curves, cost against score."""

from functools import partial
from typing import Any

from cnnsearch.results.report import plots
from cnnsearch.results.report.facts import Facts, duration
from cnnsearch.results.report.importance import LEAST, SHUFFLES, Importance
from cnnsearch.results.report.page import Picture, Section, plot, table
from cnnsearch.results.report.plots import Point

CURVES = 5
"""Trials whose learning curves are shown."""

SLICES = 4
"""Choices that scores are shown against."""


def history(known: Facts) -> Section:
    """Scores in the order of the trials."""
    title = "How the search went"
    if not any(record.score is not None for record in known.records if record.state in ("complete", "pruned")):
        return Section("history", title, ("No trial ended an epoch.",))
    draw = partial(plots.history, records=known.records, metric=known.metric, maximize=known.study.maximize)
    alt = f"{known.metric} of every trial in the order of the trials, with the best so far"
    caption = "Triangles: too poor for the axis. Pruned trials: what they had reached when they were stopped."
    return Section("history", title, pictures=(plot(draw, alt, caption, size=(5.2, 3.2)),))


def cost(known: Facts) -> Section:
    """Time and epochs by state, saved by pruning, lost to failures."""
    spent = known.spent
    rows: list[tuple[Any, ...]] = [
        (part.state, part.trials, part.epochs, duration(part.seconds)) for part in spent.parts
    ]
    rows.append(("saved by pruning", "", spent.saved_epochs, duration(spent.saved_seconds)))
    tables = [table(("state", "trials", "epochs", "time"), rows)]
    shares = {
        "time": {part.state: part.seconds for part in spent.parts} | {"saved": spent.saved_seconds},
        "epochs": {part.state: float(part.epochs) for part in spent.parts} | {"saved": float(spent.saved_epochs)},
    }
    words = [
        "Saved by pruning: for every pruned trial the epochs that it had left of its full length, at that trial's own "
        "seconds an epoch. It is an estimate and rather high where trials may stop early by themselves. Time is added "
        "up over trials; those side by side count each.",
    ]
    lost = [(f.kind, f.trials, duration(f.seconds), f.reason) for f in (*spent.failures, *spent.refused)]
    if lost:
        tables.append(
            table(("kind", "trials", "time lost", "the first reason"), lost, "Failed, and refused beforehand")
        )
    else:
        words.append("No trial failed and none was refused.")
    pictures: tuple[Picture, ...] = ()
    if spent.seconds:
        alt = "Shares of time and epochs in complete, pruned and failed trials, and saved by pruning"
        pictures = (plot(partial(plots.spent, rows=shares), alt, size=(5.2, 2.2)),)
    return Section("cost", "Time and epochs", tuple(words), pictures, tables=tuple(tables))


def importance(known: Facts) -> Section:
    """Which choices the scores hang on."""
    title, rows = "What mattered", known.importances
    if not rows:
        few = f"{len(known.complete)} complete trials are too few to tell what mattered; {LEAST} are the least."
        return Section("importance", title, (few,))
    clear = [row.name for row in rows if row.clear]
    said = f"Beyond chance: {', '.join(clear)}." if clear else "No choice stands out beyond chance."
    words = (
        f"{said} The bars are importances by functional ANOVA (Optuna's fANOVA) over the ranks of the "
        f"{len(known.complete)} complete trials: how much of their differences goes with each choice. "
        f"The mark is the most that it had in {SHUFFLES} shuffles of the ranks; by chance alone one choice in "
        f"{SHUFFLES + 1} passes its mark.",
        "Importances are no effects: they say neither which value is better nor by how much, and they hold where the "
        "search looked. Choices that only some trials make are left out.",
    )
    alt = "Importance of each choice beside what chance reaches: " + ", ".join(
        f"{row.name} {row.share:.2f} ({row.chance:.2f})" for row in rows[:6]
    )
    shown = rows[:12]
    picture = plot(partial(plots.importance, rows=shown), alt, size=(4.7, 0.7 + 0.24 * len(shown)))
    numbers = [(row.name, f"{row.share:.3f}", f"{row.chance:.3f}", "yes" if row.clear else "") for row in rows]
    header = ("choice", "share", "by chance", "beyond chance")
    return Section("importance", title, words, (picture,), tables=(table(header, numbers, "All choices", True),))


def slices(known: Facts) -> Section:
    """Scores against the most important choices, and the two most important against each other."""
    title, rows = "Score against choices", known.importances[:SLICES]
    if not rows:
        return Section("slices", title, ("Shown when there are enough complete trials to say what mattered.",))
    words = (
        f"Complete trials against the {len(rows)} choices that head the list above. A line is a value's median. The "
        "search tries more of what did well, so a trend may be due to other choices that came with it."
    )
    pictures = [_slice(known, row) for row in rows]
    if len(rows) > 1:
        pictures.append(_pair(known, rows[0].name, rows[1].name))
    return Section("slices", title, (words,), tuple(pictures))


def _slice(known: Facts, row: Importance) -> Picture:
    values, scores = _values(known, row.name), [record.score or 0.0 for record in known.complete]
    same: Any = {"metric": known.metric, "maximize": known.study.maximize}
    draw = partial(plots.slices, name=row.name, values=values, scores=scores, **same)
    caption = "Beyond chance." if row.clear else "Within what chance reaches."
    return plot(draw, f"{known.metric} against {row.name}", caption)


def _pair(known: Facts, one: str, other: str) -> Picture:
    both = list(zip(_values(known, one), _values(known, other), strict=True))
    scores = [record.score or 0.0 for record in known.complete]
    same: Any = {"metric": known.metric, "maximize": known.study.maximize}
    draw = partial(plots.pair, names=(one, other), values=both, scores=scores, **same)
    return plot(
        draw, f"{one} against {other}, coloured by {known.metric}", "The first two together; the ring is the best."
    )


def _values(known: Facts, name: str) -> list[Any]:
    return [record.params[name] for record in known.complete]


def curves(known: Facts) -> Section:
    """Learning curves of the best trials, and training beside validation of the very best."""
    metric, title = str(known.study.info["metric"]), "Learning curves"
    shown = [record for record in known.complete[:CURVES] if record.history]
    if not shown:
        return Section("curves", title, ("No complete trial left its epochs.",))
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
    """Scores against latency where exports measured it, and against multiply-adds or parameters."""
    title, rows = "Cost against score", [with_milliseconds(row) for row in known.rows if row["state"] == "complete"]
    maximize = known.study.maximize
    axes = {
        "milliseconds": "milliseconds for one image",
        "macs": "multiply-adds an image",
        "params": "parameters",
    }
    pictures = []
    for key, label in axes.items():
        points = [Point(row[key], known.reached(row["trial"]), row["trial"]) for row in rows if row[key]]
        if len(points) > 1:
            draw = partial(
                plots.tradeoff, points=points, cost=label, metric=known.metric, maximize=known.study.maximize
            )
            front = ", ".join(str(point.trial) for point in plots.front(points, maximize))
            pictures.append(plot(draw, f"{known.metric} against {label}; on the front: trials {front}"))
    measured = sum(bool(row["milliseconds"]) for row in rows)
    words = ["The Pareto front: trials that no other beats in both; their numbers stand beside them."]
    if measured < 2:
        words.append(
            f"Latency was measured for {measured} of {len(rows)} complete trials, by their exports; multiply-adds "
            "stand in for it, and go with it roughly."
        )
    return Section("tradeoff", title, tuple(words), tuple(pictures[:2]))


def with_milliseconds(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the leaderboard with the time for one image in milliseconds, where an export measured it."""
    return {**row, "milliseconds": 1000 * row["latency_1"] if row["latency_1"] else None}
