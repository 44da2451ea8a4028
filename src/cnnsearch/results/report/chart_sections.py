"""The sections of a report that show charts: history, curves, cost, importance, slices, timeline, score and cost."""

from typing import Any

from cnnsearch.results.report.facts import Facts, duration
from cnnsearch.results.report.importance import MIN_TRIALS, MOST, SHUFFLES, Importance
from cnnsearch.results.report.page import Chart, Section, Table, table
from cnnsearch.results.report.payload import CURVES, LINES, TRIALS


def history(known: Facts) -> Section:
    """The scores in the order of the trials, over time or over epochs."""
    title = "Search history"
    if not any(record.score is not None for record in known.trials if record.state in ("complete", "pruned")):
        return Section("history", title, ("No trial completed an epoch.",))
    alt = f"{known.metric} of every trial in the order of the trials, with the best so far"
    if known.best is not None:
        alt += f". The best, trial {known.best.number}, has {known.score_text(known.best.score)}"
    caption = "Triangles: scores too bad for the axis. Pruned trials: their scores when they were pruned."
    if known.means:
        caption += " Bars: means over new seeds with their 95% intervals."
    return Section("history", title, charts=(Chart("history", alt, caption + _thinned(known)),))


def curves(known: Facts) -> Section:
    """Learning curves of the trials, and of training and validation of the best one."""
    title = "Learning curves"
    if known.best is None or not known.best.history:
        return Section("curves", title, ("No complete trial has stored its epochs.",))
    trained = sum(bool(record.history) for record in known.trials)
    alt = f"{known.metric} of the trials over their epochs; the best trial, {known.best.number}, is highlighted"
    caption = (
        f"The curves of {trained} trials." if trained <= CURVES else f"The curves of {CURVES} of {trained} trials."
    )
    found = [Chart("curves", alt, f"{caption} Point at a curve to highlight its trial; click it to open the trial.")]
    for name in ("loss", "accuracy"):
        if name in known.best.history[0]:
            alt = f"{name} of trial {known.best.number} in training and validation"
            found.append(Chart(f"best-{name}", alt, f"{name.capitalize()} of trial {known.best.number}"))
    return Section("curves", title, charts=tuple(found))


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
    charts: tuple[Chart, ...] = ()
    if known.trials:
        alt = (
            "A timeline: when each trial started and ended, with its state; trials that ran at the same time are below"
        )
        caption = "Each bar is a trial. Trials that ran at the same time are in different rows. Click a bar to open it."
        charts = (Chart("timeline", alt + " each other", caption),)
    return Section("cost", "Time and epochs", tuple(text), charts, tables=tuple(tables))


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
        trials = f"{MOST} of the {count:,} complete trials, chosen at random"
    paragraphs = (
        f"{first} The bars are importances by functional ANOVA, as in Optuna, over the ranks of {trials}: the "
        "share of the variance that each hyperparameter explains. The red "
        f"mark is the largest importance in {SHUFFLES} shuffles of the ranks. One of {SHUFFLES + 1} hyperparameters "
        "exceeds its mark by chance.",
        "An importance does not say which value is better, nor by how much. It holds for the region that the search "
        "explored. Hyperparameters that only some trials have are left out.",
    )
    alt = "Importance of each hyperparameter, with its importance by chance in brackets: " + ", ".join(
        f"{row.name} {row.share:.2f} ({row.chance:.2f})" for row in rows[:6]
    )
    return Section("importance", title, paragraphs, (Chart("importance", alt),), tables=(_importance_table(rows),))


def _importance_table(rows: tuple[Importance, ...]) -> Table:
    cells = [(row.name, f"{row.share:.3f}", f"{row.chance:.3f}", "yes" if row.above_chance else "") for row in rows]
    return table(("hyperparameter", "importance", "by chance", "above chance"), cells, "All hyperparameters", True)


def slices(known: Facts) -> Section:
    """Scores against the value of a hyperparameter, and all trials over several hyperparameters."""
    title = "Score by hyperparameter"
    if not any(record.choices for record in known.complete):
        return Section("slices", title, ("No complete trial has hyperparameters with several values.",))
    text = (
        "Complete trials against one hyperparameter. A line is the median of a value. The search tries good values "
        "more often, so a trend may come from other hyperparameters that changed as well."
    )
    first = known.importances[0].name if known.importances else "a hyperparameter"
    caption = "Choose the hyperparameter above the chart." + _thinned(known)
    charts = [Chart("slices", f"{known.metric} against {first}", caption)]
    if _shared_names(known):
        charts.append(_parallel(known))
    return Section("slices", title, (text,), tuple(charts))


def _shared_names(known: Facts) -> set[str]:
    """The hyperparameters that all complete trials of the page have."""
    return set.intersection(
        *({name for name, value in record.choices.items() if value is not None} for record in known.complete[:TRIALS])
    )


def _parallel(known: Facts) -> Chart:
    """All trials over several hyperparameters."""
    count = len(known.complete)
    drawn = f"All {count:,}" if count <= LINES else f"{LINES:,} of {count:,}"
    alt = f"Parallel coordinates: each line is a trial with its hyperparameters and its {known.metric}"
    caption = (
        f"Each line is a trial. Drag along an axis to show only the trials with these values. {drawn} complete trials "
        "are drawn. Hyperparameters that only some complete trials have are left out."
    )
    return Chart("parallel", alt, caption)


def tradeoff(known: Facts) -> Section:
    """Scores against latency if exports measured it, and against multiply-adds or parameters."""
    title, rows = "Score and cost", [row for row in known.rows if row["state"] == "complete"]
    measured = sum(bool(row["latency_1"]) for row in rows)
    text = [
        "The Pareto front: the trials that no other trial beats in both score and cost. The labels are trial numbers."
    ]
    if measured < 2:
        text.append(
            f"Exports measured the latency of {measured} of {len(rows)} complete trials. Multiply-adds are shown "
            "instead; latency is roughly proportional to them."
        )
    costs = {"latency_1": "milliseconds for one image", "macs": "multiply-adds per image", "params": "parameters"}
    usable = [key for key in costs if sum(bool(row[key]) for row in rows) > 1]
    charts = [
        Chart(f"tradeoff-{key}", f"{known.metric} against {costs[key]}, with the Pareto front", _thinned(known).strip())
        for key in usable[:2]
    ]
    return Section("tradeoff", title, tuple(text), tuple(charts))


def _thinned(known: Facts) -> str:
    """What a caption says if the page has only a part of the trials."""
    count = len(known.trials)
    return f" The first {TRIALS:,} of {count:,} trials of the leaderboard are drawn." if count > TRIALS else ""
