"""What `cnnsearch compare` prints: a table of effects, and notes."""

import click

from cnnsearch.cli import tables
from cnnsearch.results.comparison.effect_table import SHOWN, EffectTable, cells


def show(effects: EffectTable) -> None:
    """Print the rows as a table, with the notes."""
    from rich.table import Table

    table = Table(title=effects.title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in SHOWN:
        table.add_column(column, justify="right" if column in ("difference", "n") else "left", overflow="fold")
    for row in effects.rows:
        table.add_row(*cells(row), style="dim" if row["verdict"] == "unclear" else "")
    tables.show(table)
    for note in effects.notes:
        click.echo(note)
