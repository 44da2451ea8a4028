"""Tables in the terminal."""

import io
import os
import sys
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cnnsearch.core.errors import one_line


def width() -> int:
    """The number of characters of a line: the terminal's or that of the variable COLUMNS, or 200 for a pipe."""
    return Console().width if sys.stdout.isatty() or os.environ.get("COLUMNS") else 200


def show(table: RenderableType, columns: int = 0) -> None:
    """Print a table of at most so many characters in a line; 0: of the terminal's."""
    Console(width=columns or width(), highlight=False).print(table)


def plain(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print rows under a header, without lines around the cells."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in header:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(str(cell))) for cell in row))
    show(table)


def text(table: RenderableType) -> str:
    """A table as text without colours, at most as wide as a line."""
    console = Console(width=width(), highlight=False, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(table)
    return captured.get()
