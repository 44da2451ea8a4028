"""What `cnnsearch compare` prints: a table of effects, and notes."""

import click

from cnnsearch.cli import tables
from cnnsearch.core.errors import one_line
from cnnsearch.results.comparison.effect_table import SHOWN, EffectTable, cells
from cnnsearch.results.leaderboard import WIDE
from cnnsearch.results.leaderboard.table_layout import fitted

RIGHT_ALIGNED = ("difference", "n")
LEAST_WIDTH = {"hyperparameter": 22, "value": 10, "reference": 10}
"""Columns that are shortened to fit into a line, and the width that each of them has at least."""


def show(effects: EffectTable, wide: bool = False) -> None:
    """Print the rows as a table, one line each, with the notes; `wide`: nothing is left out or shortened."""
    from rich.table import Table
    from rich.text import Text

    width = WIDE if wide else tables.width()
    texts = zip(*([one_line(cell) for cell in cells(row)] for row in effects.rows), strict=True)
    columns = {name: [name, *column] for name, column in zip(SHOWN, texts, strict=True)}
    found = fitted(columns, LEAST_WIDTH, ("method", "verdict"), width)
    table = Table(title=effects.title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in found.columns:
        table.add_column(column, justify="right" if column in RIGHT_ALIGNED else "left", no_wrap=True)
    for row, *shown in zip(effects.rows, *(each[1:] for each in found.columns.values()), strict=True):
        table.add_row(*map(Text, shown), style="dim" if row["verdict"] == "unclear" else "")
    tables.show(table, width)
    if found.cut:
        click.echo("All columns: --wide")
    for note in effects.notes:
        click.echo(note)
