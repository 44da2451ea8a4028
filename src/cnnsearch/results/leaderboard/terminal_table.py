"""The leaderboard as a table for a terminal, and the caption that explains its signs."""

from collections import Counter

from rich.table import Table

from cnnsearch.core.errors import FAILURES
from cnnsearch.results.leaderboard.formats import TITLES, cell, used_columns
from cnnsearch.results.leaderboard.ranked_rows import Row

LEFT_ALIGNED = ("state", "origin", "choices", "reason", "tie", "pareto")
FOLDED = ("choices", "reason")
"""Columns whose texts may continue on further lines."""

FOLDED_WIDTH = 28
"""The least width of a folded column, in characters."""

OPTIONAL = ("bytes", "latency_64", "latency_1", "best_epoch", "seconds", "macs", "origin", "epochs", "params", "pareto")
"""Columns that a narrow terminal does not show; the first is left out first. All other formats have them."""


def to_table(board: list[Row], title: str, width: int = 200) -> Table:
    """The rows as a rich table; columns of OPTIONAL are left out until it fits into `width` characters."""
    columns = _fitting_columns(board, width)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        folds = column in FOLDED
        table.add_column(
            TITLES.get(column, column),
            justify="left" if column in LEFT_ALIGNED else "right",
            no_wrap=not folds,
            overflow="fold" if folds else "ellipsis",
        )
    for row in board:
        style = {"complete": "", "pruned": "dim"}.get(row["state"], "red")
        table.add_row(*(cell(column, row) for column in columns), style=style)
    return table


def caption(board: list[Row]) -> str:
    """One line that explains the signs of the table and counts the failures; empty if there are none."""
    parts = []
    if any(row["mean"] is not None for row in board):
        parts.append("mean: over n new seeds, ± half the width of its 95% interval; score: the search score")
    if any(row["tie"] for row in board):
        parts.append("=: the interval overlaps the interval of the first trial")
    if any(row["pareto"] for row in board):
        parts.append("*: on the Pareto front: no other trial is both better and smaller")
    failed = Counter(row["state"] for row in board if row["state"] in FAILURES)
    if failed:
        parts.append("failed: " + ", ".join(f"{number} {kind}" for kind, number in failed.items()))
    return "; ".join(parts)


def _fitting_columns(board: list[Row], width: int) -> list[str]:
    columns = used_columns(board)

    def width_of(column: str) -> int:
        cells = [TITLES.get(column, column), *(cell(column, row) for row in board)]
        return FOLDED_WIDTH if column in FOLDED else max(map(len, cells))

    for column in OPTIONAL:
        if sum(width_of(each) + 2 for each in columns) <= width:
            break
        columns = [each for each in columns if each != column]
    return columns
