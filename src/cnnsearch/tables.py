"""Tables in the terminal."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnsearch.errors import one_line


def show(table: Table) -> None:
    """Print a table as wide as the terminal; a pipe has no width and gets the room that the table wants."""
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)


def plain(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print rows under a header, with no lines around them."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in header:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(str(cell))) for cell in row))
    show(table)
