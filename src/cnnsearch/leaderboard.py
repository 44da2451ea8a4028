"""A study as ranked rows: a table for the terminal, CSV, JSON or Markdown."""

import csv
import io
import json
import math
from typing import Any

from cnnsearch.progress import main_choices
from cnnsearch.record import COUNTED, Record
from cnnsearch.study import Study

COLUMNS = (
    "rank",
    "trial",
    "state",
    "score",
    "best_epoch",
    "epochs",
    "seconds",
    "params",
    "macs",
    "origin",
    "choices",
    "reason",
)

SHOWN = (*COUNTED, "refused")

Row = dict[str, Any]


def ranked(study: Study) -> list[Record]:
    """Complete trials by score, then pruned ones by score, then the failed and the refused."""
    sign = 1 if study.maximize else -1

    def place(record: Record) -> tuple[int, float, int]:
        score = record.score if record.score is not None else -sign * math.inf
        return SHOWN.index(record.state), -sign * score, record.number

    return sorted((record for record in study.records() if record.state in SHOWN), key=place)


def rows(study: Study, top: int = 0, choices: int = 99) -> list[Row]:
    """One dict of COLUMNS a trial, the first `top` alone if that is not 0; only complete trials have a rank.

    `choices` is how many of a trial's choices are named.
    """
    default = study.info.get("default", {})
    records = ranked(study)
    return [_row(record, place, default, choices) for place, record in enumerate(records[: top or None], 1)]


def _row(record: Record, place: int, default: dict[str, Any], most: int) -> Row:
    return {
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


def to_markdown(board: list[Row]) -> str:
    """The rows as a Markdown table; a column that is empty throughout is left out."""
    columns = _used(board)
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    for row in board:
        cells = (_cell(column, row[column]).replace("|", "\\|") for column in columns)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def to_table(board: list[Row], title: str) -> Any:
    """The rows as a rich table."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in _used(board):
        numeric = column not in ("state", "origin", "choices", "reason")
        folds = column in ("choices", "reason")
        table.add_column(
            column,
            justify="right" if numeric else "left",
            no_wrap=not folds,
            overflow="fold" if folds else "ellipsis",
        )
    for row in board:
        style = {"complete": "", "pruned": "dim"}.get(row["state"], "red")
        table.add_row(*(_cell(column, row[column]) for column in _used(board)), style=style)
    return table


FORMATS = {"csv": to_csv, "json": to_json, "md": to_markdown}


def _used(board: list[Row]) -> list[str]:
    return [column for column in COLUMNS if not board or any(row[column] not in (None, "") for row in board)]


def _cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column == "score":
        return f"{value:.4f}"
    if column in ("params", "macs"):
        return f"{value:,}"
    return str(value)
