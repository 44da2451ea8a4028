"""The rows of the leaderboard: rank, scores, intervals, costs and the Pareto front of each trial."""

import math
from collections import defaultdict
from typing import Any

from cnnsearch.study.confirmation import Confirmed, Repeat, confirmed, read
from cnnsearch.study.ranking import ranked
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.progress import main_choices

COLUMNS = (
    "rank",
    "tie",
    "trial",
    "state",
    "mean",
    "half",
    "low",
    "high",
    "n",
    "score",
    "best_epoch",
    "epochs",
    "seconds",
    "params",
    "macs",
    "pareto",
    "latency_1",
    "latency_64",
    "bytes",
    "views",
    "origin",
    "choices",
    "reason",
)
"""`mean` is the mean score over `n` new seeds. `low` and `high` are the ends of the 95% interval of the score on new
images, `half` is half its width. `score` is the search score: the score of the training that the trial was chosen by.
Latencies are in seconds, measured for the Keras format when the trial was exported. `views` are the test-time views
that an exported model of the trial averages."""

MEASURED = ("latency_1", "latency_64", "bytes")

Row = dict[str, Any]


def columns_of(board: list[Row]) -> list[str]:
    """The columns of rows: COLUMNS, with the further values of an objective after `score`."""
    return list(board[0]) if board else list(COLUMNS)


def rows(study: Study, top: int = 0, choices: int = 99) -> list[Row]:
    """One dict with the keys COLUMNS for each trial; only complete trials have a rank.

    A trial is a tie (`tie`) if it cannot be told from the first trial. It is on the Pareto front (`pareto`) if
    no other trial is at least as good and at least as small, and better in one of both. If an objective returns several
    values, `score` is the first, the others have columns of their own, and the front is that of all values.

    Args:
        top: return only this many rows; 0 returns all.
        choices: name at most this many hyperparameters of a trial.
    """
    records, means = ranked(study), confirmed(study)
    default = study.info.get("default", {})
    measured, views = study.facts("measured"), _views(study)
    repeats: dict[int, list[Repeat]] = defaultdict(list)
    for each in study.repeats():
        repeats[each["trial"]].append(read(each))
    board = [
        _with_values(_row(record, place, default, choices), record, study.more)
        for place, record in enumerate(records, 1)
    ]
    for row in board:
        row.update(_mean_over_seeds(means.get(row["trial"]), means.get(board[0]["trial"])))
        row["reason"] = row["reason"] or _failed_seeds(repeats.get(row["trial"], []))
        row.update(_measured(measured.get(str(row["trial"]))))
        row["views"] = views.get(row["trial"])
    if study.more:
        _mark_front_of_values(board, {"score": study.maximize, **_columns(study.more)})
    else:
        _mark_pareto_front(board, study.maximize, study.costs)
    return board[: top or None]


def _row(record: Trial, place: int, default: dict[str, Any], max_choices: int) -> Row:
    facts = {
        "rank": place if record.state == "complete" else None,
        "trial": record.number,
        "state": record.failure or record.state,
        "score": record.score,
        "best_epoch": record.best_epoch or None,
        "epochs": record.epochs,
        "seconds": round(record.seconds, 1),
        "params": record.weights or None,
        "macs": record.macs or None,
        "origin": record.origin,
        "choices": main_choices(record, default, max_choices),
        "reason": record.reason,
    }
    return {column: facts.get(column) for column in COLUMNS}


def _columns(more: dict[str, bool]) -> dict[str, bool]:
    """The columns of further values. `params` and `macs` are columns already."""
    taken = set(COLUMNS) - {"params", "macs"}
    return {f"value {name}" if name in taken else name: larger for name, larger in more.items()}


def _with_values(row: Row, record: Trial, more: dict[str, bool]) -> Row:
    """A row with the further values of an objective, after `score`."""
    complete = record.state == "complete"
    columns = dict(zip(_columns(more), more, strict=True))
    values = {column: record.history[-1].get(name) if complete else None for column, name in columns.items()}
    found: Row = {}
    for column, value in row.items():
        found[column] = values.pop(column, value)
        if column == "score":
            found |= {name: values.pop(name) for name in list(values) if name not in COLUMNS}
    return found


def _mean_over_seeds(found: Confirmed | None, first: Confirmed | None) -> Row:
    if found is None:
        return {}
    low, high = found.interval or (None, None)
    ends = {"half": found.half_width, "low": low, "high": high}
    return {"mean": found.mean, **ends, "n": found.n, "tie": "=" if first and found.trial in first.ties else None}


def _failed_seeds(repeats: list[Repeat]) -> str:
    """How many trainings with new seeds failed, and why the first failed; empty if none failed."""
    failed = [repeat for repeat in repeats if repeat.score is None]
    return f"{len(failed)} of {len(repeats)} new seeds failed: {failed[0].reason}" if failed else ""


def _measured(formats: dict[str, dict[str, float]] | None) -> Row:
    """Latency and size of the Keras format, which all Keras models share; else of the first exported format."""
    if not formats:
        return {}
    one = formats.get("keras") or next(iter(formats.values()))
    return {name: one[name] for name in MEASURED}


def _views(study: Study) -> dict[int, str]:
    """The test-time views of an exported model of each trial, the latest that has any."""
    averaged = [result for result in study.test_results() if result.get("views")]
    return {number: ",".join(result["views"]) for result in averaged for number in result["members"]}


def _mark_front_of_values(board: list[Row], columns: dict[str, bool]) -> None:
    """Put `*` on the complete trials that no other trial equals or beats in all columns, and beats in one.

    `columns`: whether a larger value of each is better.
    """
    points = {
        row["trial"]: tuple((1 if larger else -1) * row[column] for column, larger in columns.items())
        for row in board
        if row["state"] == "complete" and row["score"] is not None
    }
    front: list[tuple[float, ...]] = []
    for point in sorted(set(points.values()), reverse=True):
        # what beats it comes before it
        if not any(all(a >= b for a, b in zip(other, point, strict=True)) for other in front):
            front.append(point)
    for row in board:
        row["pareto"] = "*" if points.get(row["trial"]) in front else None


def _mark_pareto_front(board: list[Row], maximize: bool, costs: tuple[str, ...]) -> None:
    """Put `*` on the complete trials that no other trial beats in both the score and the cost.

    The cost is the first cost of the search. A search without costs uses multiply-adds, or parameters if the
    multiply-adds of some trial are unknown. Without any cost there is no front.
    """
    trained = [row for row in board if row["state"] == "complete" and row["score"] is not None]
    cost = costs[0] if costs else "macs" if all(row["macs"] for row in trained) else "params"
    if not any(row[cost] for row in trained):
        return
    sign = 1 if maximize else -1

    def point(row: Row) -> tuple[float, float]:
        # Only search scores: they are too high on average, so a mean over seeds beside them would lose unfairly.
        return sign * row["score"], -(row[cost] or 0)

    front, smallest = set(), -math.inf
    for found in sorted({point(row) for row in trained}, reverse=True):
        if found[1] > smallest:
            front.add(found)
            smallest = found[1]
    for row in trained:
        row["pareto"] = "*" if point(row) in front else None
