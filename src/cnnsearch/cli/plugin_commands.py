"""The commands about spaces and plugins: they list, check and create them."""

import os
import sys
from pathlib import Path

import click

from cnnsearch.cli import scaffold
from cnnsearch.cli.options import GroupedCommand, option, plugin_options
from cnnsearch.spaces import plugins as catalog


@click.command(cls=GroupedCommand)
@click.argument("name", required=False)
@plugin_options
def spaces(name: str | None, plugins: tuple[Path, ...]) -> None:
    """List the spaces, or describe one: its dimensions, ranges, default point, size and recipes."""
    from cnnsearch.cli import describe, tables

    known = catalog.load(plugins)
    if name:
        click.echo(describe.space(name, known))
    else:
        tables.plain(("space", "what it searches", "origin"), describe.spaces(known))


@click.command(cls=GroupedCommand)
@click.argument("space", required=False)
@plugin_options
def recipes(space: str | None, plugins: tuple[Path, ...]) -> None:
    """List the recipes of SPACE (default: of every space): named points with their reported scores."""
    from cnnsearch.cli import describe, tables

    header = ("space", "recipe", "parameters", "reported", "what it is")
    tables.plain(header, describe.recipes(space, catalog.load(plugins)))


@click.command(cls=GroupedCommand)
@plugin_options
def plugins(plugins: tuple[Path, ...]) -> None:
    """List every plugin with its origin, and broken ones with the reason."""
    from cnnsearch.cli import describe, tables

    tables.plain(("kind", "plugin", "what it does", "origin"), describe.plugins(catalog.load(plugins)))


@click.command(cls=GroupedCommand)
@plugin_options
def datasets(plugins: tuple[Path, ...]) -> None:
    """List every dataset with its options."""
    from cnnsearch.cli import describe, tables

    tables.plain(("dataset", "what it is", "options", "origin"), describe.datasets(catalog.load(plugins)))


@click.command(cls=GroupedCommand)
@click.argument("name")
@option(
    "--set",
    "settings",
    multiple=True,
    metavar="OPTION=VALUE",
    help="Set an option; of a space DIMENSION.OPTION=VALUE. May be repeated.",
)
@plugin_options
def check(name: str, settings: tuple[str, ...], plugins: tuple[Path, ...]) -> None:
    """Check the contracts of NAME: a plugin, a space or a FILE of them. Exits with 1 if one is broken."""
    from cnnsearch.cli import check as checking

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(checking.check(name, settings, plugins, click.echo))


@click.command(cls=GroupedCommand)
@click.argument("kind", type=click.Choice(scaffold.KINDS))
@click.argument("name")
@option(
    "--to",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    shown="mine; for a project: here",
    help="The folder to write into.",
)
def new(kind: str, name: str, folder: Path | None) -> None:
    """Write a plugin of KIND and its test, to be changed; or a project: a package of plugins that can be published."""
    folder = folder or Path("." if kind == "project" else "mine")
    for path in scaffold.new(kind, name, folder):
        click.echo(f"wrote {path}")
    click.echo("Try next:")
    for step in scaffold.next_steps(kind, name, folder):
        click.echo(f"  {step}")
