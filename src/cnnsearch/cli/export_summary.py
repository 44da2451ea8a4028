"""What `cnnsearch export` prints."""

from pathlib import Path
from typing import Any

import click

from cnnsearch.cli import tables
from cnnsearch.results.export import card as cards


def show(card: dict[str, Any], folder: Path) -> None:
    """Print which trials were exported, their scores, notes and the files."""
    members = ", ".join(map(str, card["members"]))
    what = f"trial {members}" if len(card["members"]) == 1 else f"the mean of trials {members}"
    click.echo(f"Exported {what} of study '{card['study']}' to {folder}/")
    click.echo(f"  {card['metric']} {card['score']:.4f}, {card['params']:,} parameters")
    again = " (measured at an earlier export)" if card["test_again"] else ""
    for name, value in reversed(cards.score_rows(card)):
        click.echo(f"  {name} {value}{again}")
    for name, value in cards.confirmed_rows(card):
        click.echo(f"  {name} {value}")
    for note in (*cards.model_notes(card), *cards.accuracy_losses(card)):
        click.echo(f"  {note}")
    header, *rows = cards.format_table(card)
    tables.plain(header, rows)
