"""The leaderboard as a table for a terminal, and the caption that explains its signs."""

from collections import Counter

from rich.table import Table
from rich.text import Text

from cnnsearch.core.errors import FAILURES, one_line
from cnnsearch.results.leaderboard.formats import TITLES, cell, used_columns
from cnnsearch.results.leaderboard.ranked_rows import Row
from cnnsearch.results.leaderboard.table_layout import Layout, fitted

LEFT_ALIGNED = ("state", "origin", "choices", "reason", "tie", "pareto")
LEAST_WIDTH = {"choices": 34, "reason": 24}
"""Columns that are shortened to fit into a line, and the width that each of them has at least."""

OPTIONAL = (
    *("bytes", "latency_64", "latency_1", "best_epoch", "seconds", "macs", "origin", "reason"),
    *("epochs", "pareto", "params", "n"),
)
"""Columns that a narrow terminal does not show; the first is left out first. All other formats have them."""

WIDE = 100_000
"""A width that every table fits into."""


def to_table(board: list[Row], title: str, width: int = 200) -> Table:
    """The rows as a rich table of at most `width` characters, one line a trial.

    Columns of OPTIONAL are left out and hyperparameters are shortened until it fits. Without the column `reason` a
    failed trial shows its reason in place of its hyperparameters.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    columns = _layout(board, width).columns
    for column, (header, *_) in columns.items():
        table.add_column(header, justify="left" if column in LEFT_ALIGNED else "right", no_wrap=True)
    for row, *cells in zip(board, *(cells[1:] for cells in columns.values()), strict=True):
        style = {"complete": "", "pruned": "dim"}.get(row["state"], "red")
        table.add_row(*map(Text, cells), style=style)
    return table


def is_cut(board: list[Row], width: int) -> bool:
    """Whether a table of this width leaves out columns or hyperparameters."""
    return _layout(board, width).cut


def caption(board: list[Row], width: int = WIDE) -> str:
    """The meaning of the signs of the table and the number of failures, a line for each; empty if there are none.

    `width` is that of the table: columns that it leaves out are not explained.
    """
    parts, shown = [], _layout(board, width).columns
    if "mean" in shown:
        parts.append("mean over seeds: over n new seeds, ± half the width of its 95% interval")
        parts.append("score: the search score, from the training that the trial was chosen by")
    if "tie" in shown:
        parts.append("=: the interval overlaps the interval of the first trial")
    if "pareto" in shown:
        parts.append("pareto: no trial with as few multiply-adds (or as low a searched cost) has a better score")
    ended = Counter(row["state"] for row in board if row["state"] in FAILURES)
    too_large = ended.pop("too_large", 0)
    if too_large:
        parts.append(f"not trained: {too_large} too_large")
    if ended:
        parts.append("failed: " + ", ".join(f"{number} {kind}" for kind, number in ended.items()))
    return "\n".join(parts)


def _layout(board: list[Row], width: int) -> Layout:
    texts = {column: [one_line(cell(column, row)) for row in board] for column in used_columns(board)}
    columns = {column: [TITLES.get(column, column), *cells] for column, cells in texts.items()}
    found = fitted(columns, LEAST_WIDTH, OPTIONAL, width)
    if "reason" not in columns or "reason" in found.columns:
        return found
    for place, row in enumerate(board):
        if row["state"] in FAILURES and row["reason"]:
            texts["choices"][place] = one_line(row["reason"])
    columns["choices"] = [TITLES["choices"], *texts["choices"]]
    return fitted(columns, LEAST_WIDTH, OPTIONAL, width)
