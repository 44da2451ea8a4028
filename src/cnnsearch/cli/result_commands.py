"""The commands that show or use the results of a study, such as `leaderboard`, `compare`, `export` and `report`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from cnnsearch.cli import interruption
from cnnsearch.cli.options import GroupedCommand, format_option, option, plugin_options, study_options, wide_option
from cnnsearch.core.errors import CnnsearchError, one_line
from cnnsearch.core.gpus import gpus
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
@click.argument("study", required=False)
@option("--best", is_flag=True, shown="on, unless --trial is given", help="Export the best complete trial.")
@option("--trial", metavar="N", type=click.IntRange(0), help="Export this trial instead.")
@option(
    "-o", "--out", metavar="FOLDER", type=click.Path(path_type=Path), shown="exports/STUDY", help="The folder to write."
)
@option(
    "--register", metavar="NAME", help="Register it as a version of NAME in MLflow, and as its champion if it is best."
)
@option(
    "--format",
    "form",
    multiple=True,
    metavar="NAMES",
    shown="keras, or the candidate's own format",
    help="keras, saved_model, onnx, litert, litert_int8, openvino: one, or several with commas.",
)
@option("--refit", is_flag=True, help="Train it again first, on training and validation images together.")
@option(
    "--ensemble",
    metavar="K",
    type=click.IntRange(2),
    help="Average the K best models if that is better on validation by more than chance; else export the best.",
)
@study_options
def export(
    study: str | None,
    best: bool,
    trial: int | None,
    out: Path | None,
    register: str | None,
    form: tuple[str, ...],
    refit: bool,
    ensemble: int | None,
    runs: Path,
    storage: str,
    plugins: tuple[Path, ...],
) -> None:
    """Write a model of STUDY (default: the latest) with its card, plan, space and leaderboard.

    Each file is opened in its own runtime, compared with the trained model on 512 validation images, and timed.
    """
    from cnnsearch.results import registry
    from cnnsearch.results.export import ExportOptions, formats, own_model
    from cnnsearch.study import listing

    if trial is not None and (best or ensemble):
        raise CnnsearchError(
            f"{'--best' if best else '--ensemble'} and --trial cannot be used together. Give one of them."
        )
    names = formats.parse_names(form)
    if register is not None:
        registry.check_name(register)
        registry.check_formats(names)
    opened = listing.load(study, runs, storage)
    if own_model.has_own_data(opened):
        _export_own(opened, trial, out, ExportOptions(names, refit, ensemble or 0), register)
        return
    # a trial whose model is not on disk, or a refit, is trained in this process
    _prepare_backend(next(iter(gpus()), None))
    from cnnsearch.cli import export_summary
    from cnnsearch.results import export as exporting

    folder = out or Path("exports") / opened.name
    log = opened.folder / "logs" / "export.log"
    with stderr_to(log):
        card = exporting.export(opened, trial, folder, plugins, exporting.ExportOptions(names, refit, ensemble or 0))
        not_logged = exporting.log(opened, folder)
    export_summary.show(card, folder)
    _warn_not_logged(not_logged)
    if register is not None:
        with stderr_to(log):
            registered = registry.register(opened, folder, register)
        click.echo(f"  {registered}")


def _export_own(opened: Any, trial: int | None, out: Path | None, options: Any, register: str | None) -> None:
    """Export a model of a function that trains for itself."""
    from cnnsearch.results.export import own_model

    if register is not None:
        raise CnnsearchError(f"--register: study '{opened.name}' {own_model.WHY}.")
    folder = out or Path("exports") / opened.name
    card = own_model.export(opened, trial, folder, options)
    click.echo(f"Exported trial {card['trial']} of study '{opened.name}' to {folder}/model.{card['formats'][0]}")
    click.echo(f"  {card['metric']} {card['score']:.4f}, {card['params']:,} parameters")
    click.echo(f"  The study {own_model.WHY}.")


@click.command(cls=GroupedCommand)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@option("--top", default=3, metavar="N", type=click.IntRange(1), help="How many classes to show for each picture.")
@option("--json", "as_json", is_flag=True, help="As JSON.")
@plugin_options
def predict(model: Path, images: tuple[Path, ...], top: int, as_json: bool, plugins: tuple[Path, ...]) -> None:
    """Predict the classes of IMAGES (picture files, folders, .npy, .npz) with MODEL, an export's folder or file."""
    from cnnsearch.cli import tables
    from cnnsearch.results import predict as predicting

    export = predicting.find(model)
    _prepare_backend(None, import_it=export.file.suffix == ".keras")
    with stderr_to(Path(os.devnull)):
        answers = list(predicting.predict(export, images, top, plugins))
    if as_json:
        click.echo(json.dumps([answer.to_dict() for answer in answers], indent=1))
    elif rows := predicting.rows(answers):
        tables.plain(("picture", "class", "probability", "next classes"), rows)
    problems = [answer.problem for answer in answers if answer.problem]
    for problem in problems:
        click.echo(one_line(problem), err=True)
    sys.exit(1 if problems else 0)


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
    _warn_not_logged(not_logged)


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


def _prepare_backend(gpu: str | None, import_it: bool = True) -> None:
    """Set the environment of the backend in this process, and import Keras, which reads it."""
    from cnnsearch.study.config import worker_environment

    os.environ.update(worker_environment(0, gpu))
    if import_it:
        from cnnsearch.training.device import import_keras

        with stderr_to(Path(os.devnull)):
            import_keras()


def _warn_not_logged(reason: str) -> None:
    if reason:
        click.echo(f"  not logged to MLflow: {reason}")
