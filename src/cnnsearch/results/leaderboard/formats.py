"""The leaderboard as CSV, JSON and Markdown, and the files of a study's folder."""

import csv
import io
import json
from pathlib import Path

from cnnsearch.core.whole_file import replaced
from cnnsearch.results.leaderboard.ranked_rows import COLUMNS, Row, columns_of, rows
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.trial_source import End

TITLES = {
    "mean": "mean over seeds",
    "tie": "",
    "latency_1": "ms per image",
    "latency_64": "ms per 64",
    "bytes": "kB",
    "choices": "hyperparameters",
}
"""The titles of columns in tables for people, where they differ from the names in COLUMNS."""


def to_json(board: list[Row]) -> str:
    """The rows as a JSON array."""
    return json.dumps(board, indent=1)


def to_csv(board: list[Row]) -> str:
    """The rows as CSV with a header."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns_of(board), lineterminator="\n")
    writer.writeheader()
    writer.writerows(board)
    return buffer.getvalue()


def to_markdown(board: list[Row]) -> str:
    """The rows as a Markdown table without empty columns."""
    header, cells = text_cells(board)
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for row in cells:
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    return "\n".join(lines) + "\n"


FORMATS = {"csv": to_csv, "json": to_json, "md": to_markdown}


def write_files(study: Study) -> tuple[Path, ...]:
    """Write the whole leaderboard into the study's folder, as CSV and as Markdown; returns the paths."""
    board, files = rows(study), []
    for name, write in (("leaderboard.csv", to_csv), ("leaderboard.md", to_markdown)):
        path = study.folder / name
        with replaced(path) as partial:
            partial.write_text(write(board), "utf-8")
        files.append(path)
    return tuple(files)


class LeaderboardFiles(TunerCallback):
    """Writes the leaderboard's files when a search ends."""

    def on_study_end(self, study: Study, end: End) -> None:
        if any(record.state in COUNTED for record in study.trials()):
            write_files(study)


def text_cells(board: list[Row]) -> tuple[list[str], list[list[str]]]:
    """The header and the cells of a table for people, without empty columns."""
    columns = used_columns(board)
    return [TITLES.get(column) or column for column in columns], [[cell(c, row) for c in columns] for row in board]


def used_columns(board: list[Row]) -> list[str]:
    """The columns that some row has a value in; the interval is shown in the column `mean`."""
    shown = [column for column in columns_of(board) if column not in ("half", "low", "high")]
    return [column for column in shown if not board or any(row[column] not in (None, "") for row in board)]


def cell(column: str, row: Row) -> str:
    """The text of one cell; latencies in milliseconds, sizes in kB."""
    value = row[column]
    if value is None:
        return ""
    if column == "mean":
        return f"{value:.4f}" + (f" ({row['low']:.3f}-{row['high']:.3f})" if row["low"] is not None else "")
    if column == "score":
        return f"{value:.4f}"
    if column in ("params", "macs"):
        return f"{int(value):,}" if value == int(value) else f"{value:.6g}"
    if column in ("latency_1", "latency_64"):
        return f"{1000 * value:.2f}"
    if column == "bytes":
        return f"{value / 1000:,.0f}"
    return f"{value:.6g}" if isinstance(value, float) and column not in COLUMNS else str(value)
