"""The commands: each parses, calls one function and prints. Nothing heavy is imported before it is needed."""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from cnnsearch.cli.options import GroupedCommand, option, places, searching, stored, written
from cnnsearch.cli.scaffold import KINDS
from cnnsearch.core.errors import CnnsearchError, one_line
from cnnsearch.core.version import VERSION


class Cli(click.Group):
    """Turns what can be mended into one line, and keeps tracebacks for --debug."""

    command_class = GroupedCommand

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            if _debug(ctx):
                import traceback

                traceback.print_exc()
            raise
        except Exception as error:
            if _debug(ctx):
                raise
            first = str(error).partition("\n")[0]
            message = f"{type(error).__name__}: {first}. This is a fault of cnnsearch; --debug shows where."
            raise CnnsearchError(message) from error


def _debug(ctx: click.Context) -> bool:
    return bool(ctx.params.get("debug") or "--debug" in sys.argv or os.environ.get("CNNSEARCH_DEBUG"))


CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "CNNSEARCH", "max_content_width": 120}


@click.group(cls=Cli, context_settings=CONTEXT)
@click.version_option(VERSION)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Hyperparameter search for Keras image classifiers.

    \b
    cnnsearch run --space digits_cnn --trials 10    search
    cnnsearch leaderboard                           what was found
    cnnsearch report                                what was found, as one page
    cnnsearch ui                                    every trial, in MLflow
    cnnsearch export --best                         the winner as files

    Every option can be set in the environment: CNNSEARCH_RUN_TRIALS=50 for `run --trials 50`.
    """


@main.command()
@searching
@stored
def run(**given: Any) -> None:
    """Search: train candidates of a space and rank them. The same command again continues the study."""
    from cnnsearch.cli import display, search_config, summary
    from cnnsearch.results import leaderboard
    from cnnsearch.tuning import run as command

    settings = search_config.settings(**{k: v for k, v in given.items() if k not in ("quiet", "json_lines")})
    shown = display.choose(given["json_lines"], given["quiet"])
    line = search_config.masked(shlex.join(["cnnsearch", *sys.argv[1:]]), settings.storage)
    try:
        study, ended = command.run(settings, shown, line, leaderboard.write_files)
        summary.report(study, ended, settings, given["json_lines"])
    except KeyboardInterrupt:
        click.echo("\nStopped; every finished trial is kept. The same command goes on.", err=True)
        sys.exit(130)
    if ended == "interrupted":
        sys.exit(130)


@main.command()
@click.argument("study", required=False)
@written
@option("--top", default=0, metavar="N", type=click.IntRange(0), shown="all", help="Show only the first N rows.")
@option("--sort", default="", metavar="COLUMN", shown="the rank", help="Sort by COLUMN. -COLUMN: largest first.")
@option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="Show only such rows: params<=50000, state=complete, filters/first=32. May be repeated.",
)
@stored
def leaderboard(
    study: str | None,
    form: str,
    top: int,
    sort: str,
    where: tuple[str, ...],
    runs: Path,
    storage: str,
    plugins: tuple[Path, ...],
) -> None:
    """The trials of STUDY (default: the latest), ranked."""
    from cnnsearch.results import leaderboard as board
    from cnnsearch.results import majority
    from cnnsearch.study import listing

    opened = listing.load(study, runs, storage)
    choices = {record.number: record.params for record in opened.records()}
    rows = board.filtered(board.rows(opened), where, sort, choices)[: top or None]
    if form == "table" and not rows:
        click.echo(f"{opened.name}: no trial {'is such' if where else 'has ended yet'}.")
    elif form == "table":
        title = f"{opened.name}: {opened.info['metric']} on {opened.info['dataset'][0]}"
        _tables().show(board.to_table(rows, title, _tables().width()))
        click.echo(board.caption(rows))
        for line in majority.lines(opened):
            click.echo(line)
    else:
        click.echo(board.FORMATS[form](rows).rstrip("\n"))


@main.command()
@click.argument("study", required=False)
@option("--top", default=3, metavar="N", type=click.IntRange(1), help="How many of the best trials.")
@option("--seeds", default=3, metavar="N", type=click.IntRange(1), help="How many new seeds of each trial, in all.")
@option(
    "--trial", "trials", multiple=True, metavar="N", type=click.IntRange(0), help="This trial instead. May be repeated."
)
@option(
    "--timeout",
    default="0",
    metavar="TIME",
    shown="0, no limit",
    help="Begin no training that will not end within this time: 90 (seconds), 30m, 2h.",
)
@option(
    "--jobs", metavar="N", type=click.IntRange(1), shown="as for run", help="How many trainings run at the same time."
)
@stored
def confirm(**given: Any) -> None:
    """Train the best of STUDY (default: the latest) again on fresh seeds, and rank them by their mean."""
    from cnnsearch.cli import display, search_config, summary
    from cnnsearch.results import leaderboard
    from cnnsearch.tuning import run as command

    given["timeout"] = search_config.seconds(given["timeout"])
    opened, ended = command.confirm(**given, show=display.Plain(), files=leaderboard.write_files)
    if ended == "interrupted":
        click.echo("\nStopped; every finished training is kept. The same command goes on.", err=True)
        sys.exit(130)
    summary.show_top(opened)


@main.command()
@click.argument("study", required=False)
@option("--by", default="", metavar="NAME", shown="all there are", help="A dimension, or one of its hyperparameters.")
@option("--controlled", is_flag=True, help="Train what is missing: the best trials with only this choice changed.")
@option("--pairs", default=5, metavar="N", type=click.IntRange(2), help="How many trials get such twins.")
@option(
    "--jobs", metavar="N", type=click.IntRange(1), shown="as for run", help="How many twins train at the same time."
)
@option(
    "--timeout",
    default="0",
    metavar="TIME",
    shown="0, no limit",
    help="End the training after this time: 90 (seconds), 30m, 2h.",
)
@written
@stored
def compare(study: str | None, by: str, controlled: bool, form: str, **given: Any) -> None:
    """What each choice was worth in STUDY (default: the latest): its mean difference, with an interval."""
    from cnnsearch.cli import comparison_table, display, search_config
    from cnnsearch.results.comparison import compare as comparison
    from cnnsearch.results.comparison.effect_table import FORMATS
    from cnnsearch.study import listing

    if controlled and not by:
        raise CnnsearchError("--controlled trains the twins of one choice; name it: --by DIMENSION or --by NAME.")
    opened = listing.load(study, given["runs"], given["storage"])
    given["timeout"] = search_config.seconds(given["timeout"])
    if controlled:
        shown = display.choose(False, form != "table")
        try:
            found = comparison.compare_controlled(opened, by, display=shown, **given)
        except KeyboardInterrupt:
            click.echo("\nStopped; every trained twin is kept. The same command goes on.", err=True)
            sys.exit(130)
    else:
        found = comparison.compare(opened, given["plugins"], by)
    if form == "table":
        comparison_table.show(found)
    else:
        click.echo(FORMATS[form](found).rstrip("\n"))


@main.command()
@click.argument("study", required=False)
@option("--best", is_flag=True, shown="on, without --trial", help="The best complete trial.")
@option("--trial", metavar="N", type=click.IntRange(0), help="This trial instead.")
@option(
    "-o", "--out", metavar="FOLDER", type=click.Path(path_type=Path), shown="exports/STUDY", help="The folder to write."
)
@option("--register", metavar="NAME", help="Make it a version of NAME in MLflow's registry, champion if best.")
@option(
    "--format",
    "form",
    multiple=True,
    metavar="NAMES",
    shown="keras, or what the candidate itself writes",
    help="keras, saved_model, onnx, litert, litert_int8, openvino: one, or several with commas.",
)
@option("--refit", is_flag=True, help="Train it again first, on training and validation images together.")
@option(
    "--ensemble",
    metavar="K",
    type=click.IntRange(2),
    help="The mean of the K best, if it is better on validation by more than chance; else the best.",
)
@stored
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

    Each file is opened again in its own runtime, compared with the trained model on 512 of validation's images, and
    timed.
    """
    from cnnsearch.core.gpus import gpus
    from cnnsearch.results import registry
    from cnnsearch.results.export import formats
    from cnnsearch.study import listing
    from cnnsearch.study.config import worker_environment

    if trial is not None and (best or ensemble):
        raise CnnsearchError(f"{'--best' if best else '--ensemble'} and --trial exclude each other; name one.")
    names = formats.parse_names(form)
    if register is not None:
        registry.check_name(register)
        registry.check_formats(names)
    opened = listing.load(study, runs, storage)
    # a trial whose model is gone, or a refit, is trained here
    os.environ.update(worker_environment(0, next(iter(gpus()), None)))
    from cnnsearch.core.host import stderr_to
    from cnnsearch.results import export as exporting

    folder = out or Path("exports") / opened.name
    with stderr_to(opened.folder / "logs" / "export.log"):
        card = exporting.export(opened, trial, folder, plugins, exporting.ExportOptions(names, refit, ensemble or 0))
        unlogged = exporting.log(opened, folder)
    _show_export(card, folder)
    if unlogged:
        click.echo(f"  not logged to MLflow: {unlogged}")
    if register is not None:
        with stderr_to(opened.folder / "logs" / "export.log"):
            registered = registry.register(opened, folder, register)
        click.echo(f"  {registered}")


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@option("--top", default=3, metavar="N", type=click.IntRange(1), help="How many classes for each picture.")
@option("--json", "as_json", is_flag=True, help="As JSON.")
@places
def predict(model: Path, images: tuple[Path, ...], top: int, as_json: bool, plugins: tuple[Path, ...]) -> None:
    """Classes and probabilities of IMAGES (picture files, folders, .npy, .npz) by MODEL, an export's folder or file."""
    from cnnsearch.core.host import stderr_to
    from cnnsearch.results import predict as predicting
    from cnnsearch.study.config import worker_environment

    export = predicting.find(model)
    os.environ.update(worker_environment(0, None))
    with stderr_to(Path(os.devnull)):
        answers = list(predicting.predict(export, images, top, plugins))
    if as_json:
        click.echo(json.dumps([answer.to_dict() for answer in answers], indent=1))
    elif rows := predicting.rows(answers):
        _tables().plain(("picture", "class", "probability", "then"), rows)
    problems = [answer.problem for answer in answers if answer.problem]
    for problem in problems:
        click.echo(one_line(problem), err=True)
    sys.exit(1 if problems else 0)


def _show_export(card: dict[str, Any], folder: Path) -> None:
    from cnnsearch.results.export import card as cards

    members = ", ".join(map(str, card["members"]))
    what = f"trial {members}" if len(card["members"]) == 1 else f"the mean of trials {members}"
    click.echo(f"Exported {what} of study '{card['study']}' to {folder}/")
    click.echo(f"  {card['metric']} {card['score']:.4f}, {card['params']:,} parameters")
    again = " (measured at an earlier export)" if card["test_again"] else ""
    for name, value in reversed(cards.score_rows(card)):
        click.echo(f"  {name} {value}{again}")
    for note in (*cards.model_notes(card), *cards.accuracy_losses(card)):
        click.echo(f"  {note}")
    header, *rows = cards.format_table(card)
    _tables().plain(header, rows)


@main.command()
@click.argument("study", required=False)
@option(
    "-o",
    "--out",
    default="report.html",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The file to write.",
)
@stored
def report(study: str | None, out: Path, runs: Path, storage: str, plugins: tuple[Path, ...]) -> None:
    """Write what STUDY (default: the latest) found as one page that needs no network."""
    from cnnsearch.study import listing

    opened = listing.load(study, runs, storage)
    opened.check_begun()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from cnnsearch.cli import summary
    from cnnsearch.core.host import stderr_to
    from cnnsearch.results import report as reporting
    from cnnsearch.results.report import findings

    with stderr_to(Path(os.devnull)):
        known = reporting.write(opened, out, plugins, summary.where(runs, storage))
        unlogged = reporting.log(opened, out)
    click.echo(f"Wrote {out}: {findings.headline(known)}")
    if unlogged:
        click.echo(f"  not logged to MLflow: {unlogged}")


@main.command()
@click.argument("trial", type=click.IntRange(0))
@click.argument("study", required=False)
@stored
def reproduce(trial: int, study: str | None, runs: Path, storage: str, plugins: tuple[Path, ...]) -> None:
    """Train TRIAL of STUDY (default: the latest) again from its plan and seed, and say how far off it is."""
    from cnnsearch.core.gpus import gpus
    from cnnsearch.study import listing
    from cnnsearch.study.config import worker_environment

    opened = listing.load(study, runs, storage)
    os.environ.update(worker_environment(0, next(iter(gpus()), None)))
    from cnnsearch.core.host import stderr_to
    from cnnsearch.results import origin
    from cnnsearch.results import reproduce as again

    chosen = origin.trained_trial(opened, trial)
    with stderr_to(opened.folder / "logs" / "reproduce.log"):
        found = again.reproduce(origin.origin_of(opened, chosen, plugins))
    click.echo(again.text(found, chosen.resumed))


@main.command()
@stored
def studies(runs: Path, storage: str, plugins: tuple[Path, ...]) -> None:
    """The studies here, the latest first, and how much of the disk they take."""
    from cnnsearch.study import disk, listing

    found = listing.summaries(runs, storage)
    rows = [
        (
            s["name"],
            s["space"],
            s["dataset"],
            s["trials"],
            "" if s["best"] is None else f"{s['best']:.4f}",
            disk.text(disk.size(s["study"].folder)),
            s["active"],
        )
        for s in found
    ]
    if not rows:
        click.echo("No studies yet. Begin one: cnnsearch run --space digits_cnn --trials 10")
        return
    _tables().plain(("study", "space", "dataset", "trials", "best", "disk", "last activity"), rows)
    if others := disk.besides(runs, [s["study"] for s in found]):
        click.echo(f"Also in {runs}: {', '.join(f'{name} {disk.text(size)}' for name, size in others)}.")


@main.command()
@click.argument("study")
@option("--mlflow", is_flag=True, help="Delete its runs in MLflow, too.")
@option("--yes", is_flag=True, help="Do not ask.")
@stored
def delete(study: str, mlflow: bool, yes: bool, runs: Path, storage: str, plugins: tuple[Path, ...]) -> None:
    """Delete STUDY with its trials, models and logs. It shows what will be deleted, and asks first."""
    from cnnsearch.study import deletion

    doomed = deletion.find(study, runs, storage, mlflow)
    click.echo(doomed.text())
    if not yes:
        click.confirm("Delete it?", abort=True)
    stays = deletion.delete(doomed, runs, storage)
    click.echo(f"Deleted study '{study}'." + (f" {stays}" if stays else ""))


@main.command()
@click.argument("name", required=False)
@places
def spaces(name: str | None, plugins: tuple[Path, ...]) -> None:
    """The spaces, or one of them: its dimensions, ranges, default point, size and recipes."""
    from cnnsearch.cli import show
    from cnnsearch.spaces import plugins as catalog

    known = catalog.load(plugins)
    if name:
        click.echo(show.space(name, known))
    else:
        _tables().plain(("space", "what it searches", "origin"), show.spaces(known))


@main.command()
@click.argument("space", required=False)
@places
def recipes(space: str | None, plugins: tuple[Path, ...]) -> None:
    """The recipes of SPACE (default: of every space): named points with what was reported of them."""
    from cnnsearch.cli import show
    from cnnsearch.spaces import plugins as catalog

    header = ("space", "recipe", "parameters", "reported", "what it is")
    _tables().plain(header, show.recipes(space, catalog.load(plugins)))


@main.command("plugins")
@places
def plugins_command(plugins: tuple[Path, ...]) -> None:
    """Every plugin, with its origin; broken ones with the reason."""
    from cnnsearch.cli import show
    from cnnsearch.spaces import plugins as catalog

    _tables().plain(("kind", "plugin", "what it does", "origin"), show.plugins(catalog.load(plugins)))


@main.command()
@places
def datasets(plugins: tuple[Path, ...]) -> None:
    """Every dataset, with its options."""
    from cnnsearch.cli import show
    from cnnsearch.spaces import plugins as catalog

    _tables().plain(("dataset", "what it is", "options", "origin"), show.datasets(catalog.load(plugins)))


@main.command()
@click.argument("name")
@option(
    "--set",
    "settings",
    multiple=True,
    metavar="OPTION=VALUE",
    help="Set an option; of a space DIMENSION.OPTION=VALUE. May be repeated.",
)
@places
def check(name: str, settings: tuple[str, ...], plugins: tuple[Path, ...]) -> None:
    """Check the contracts of NAME, a plugin, a space or a FILE of them: a line for each, exit 1 if one is broken."""
    from cnnsearch.cli import check as checking

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(checking.check(name, settings, plugins, click.echo))


@main.command()
@click.argument("kind", type=click.Choice(KINDS))
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
    """Write a plugin of KIND and its test, to be changed; or a project, a package of them that can be published."""
    from cnnsearch.cli import scaffold

    folder = folder or Path("." if kind == "project" else "mine")
    for path in scaffold.new(kind, name, folder):
        click.echo(f"wrote {path}")
    click.echo("Try next:")
    for step in scaffold.next_steps(kind, name, folder):
        click.echo(f"  {step}")


@main.command()
@option("--optuna", is_flag=True, help="Open Optuna's dashboard instead; needs cnnsearch[dashboard].")
@option("--port", metavar="N", type=click.IntRange(1, 65535), shown="5000; Optuna: 8080", help="The port of the pages.")
@option("--host", default="127.0.0.1", metavar="HOST", help="Who may connect. 127.0.0.1: this machine alone.")
@stored
def ui(optuna: bool, port: int | None, host: str, runs: Path, storage: str, plugins: tuple[Path, ...]) -> None:
    """Open MLflow's pages on this folder's studies, or Optuna's on the latest; also while a search runs."""
    if optuna:
        from cnnsearch.cli import dashboard

        dashboard.serve(host, port or 8080, runs, storage)
    else:
        from cnnsearch.cli import show

        sys.exit(show.ui(host, port or 5000, runs, storage))


@main.command()
@option("--json", "as_json", is_flag=True, help="As JSON.")
@stored
def doctor(as_json: bool, runs: Path, storage: str, plugins: tuple[Path, ...]) -> None:
    """Versions, backend, GPUs, data and write access: what works here and what does not."""
    from cnnsearch.cli import doctor as checks

    found = checks.examine(runs, storage, plugins)
    if as_json:
        click.echo(json.dumps([check._asdict() for check in found], indent=1))
    else:
        _tables().plain(("", "check", "found"), [("ok" if c.good else "!!", c.name, c.found) for c in found])
    sys.exit(0 if all(check.good for check in found) else 1)


def _tables() -> Any:
    from cnnsearch.cli import tables

    return tables


def _name_variables() -> None:
    """`CNNSEARCH_RUN_SET` for `run --set`: click would go by the Python parameter, which may be named otherwise."""
    for name, command in main.commands.items():
        for each in command.params:
            flag = each.opts[-1].lstrip("-").replace("-", "_")
            if isinstance(each, click.Option) and each.name != flag and not each.envvar:
                each.envvar = f"CNNSEARCH_{name}_{flag}".upper()


_name_variables()

if __name__ == "__main__":
    main()
