"""The commands that list and delete studies: `studies` and `delete`."""

from pathlib import Path

import click

from cnnsearch.cli.options import GroupedCommand, option, study_options
from cnnsearch.core.errors import CnnsearchError


@click.command(cls=GroupedCommand)
@study_options
def studies(runs: Path, storage: str, plugins: tuple[Path, ...]) -> None:
    """List the studies, the latest first, with their size on the disk."""
    from cnnsearch.cli import tables
    from cnnsearch.study import disk, listing

    found = listing.summaries(runs, storage)
    if not found:
        click.echo("No studies yet. Start one: cnnsearch run --space digits_cnn --trials 10")
        return
    rows = [
        (
            each["name"],
            each["space"],
            each["dataset"],
            each["trials"],
            "" if each["best"] is None else f"{each['best']:.4f}",
            disk.text(disk.size(each["study"].folder)),
            each["active"],
        )
        for each in found
    ]
    tables.plain(("study", "space", "dataset", "trials", "best", "disk", "last activity"), rows)
    if others := disk.besides(runs, [each["study"] for each in found]):
        click.echo(f"Also in {runs}: {', '.join(f'{name} {disk.text(size)}' for name, size in others)}.")


@click.command(cls=GroupedCommand)
@click.argument("study")
@option("--mlflow", is_flag=True, help="Delete its runs in MLflow, too.")
@option("--yes", is_flag=True, help="Do not ask.")
@study_options
def delete(study: str, mlflow: bool, yes: bool, runs: Path, storage: str, plugins: tuple[Path, ...]) -> None:
    """Delete STUDY with its trials, models and logs. Shows what will be deleted, and asks first."""
    from cnnsearch.study import deletion

    doomed = deletion.find(study, runs, storage, mlflow)
    click.echo(doomed.text())
    if not yes and not _confirmed():
        click.echo("Nothing was deleted.")
        return
    left = deletion.delete(doomed, runs, storage)
    click.echo(f"Deleted study '{study}'." + (f" {left}" if left else ""))


def _confirmed() -> bool:
    """The answer to the question before a deletion.

    Raises:
        CnnsearchError: if there is nobody to answer it.
    """
    try:
        return click.confirm("Delete it?")
    except click.Abort:
        raise CnnsearchError(
            "There was no answer, so nothing was deleted. To delete without a question: --yes."
        ) from None
