"""The ranked trials of a study: rows, filters, and the formats table, CSV, JSON and Markdown."""

from cnnsearch.results.leaderboard.filters import filtered
from cnnsearch.results.leaderboard.formats import (
    FORMATS,
    LeaderboardFiles,
    text_cells,
    to_csv,
    to_json,
    to_markdown,
    write_files,
)
from cnnsearch.results.leaderboard.ranked_rows import COLUMNS, Row, columns_of, rows
from cnnsearch.results.leaderboard.terminal_table import WIDE, TerminalTable

__all__ = [
    "COLUMNS",
    "FORMATS",
    "WIDE",
    "LeaderboardFiles",
    "Row",
    "TerminalTable",
    "columns_of",
    "filtered",
    "rows",
    "text_cells",
    "to_csv",
    "to_json",
    "to_markdown",
    "write_files",
]
