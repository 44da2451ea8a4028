"""The commands that export a model of a study, and predict with it."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from cnnsearch.cli.options import GroupedCommand, option, plugin_options, study_options
from cnnsearch.core.errors import CnnsearchError, one_line
from cnnsearch.core.gpus import gpus
from cnnsearch.core.host import stderr_to


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
@option(
    "--views",
    multiple=True,
    metavar="NAMES",
    help="Average test-time views of each image (mirror, shift) if that is better on validation by more than chance.",
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
    views: tuple[str, ...],
    runs: Path,
    storage: str,
    plugins: tuple[Path, ...],
) -> None:
    """Write a model of STUDY (default: the latest) with its card, plan, space and leaderboard.

    Each file is opened in its own runtime, compared with the trained model on 512 validation images, and timed.
    """
    from cnnsearch.results import registry
    from cnnsearch.results.export import ExportOptions, formats, own_model
    from cnnsearch.results.export import views as test_time
    from cnnsearch.study import listing

    if trial is not None and (best or ensemble):
        raise CnnsearchError(
            f"{'--best' if best else '--ensemble'} and --trial cannot be used together. Give one of them."
        )
    names = formats.parse_names(form)
    options = ExportOptions(names, refit, ensemble or 0, test_time.parse_names(views))
    if register is not None:
        registry.check_name(register)
        registry.check_formats(names)
    opened = listing.load(study, runs, storage)
    if own_model.has_own_data(opened):
        _export_own(opened, trial, out, options, register)
        return
    # a trial whose model is not on disk, or a refit, is trained in this process
    _prepare_backend(next(iter(gpus()), None))
    from cnnsearch.cli import export_summary
    from cnnsearch.results import export as exporting

    folder = out or Path("exports") / opened.name
    log = opened.folder / "logs" / "export.log"
    with stderr_to(log):
        card = exporting.export(opened, trial, folder, plugins, options)
        not_logged = exporting.log(opened, folder)
    export_summary.show(card, folder)
    warn_not_logged(not_logged)
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


def _prepare_backend(gpu: str | None, import_it: bool = True) -> None:
    """Set the environment of the backend in this process, and import Keras, which reads it."""
    from cnnsearch.study.config import worker_environment

    os.environ.update(worker_environment(0, gpu))
    if import_it:
        from cnnsearch.training.device import import_keras

        with stderr_to(Path(os.devnull)):
            import_keras()


def warn_not_logged(reason: str) -> None:
    if reason:
        click.echo(f"  not logged to MLflow: {reason}")
