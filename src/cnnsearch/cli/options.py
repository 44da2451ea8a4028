"""The options of the command line: those that commands share, and the many of `run`."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]

SAMPLERS = ("tpe", "random", "gp", "cmaes", "qmc", "grid")
PRUNERS = ("median", "percentile", "halving", "hyperband", "none")
SCHEDULERS = ("auto", "halving", "topk", "none")
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")

FIRST = "Used most"
SEARCHED = "What to search"
LENGTH = "How long"
DATA = "Data"
RESULTS = "Results"
SPEED = "Speed"
PLACES = "Where things are"
OUTPUT = "Output"
GROUPS = (FIRST, SEARCHED, LENGTH, DATA, RESULTS, SPEED, PLACES, OUTPUT)
"""The groups of options in `--help`, in their order there."""


WIDEST = 24
"""Columns for the names of options in `--help`. Longer names have a line to themselves."""


class Option(click.Option):
    """An option with a group in `--help`. Its default is always shown.

    Args:
        group: the heading that the option stands under, one of GROUPS or "Options".
        shown: the default in words, for an option whose default depends on something else.
    """

    def __init__(self, *names: Any, group: str = "Options", shown: str = "", **given: Any) -> None:
        super().__init__(*names, **given)
        self.group, self.shown = group, shown

    def default_text(self) -> str:
        """The default as `--help` shows it."""
        value = self.to_info_dict()["default"]
        if self.shown or self.required:
            return self.shown
        if self.is_flag:
            return "on" if value is True else "off"
        return str(value) if value not in (None, "", (), []) else "none"

    def meaning(self) -> str:
        """The help text, the choices and the default."""
        parts = [self.help or ""]
        if isinstance(self.type, click.Choice):
            parts.append(f"One of: {', '.join(map(str, self.type.choices))}.")
        parts.append("[required]" if self.required else f"[default: {self.default_text()}]")
        return " ".join(filter(None, parts))

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The two columns of `--help`."""
        record = super().get_help_record(ctx)
        return record and (record[0], self.meaning())

    def make_metavar(self, ctx: click.Context) -> str:
        """What stands for the value. The choices stand in the text: a list of them is too long for the column."""
        return self.metavar or ("NAME" if isinstance(self.type, click.Choice) else super().make_metavar(ctx))


class GroupedCommand(click.Command):
    """A command that shows its options in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each group of options that the command has."""
        groups = by_group(self.get_params(ctx))
        rows = {group: [each.get_help_record(ctx) or ("", "") for each in groups[group]] for group in groups}
        # all sections have the same left column
        width = max((len(left) for part in rows.values() for left, _ in part if len(left) <= WIDEST), default=0)
        for group, part in rows.items():
            with formatter.section(group):
                formatter.write_dl([(left.ljust(width), right) for left, right in part], col_max=WIDEST)


def by_group(parameters: Iterable[click.Parameter]) -> dict[str, list[click.Option]]:
    """The options that are shown, by the heading that they stand under, in the order of `--help`."""
    options = [each for each in parameters if isinstance(each, click.Option) and not each.hidden]
    # click makes --help by itself
    found = {each: each.group if isinstance(each, Option) else OUTPUT for each in options}
    order = ("Options", *GROUPS)
    return {group: [each for each in options if found[each] == group] for group in order if group in found.values()}


def option(*names: str, **given: Any) -> Callable[[Command], Command]:
    """An option with a `group` and, if its default has to be told in words, what is `shown` for it."""
    return click.option(*names, cls=Option, **given)


def places(command: Command) -> Command:
    """The option that says where plugins are, and --debug."""
    return _all(
        command,
        option(
            "--plugins",
            group=PLACES,
            multiple=True,
            metavar="PATH",
            type=click.Path(path_type=Path),
            envvar="CNNSEARCH_PLUGINS",
            help="A folder or file of your own plugins. Its code is run. May be repeated.",
        ),
        option(
            "--debug",
            group=OUTPUT,
            is_flag=True,
            expose_value=False,
            help="Show the traceback of an error.",
        ),
    )


def stored(command: Command) -> Command:
    """The options that say where the studies are kept."""
    return _all(
        places(command),
        option(
            "--runs",
            group=PLACES,
            default="runs",
            metavar="FOLDER",
            type=click.Path(path_type=Path, file_okay=False),
            envvar="CNNSEARCH_RUNS",
            help="The folder of studies and checkpoints.",
        ),
        option(
            "--storage",
            group=PLACES,
            default="",
            metavar="URL",
            envvar="CNNSEARCH_STORAGE",
            shown="a SQLite file in --runs",
            help="Optuna's storage address, such as postgresql://…",
        ),
    )


def written(command: Command) -> Command:
    """The option that says how a table is written."""
    return option(
        "--format",
        "form",
        default="table",
        type=click.Choice(("table", "csv", "json", "md")),
        help="How the table is written.",
    )(command)


def _all(command: Command, *options: Callable[[Command], Command]) -> Command:
    for each in reversed(options):
        command = each(command)
    return command


def searching(command: Command) -> Command:
    """The options of `run`."""
    return _all(
        command,
        option(
            "--space",
            group=FIRST,
            required=True,
            metavar="SPACE",
            help="A space's name, a TOML file, or file.py:NAME or module:NAME of a hypermodel.",
        ),
        option(
            "--dataset",
            group=FIRST,
            metavar="DATA",
            shown="the space's",
            help="A dataset's name, a .npz file, a folder of pictures or of .npy files.",
        ),
        option(
            "--trials",
            group=FIRST,
            default=50,
            metavar="N",
            type=click.IntRange(1),
            help="How many trials the study has at the end. Those of earlier runs count.",
        ),
        option(
            "--epochs",
            group=FIRST,
            metavar="N",
            type=click.IntRange(1),
            shown="the space's",
            help="Maximum number of epochs of a trial.",
        ),
        option(
            "--timeout",
            group=FIRST,
            default="0",
            metavar="TIME",
            shown="0, no limit",
            help="End this run after this time: 90 (seconds), 30m, 2h.",
        ),
        option(
            "--jobs",
            group=FIRST,
            metavar="N",
            type=click.IntRange(1),
            shown="up to 4 on each GPU; without one, up to 4 by cores and memory",
            help="How many trials train at the same time.",
        ),
        option(
            "--set",
            "settings",
            group=SEARCHED,
            multiple=True,
            metavar="KEY=VALUE",
            help="Change the space: DIMENSION.OPTION=VALUE. May be repeated.",
        ),
        option(
            "--metric",
            group=SEARCHED,
            metavar="NAME",
            shown="the space's",
            help="The metric to optimize: val_accuracy, val_loss, val_auc, val_f1_macro, val_balanced_accuracy, …",
        ),
        option(
            "--objective",
            group=SEARCHED,
            metavar="NAMES",
            shown="the metric alone",
            help="The metric and costs together, such as val_accuracy,params. Costs: params, macs.",
        ),
        option(
            "--max-params",
            group=SEARCHED,
            metavar="N",
            type=click.IntRange(0),
            shown="the space's",
            help="Refuse candidates with more parameters. 0: no limit.",
        ),
        option(
            "--max-macs",
            group=SEARCHED,
            metavar="N",
            type=click.IntRange(0),
            shown="the space's",
            help="Refuse candidates with more multiply-adds. 0: no limit.",
        ),
        option(
            "--max-latency",
            group=SEARCHED,
            metavar="MS",
            type=click.FloatRange(0),
            default=0,
            shown="0, no limit",
            help="Refuse candidates that take more milliseconds for one image, in Keras.",
        ),
        option(
            "--sampler",
            group=SEARCHED,
            default="tpe",
            type=click.Choice(SAMPLERS),
            help="How the next candidate is chosen.",
        ),
        option(
            "--cost-aware/--no-cost-aware",
            group=SEARCHED,
            default=False,
            help="Skip most of the expensive candidates at first, and fewer later. Not with grid.",
        ),
        option(
            "--default/--no-default",
            group=SEARCHED,
            default=True,
            help="Train the space's default point first.",
        ),
        option(
            "--recipes",
            group=SEARCHED,
            is_flag=True,
            help="Train all recipes of the space first.",
        ),
        option(
            "--recipe",
            group=SEARCHED,
            multiple=True,
            metavar="NAME",
            help="Train only this recipe of the space. May be repeated.",
        ),
        option(
            "--seed",
            group=SEARCHED,
            default=0,
            metavar="N",
            type=click.IntRange(0),
            help="Fixes the split, the sampler and each trial.",
        ),
        option(
            "--space-from-study",
            group=SEARCHED,
            is_flag=True,
            help="Continue with the space as the study stored it.",
        ),
        option(
            "--trial-timeout",
            group=LENGTH,
            default="0",
            metavar="TIME",
            shown="0, no limit",
            help="End a trial after this time.",
        ),
        option(
            "--scheduler",
            group=LENGTH,
            default="auto",
            type=click.Choice(SCHEDULERS),
            shown="halving; none if epochs are short, or with --pruner or costs",
            help="Train all trials to a first rung, and only the best of each rung further.",
        ),
        option(
            "--pruner",
            group=LENGTH,
            type=click.Choice(PRUNERS),
            shown="median; none with rungs",
            help="How bad trials are stopped early.",
        ),
        option(
            "--image-size",
            group=DATA,
            metavar="WIDTHxHEIGHT",
            shown="the space's size, else the pictures' one size, else their median",
            help="Resize the pictures of a folder: 96x64, or 96 for 96x96.",
        ),
        option(
            "--skip-unreadable",
            group=DATA,
            is_flag=True,
            help="Leave out pictures of a folder that cannot be read.",
        ),
        option(
            "--group-by",
            group=DATA,
            metavar="REGEX",
            help="Never split what this matches in the pictures' file names, such as a patient.",
        ),
        option(
            "--study",
            group=RESULTS,
            metavar="NAME",
            shown="the space's name",
            help="The study's name.",
        ),
        option(
            "--keep",
            group=RESULTS,
            default=5,
            metavar="N",
            type=click.IntRange(1),
            help="How many of the best models stay on disk.",
        ),
        option(
            "--confirm",
            group=RESULTS,
            default="auto",
            metavar="KxS",
            shown="3x3; 0 with --recipe",
            help="Train the best K trials again on S new seeds. 0: do not.",
        ),
        option(
            "--precision",
            group=SPEED,
            default="auto",
            type=click.Choice(PRECISIONS),
            help="Precision of the arithmetic. auto: mixed_bfloat16 on a GPU, and for plans with TensorFlow on AMX.",
        ),
        option(
            "--lean/--no-lean",
            group=SPEED,
            default=True,
            help="Train with compiled epochs, or with Keras' fit.",
        ),
        option(
            "--memory",
            group=SPEED,
            default="",
            metavar="SIZE",
            shown="an equal share of 90% of the machine's",
            help="Maximum memory of a worker: 2g, 800m.",
        ),
        option(
            "--quiet",
            group=OUTPUT,
            is_flag=True,
            help="Print only the top of the leaderboard.",
        ),
        option(
            "--json",
            "json_lines",
            group=OUTPUT,
            is_flag=True,
            help="Print one JSON object a line, for programs.",
        ),
    )
