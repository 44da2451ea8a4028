"""A study as ranked rows: a table for the terminal, CSV, JSON or Markdown."""

import csv
import io
import json
import math
import operator
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import FAILURES, CnnsearchError, nearest
from cnnsearch.study.confirmation import Confirmed, Repeat, confirmed
from cnnsearch.study.ranking import ranked
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Record
from cnnsearch.tuning.progress import main_choices

COLUMNS = (
    "rank",
    "tie",
    "trial",
    "state",
    "mean",
    "half",
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
    "origin",
    "choices",
    "reason",
)
"""`mean` is the mean score over `n` fresh seeds, `half` half the width of its 95% interval; `score` is the first
training's, by which the trial was chosen. Latencies are seconds, of Keras' own format where it was exported."""

MEASURED = ("latency_1", "latency_64", "bytes")

Row = dict[str, Any]


def rows(study: Study, top: int = 0, choices: int = 99) -> list[Row]:
    """One dict of COLUMNS a trial, the first `top` alone if that is not 0; only complete trials have a rank.

    `choices` is how many of a trial's choices are named. Trials whose intervals overlap the first's are a tie with it;
    a trial is on the Pareto front (`pareto`) if none is both as good and as small, and better in one of the two.
    """
    records, found = ranked(study), confirmed(study)
    default = study.info.get("default", {})
    measured = study.facts("measured")
    repeats: dict[int, list[Repeat]] = defaultdict(list)
    for each in study.repeats():
        repeats[each["trial"]].append(Repeat(**each))
    board = [_row(record, place, default, choices) for place, record in enumerate(records, 1)]
    for row in board:
        row.update(_confirmation(found.get(row["trial"]), found.get(board[0]["trial"])))
        row["reason"] = row["reason"] or _unsteady(repeats.get(row["trial"], []))
        row.update(_measured(measured.get(str(row["trial"]))))
    _mark_front(board, study.maximize, study.costs)
    return board[: top or None]


def _row(record: Record, place: int, default: dict[str, Any], most: int) -> Row:
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
        "choices": main_choices(record, default, most),
        "reason": record.reason,
    }
    return {column: facts.get(column) for column in COLUMNS}


def _confirmation(found: Confirmed | None, first: Confirmed | None) -> Row:
    if found is None or first is None:
        return {}
    tie = found is not first and found.overlaps(first)
    return {"mean": found.mean, "half": found.half, "n": found.n, "tie": "=" if tie else None}


def _unsteady(repeats: list[Repeat]) -> str:
    """What went wrong on fresh seeds, if something did."""
    failed = [repeat for repeat in repeats if repeat.score is None]
    return f"{len(failed)} of {len(repeats)} fresh seeds failed: {failed[0].reason}" if failed else ""


def _measured(formats: dict[str, dict[str, float]] | None) -> Row:
    """Latency and size as Keras' own format, which all Keras models share; else of the first that was exported."""
    if not formats:
        return {}
    one = formats.get("keras") or next(iter(formats.values()))
    return {name: one[name] for name in MEASURED}


def _mark_front(board: list[Row], maximize: bool, costs: tuple[str, ...]) -> None:
    """Put `*` on the complete trials that no other beats in score and in the first cost of the search at once.

    Without a cost it is that of multiply-adds, or of parameters where those are not known.
    """
    trained = [row for row in board if row["state"] == "complete" and row["score"] is not None]
    cost = costs[0] if costs else "macs" if all(row["macs"] for row in trained) else "params"
    sign = 1 if maximize else -1

    def point(row: Row) -> tuple[float, float]:
        # first scores throughout: a mean beside scores that flatter would push the confirmed off the front
        return sign * row["score"], -(row[cost] or 0)

    front, smallest = set(), -math.inf
    for found in sorted({point(row) for row in trained}, reverse=True):
        if found[1] > smallest:
            front.add(found)
            smallest = found[1]
    for row in trained:
        row["pareto"] = "*" if point(row) in front else None


def chosen(board: list[Row], conditions: tuple[str, ...], sort: str, choices: dict[int, dict[str, Any]]) -> list[Row]:
    """The rows that meet every condition (`params<=50000`, `state=complete`, `filters/first=32`), in another order.

    `sort` is a column, `-` before it for the largest first, or nothing. `choices` are hyperparameters by trial.

    Raises:
        CnnsearchError: if a condition or a column cannot be understood.
    """
    for text in conditions:
        name, compare, wanted = _condition(text)
        known = _columns(choices)
        if name not in known:
            raise CnnsearchError(
                f"--where {text}: there is no column '{name}'.{nearest(name, known)} The columns are those of "
                "--format csv, and the hyperparameters."
            )
        board = [row for row in board if compare(_value(row, name, choices), wanted)]
    column = sort.removeprefix("-")
    known = _columns(choices)
    if column and column not in known:
        raise CnnsearchError(f"--sort {sort}: there is no column '{column}'.{nearest(column, known)}")
    if column:
        filled = [row for row in board if _value(row, column, choices) not in (None, "")]
        mixed = len({isinstance(_value(row, column, choices), str) for row in filled}) > 1
        filled.sort(key=lambda row: _sortable(_value(row, column, choices), mixed), reverse=sort.startswith("-"))
        board = filled + [row for row in board if _value(row, column, choices) in (None, "")]
    return board


def _columns(choices: dict[int, dict[str, Any]]) -> set[str]:
    return {*COLUMNS, *(name for values in choices.values() for name in values)}


def _sortable(value: Any, mixed: bool) -> Any:
    return str(value) if mixed or isinstance(value, list | tuple) else value


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


def _condition(text: str) -> tuple[str, Callable[[Any, Any], bool], str]:
    found = re.fullmatch(r"([^<>=!]+)(<=|>=|!=|=|<|>)(.*)", text.strip())
    if not found:
        raise CnnsearchError(f"--where '{text}' is no condition; expected such as params<=50000 or state=complete.")
    name, sign, wanted = (part.strip() for part in found.groups())
    if sign in ("<", "<=", ">", ">=") and not _is_number(wanted):
        raise CnnsearchError(f"--where '{text}': '{wanted}' is no number, so nothing is above or below it.")

    def compare(value: Any, wanted: str) -> bool:
        if value is None:
            return False
        if wanted == "failed" and value in FAILURES:
            return COMPARISONS[sign](0, 0)
        try:
            return COMPARISONS[sign](float(value), float(wanted))
        except (TypeError, ValueError):
            return COMPARISONS[sign](str(value), wanted)

    return name, compare, wanted


def _is_number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False


def _value(row: Row, name: str, choices: dict[int, dict[str, Any]]) -> Any:
    return row[name] if name in row else choices.get(row["trial"], {}).get(name)


def to_json(board: list[Row]) -> str:
    """The rows as a JSON array."""
    return json.dumps(board, indent=1)


def to_csv(board: list[Row]) -> str:
    """The rows as CSV with a header."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(board)
    return buffer.getvalue()


def write_files(study: Study) -> tuple[Path, ...]:
    """Write the whole leaderboard into the study's folder, as CSV and as Markdown; gives back the paths."""
    board, files = rows(study), []
    for name, write in (("leaderboard.csv", to_csv), ("leaderboard.md", to_markdown)):
        path = study.folder / name
        path.write_text(write(board), "utf-8")
        files.append(path)
    return tuple(files)


def texts(board: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and cells as a person reads them; a column that is empty throughout is left out."""
    columns = _used(board)
    return [TITLES.get(column) or column for column in columns], [[_cell(c, row) for c in columns] for row in board]


def to_markdown(board: list[Row]) -> str:
    """The rows as a Markdown table; a column that is empty throughout is left out."""
    header, rows = texts(board)
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for row in rows:
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    return "\n".join(lines) + "\n"


def to_table(board: list[Row], title: str, width: int = 200) -> Any:
    """The rows as a rich table; where a line has too few letters, the columns that matter least are left out."""
    from rich.table import Table

    columns = _fitting(board, width)

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        folds = column in ("choices", "reason")
        table.add_column(
            TITLES.get(column, column),
            justify="left" if column in WORDS else "right",
            no_wrap=not folds,
            overflow="fold" if folds else "ellipsis",
        )
    for row in board:
        style = {"complete": "", "pruned": "dim"}.get(row["state"], "red")
        table.add_row(*(_cell(column, row) for column in columns), style=style)
    return table


FORMATS = {"csv": to_csv, "json": to_json, "md": to_markdown}
WORDS = ("state", "origin", "choices", "reason", "tie", "pareto")
TITLES = {"mean": "mean of n", "tie": "", "pareto": "front", "latency_1": "ms for 1 (Keras)"}
TITLES |= {"latency_64": "ms for 64", "bytes": "kB"}
"""What the columns are called where a person reads them."""


LEAST = ("bytes", "latency_64", "latency_1", "best_epoch", "seconds", "macs", "origin", "epochs", "params", "pareto")
"""Columns that a narrow terminal goes without, the first first; every other format has them."""
FOLDED = 28
"""Letters that a column which goes over several lines needs at least."""


def _fitting(board: list[Row], width: int) -> list[str]:
    columns = _used(board)

    def wide(column: str) -> int:
        cells = [TITLES.get(column, column), *(_cell(column, row) for row in board)]
        return FOLDED if column in ("choices", "reason") else max(map(len, cells))

    for column in LEAST:
        if sum(wide(each) + 2 for each in columns) <= width:
            break
        columns = [each for each in columns if each != column]
    return columns


def caption(board: list[Row]) -> str:
    """What the marks in a table mean, and what failed, in a line or nothing."""
    marks = []
    if any(row["mean"] is not None for row in board):
        marks.append("mean: over n fresh seeds, ± half its 95% interval; score: of the first training")
    if any(row["tie"] for row in board):
        marks.append("=: not told apart from the first")
    if any(row["pareto"] for row in board):
        marks.append("*: none is both better, by score, and smaller")
    failed = Counter(row["state"] for row in board if row["state"] in FAILURES)
    if failed:
        marks.append("failed: " + ", ".join(f"{number} {kind}" for kind, number in failed.items()))
    return "; ".join(marks)


def _used(board: list[Row]) -> list[str]:
    shown = [column for column in COLUMNS if column != "half"]
    return [column for column in shown if not board or any(row[column] not in (None, "") for row in board)]


def _cell(column: str, row: Row) -> str:
    value = row[column]
    if value is None:
        return ""
    if column == "mean":
        return f"{value:.4f}" + (f" ± {row['half']:.4f}" if row["half"] is not None else "")
    if column == "score":
        return f"{value:.4f}"
    if column in ("params", "macs"):
        return f"{value:,}"
    if column.startswith("latency"):
        return f"{1000 * value:.2f}"
    if column == "bytes":
        return f"{value / 1000:,.0f}"
    return str(value)
