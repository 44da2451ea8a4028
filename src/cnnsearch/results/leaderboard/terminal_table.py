"""The leaderboard as a table for a terminal, and the caption that explains its signs."""

from collections import Counter
from collections.abc import Collection, Iterator

from rich.cells import cell_len
from rich.console import Group
from rich.text import Text

from cnnsearch.core.errors import FAILURES, one_line
from cnnsearch.results.leaderboard.formats import TITLES, cell, used_columns
from cnnsearch.results.leaderboard.ranked_rows import COLUMNS, Row
from cnnsearch.results.leaderboard.table_layout import GAP, Layout, fitted

LEFT_ALIGNED = ("state", "origin", "choices", "reason", "tie", "pareto", "views")
LEAST_WIDTH = {"choices": 34, "reason": 24}
"""Columns that are shortened to fit into a line, and the width that each of them has at least."""

OPTIONAL = (
    *("bytes", "latency_64", "latency_1", "best_epoch", "seconds", "macs", "origin", "reason"),
    *("epochs", "pareto", "views", "params", "n"),
)
"""Columns that a narrow terminal does not show; the first is left out first. All other formats have them."""

WIDE = 100_000
"""A width that every table fits into."""


class TerminalTable:
    """Rows of the leaderboard that fit into `width` characters, one line a trial. They are laid out once.

    Columns of OPTIONAL are left out and hyperparameters are shortened until it fits. Without the column `reason` a
    failed trial shows its reason in place of its hyperparameters.
    """

    def __init__(self, board: list[Row], width: int = 200) -> None:
        self._board, self._layout = board, _layout(board, width)

    @property
    def is_cut(self) -> bool:
        """Whether the table leaves out columns or hyperparameters."""
        return self._layout.cut

    def text(self, title: str) -> Group:
        """The title, the header and the rows."""
        # a table of rich takes 20 times as long: seconds for some thousand rows
        columns = [_aligned(column, cells) for column, cells in self._layout.columns.items()]
        header, *lines = ((GAP * " ").join(cells).rstrip() for cells in zip(*columns, strict=True))
        found = [Text(title, "table.title"), Text(header, "table.header")]
        for row, cells in zip(self._board, lines, strict=True):
            found.append(Text(cells, {"complete": "", "pruned": "dim"}.get(row["state"], "red")))
        for line in found:
            line.no_wrap, line.overflow = True, "ignore"
        return Group(*found[0 if title else 1 :])

    def caption(self, every: list[Row] | None = None) -> str:
        """The meaning of the signs of the table and the number of failures, a line for each; empty if there are none.

        Columns that the table leaves out are not explained. `every`: the rows whose failures are counted, if the table
        has only some of them.
        """
        shown = self._layout.columns
        return "\n".join(
            [
                *_signs(shown, any(row["macs"] for row in self._board)),
                *_failures(self._board if every is None else every),
            ]
        )


def _signs(shown: Collection[str], macs: bool) -> Iterator[str]:
    if "mean" in shown:
        yield "mean over seeds: over n new seeds, with its 95% interval"
        yield "score: the search score, from the training that the trial was chosen by"
    if "views" in shown:
        yield "views: an exported model averages these test-time views; the scores here are without them"
    if "tie" in shown:
        yield "=: it may be as good as the first trial"
    if "pareto" in shown and not set(shown) <= set(COLUMNS):
        yield "pareto: no other trial is at least as good in every value, and better in one"
    elif "pareto" in shown and not macs:
        yield "pareto: no other trial is at least as good in score and parameters, and better in one of them"
    elif "pareto" in shown:
        yield "pareto: no trial with as few multiply-adds (or as low a searched cost) has a better score"


def _failures(board: list[Row]) -> Iterator[str]:
    ended = Counter(row["state"] for row in board if row["state"] in FAILURES)
    if too_large := ended.pop("too_large", 0):
        yield f"not trained: {too_large} too_large"
    if ended:
        yield "failed: " + ", ".join(f"{number} {kind}" for kind, number in ended.items())


def _aligned(column: str, cells: list[str]) -> list[str]:
    """The cells of a column with spaces, so that all are as wide as the widest. Some letters are two columns wide."""
    sizes = [cell_len(cell) for cell in cells]
    widest = max(sizes)
    spaces = [" " * (widest - size) for size in sizes]
    if column in LEFT_ALIGNED:
        return [cell + space for cell, space in zip(cells, spaces, strict=True)]
    return [space + cell for cell, space in zip(cells, spaces, strict=True)]


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
