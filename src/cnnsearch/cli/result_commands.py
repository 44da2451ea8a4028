"""The commands that show or use the results of a study, such as `leaderboard`, `compare` and `report`."""

import os
from pathlib import Path
from typing import Any

import click

from cnnsearch.cli import interruption
from cnnsearch.cli.export_commands import warn_not_logged
from cnnsearch.cli.options import GroupedCommand, format_option, option, study_options, wide_option
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.host import stderr_to

ROWS = 50
"""How many rows of the leaderboard a terminal shows if --top is not given."""


@click.command(cls=GroupedCommand)
@click.argument("study", required=False)
@format_option
@option(
    "--top",
    metavar="N",
    type=click.IntRange(0),
    shown=f"{ROWS} in the table, all in other formats",
    help="Show only the first N rows; 0: all.",
)
@option("--sort", default="", metavar="COLUMN", shown="the rank", help="Sort by COLUMN. -COLUMN: largest first.")
@option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="Show only rows with this: params<=50000, state=complete, filters/first=32. May be repeated.",
)
@wide_option
@study_options
def leaderboard(
    study: str | None,
    form: str,
    top: int | None,
    sort: str,
    where: tuple[str, ...],
    wide: bool,
    runs: Path,
    storage: str,
    plugins: tuple[Path, ...],
) -> None:
    """Show the trials of STUDY (default: the latest), ranked."""
    from cnnsearch.cli import tables
    from cnnsearch.results import leaderboard as board
    from cnnsearch.results import majority
    from cnnsearch.study import listing

    opened = listing.load(study, runs, storage)
    choices = {record.number: record.params for record in opened.trials()}
    every = board.filtered(board.rows(opened), where, sort, choices)
    if form != "table":
        click.echo(board.FORMATS[form](every[: top or None]).rstrip("\n"))
        return
    if not every:
        click.echo(f"{opened.name}: no trial {'matches' if where else 'has ended yet'}.")
        return
    rows = every[: (ROWS if top is None else top) or None]
    columns = board.WIDE if wide else tables.width()
    table = board.TerminalTable(rows, columns)
    tables.show(table.text(f"{opened.name}: {opened.info['metric']} on {opened.info['dataset'][0]}"), columns)
    if top is None and len(rows) < len(every):
        click.echo(f"The first {len(rows)} of {len(every):,} rows. All rows: --top 0")
    if table.is_cut:
        click.echo("All columns and hyperparameters: --wide")
    for line in (table.caption(every if top is None else rows), *majority.lines(opened)):
        click.echo(line)


@click.command(cls=GroupedCommand)
@click.argument("study", required=False)
@option("--by", default="", metavar="NAME", shown="all", help="A dimension or a hyperparameter.")
@option(
    "--controlled", is_flag=True, help="Train controlled trials: the best trials with only this hyperparameter changed."
)
@option(
    "--pairs",
    default=5,
    metavar="N",
    type=click.IntRange(2),
    help="For how many of the best trials a controlled trial is trained.",
)
@option(
    "--jobs",
    metavar="N",
    type=click.IntRange(1),
    shown="as for run",
    help="How many controlled trials train at the same time.",
)
@option(
    "--timeout",
    default="0",
    metavar="TIME",
    shown="0, no limit",
    help="End the training after this time: 90 (seconds), 30m, 2h.",
)
@format_option
@wide_option
@study_options
def compare(study: str | None, by: str, controlled: bool, form: str, timeout: str, wide: bool, **given: Any) -> None:
    """Show the effect of each hyperparameter in STUDY (default: the latest): a mean difference and its interval."""
    if not controlled:
        _use_one_thread()
    from cnnsearch.cli import comparison_table, display, quantities
    from cnnsearch.results.comparison import compare as comparison
    from cnnsearch.results.comparison.effect_table import FORMATS
    from cnnsearch.study import listing

    if controlled and not by:
        message = "--controlled needs one hyperparameter. Name it with --by DIMENSION or --by NAME."
        raise CnnsearchError(message)
    opened = listing.load(study, given["runs"], given["storage"])
    seconds = quantities.seconds(timeout)
    if controlled:
        shown = display.choose(json_lines=False, quiet=form != "table")
        try:
            with shown:
                found = comparison.compare_controlled(opened, by, display=shown, timeout=seconds, **given)
        except KeyboardInterrupt:
            interruption.stop("controlled trial that ended")
    else:
        found = comparison.compare(opened, given["plugins"], by)
    if form == "table":
        comparison_table.show(found, wide)
    else:
        click.echo(FORMATS[form](found).rstrip("\n"))


@click.command(cls=GroupedCommand)
@click.argument("studies", metavar="[STUDY]...", nargs=-1)
@option(
    "-o",
    "--out",
    default="report.html",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The file to write.",
)
@study_options
def report(studies: tuple[str, ...], out: Path, runs: Path, storage: str, plugins: tuple[Path, ...]) -> None:
    """Write the results of STUDY (default: the latest) as one HTML page that needs no network.

    Several studies are shown side by side.
    """
    _use_one_thread()
    from cnnsearch.study import listing

    opened = [listing.load(study, runs, storage) for study in dict.fromkeys(studies or (None,))]
    for each in opened:
        each.check_begun()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from cnnsearch.cli import summary
    from cnnsearch.results import report as reporting
    from cnnsearch.results.report import findings

    first, *others = opened
    with stderr_to(Path(os.devnull)):
        known = reporting.write(first, out, plugins, summary.where(runs, storage), others)
        not_logged = reporting.log(first, out)
    click.echo(f"Wrote {out}: {findings.headline(known)}")
    warn_not_logged(not_logged)


@click.command(cls=GroupedCommand)
@click.argument("trial", type=click.IntRange(0))
@click.argument("study", required=False)
@study_options
def reproduce(trial: int, study: str | None, runs: Path, storage: str, plugins: tuple[Path, ...]) -> None:
    """Train TRIAL of STUDY (default: the latest) again from its plan and seed, and compare the scores."""
    from cnnsearch.study import listing

    opened = listing.load(study, runs, storage)
    from cnnsearch.results import origin
    from cnnsearch.results import reproduce as reproducing

    chosen = origin.trained_trial(opened, trial)
    try:
        found = reproducing.reproduce(opened, chosen, runs, storage, plugins)
    except KeyboardInterrupt:
        interruption.stop_without_result()
    click.echo(reproducing.text(found, chosen.resumed))


def _use_one_thread() -> None:
    """Let NumPy compute with one thread: for small matrices more threads take more time, most of it for waiting."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
