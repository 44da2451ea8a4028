"""The result of a comparison as a table: CSV, JSON, Markdown, and the cells for a terminal."""

import csv
import io
import json
from typing import Any, NamedTuple

COLUMNS = ("choice", "value", "against", "difference", "low", "high", "n", "how", "verdict")
SHOWN = ("hyperparameter", "value", "reference", "difference", "95% interval", "n", "method", "verdict")

Row = dict[str, Any]


class EffectTable(NamedTuple):
    """A title, one row of COLUMNS for each comparison, and notes on how reliable they are."""

    title: str
    rows: list[Row]
    notes: list[str]


def to_json(table: EffectTable) -> str:
    """The rows as a JSON array."""
    return json.dumps(table.rows, indent=1)


def to_csv(table: EffectTable) -> str:
    """The rows as CSV with a header."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.rows)
    return buffer.getvalue()


def to_markdown(table: EffectTable) -> str:
    """The rows as a Markdown table, with the notes."""
    lines = ["| " + " | ".join(SHOWN) + " |", "|" + " --- |" * len(SHOWN)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells(row)) + " |" for row in table.rows]
    return "\n".join([*lines, "", *table.notes]) + "\n"


FORMATS = {"csv": to_csv, "json": to_json, "md": to_markdown}


def cells(row: Row) -> list[str]:
    """The texts of a row, one for each of SHOWN."""
    interval = "" if row["low"] is None else f"{row['low']:+.4f} to {row['high']:+.4f}"
    named = {"hyperparameter": row["choice"], "reference": row["against"], "method": row["how"]}
    shown = {**row, **named, "difference": f"{row['difference']:+.4f}", "95% interval": interval}
    return [str(shown[column]) for column in SHOWN]
