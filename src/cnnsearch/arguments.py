"""The options of the command line: those that commands share, and the many of `run`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]

SAMPLERS = ("tpe", "random", "gp", "cmaes", "qmc", "grid")
PRUNERS = ("median", "percentile", "halving", "hyperband", "none")
SCHEDULERS = ("auto", "halving", "topk", "none")
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


def places(command: Command) -> Command:
    """The options that say where studies and plugins are."""
    for option in (
        click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."),
        click.option(
            "--plugins",
            multiple=True,
            type=click.Path(path_type=Path),
            envvar="CNNSEARCH_PLUGINS",
            help="A folder or file of your own plugins; its code is run. May be repeated.",
        ),
    ):
        command = option(command)
    return command


def stored(command: Command) -> Command:
    """The options that say where the studies are kept."""
    for option in (
        click.option(
            "--storage",
            default="",
            envvar="CNNSEARCH_STORAGE",
            help="Optuna's storage address, such as postgresql://…  [default: a SQLite file in --runs]",
        ),
        click.option(
            "--runs",
            default="runs",
            show_default=True,
            type=click.Path(path_type=Path, file_okay=False),
            envvar="CNNSEARCH_RUNS",
            help="The folder of studies and checkpoints.",
        ),
    ):
        command = option(command)
    return places(command)


def written(command: Command) -> Command:
    """The option that says how a table is written."""
    return click.option(
        "--format",
        "form",
        default="table",
        show_default=True,
        type=click.Choice(("table", "csv", "json", "md")),
        help="How it is written.",
    )(command)


def searching(command: Command) -> Command:
    """The options of `run`."""
    for option in reversed(
        (
            click.option(
                "--space",
                required=True,
                help="A space's name, a TOML file, or file.py:NAME / module:NAME of a hypermodel.",
            ),
            click.option(
                "--trials",
                default=50,
                show_default=True,
                type=click.IntRange(1),
                help="Trials of the study in all, earlier runs counted.",
            ),
            click.option("--study", help="The study's name.  [default: the space's]"),
            click.option("--epochs", type=click.IntRange(1), help="Most epochs of a trial.  [default: the space's]"),
            click.option(
                "--timeout", default="0", help="End this run after so long: 90, 30m, 2h.  [default: 0, no limit]"
            ),
            click.option("--trial-timeout", default="0", help="End a trial after so long.  [default: 0, no limit]"),
            click.option(
                "--memory",
                default="",
                help="Most memory of a worker: 2g, 800m.  [default: its share of nine tenths of the machine's]",
            ),
            click.option(
                "--jobs",
                type=click.IntRange(1),
                help="Trials side by side.  [default: up to 4 a GPU, else one a core and a GB of memory, up to 4]",
            ),
            click.option(
                "--sampler",
                default="tpe",
                show_default=True,
                type=click.Choice(SAMPLERS),
                help="Which plan comes next.",
            ),
            click.option(
                "--pruner",
                type=click.Choice(PRUNERS),
                help="Who stops early.  [default: median, with rungs none]",
            ),
            click.option(
                "--scheduler",
                default="auto",
                type=click.Choice(SCHEDULERS),
                help="Train all to a first rung, and the best of each rung on from there.  "
                "[default: halving; none where epochs are short, or with a pruner or costs]",
            ),
            click.option(
                "--seed",
                default=0,
                show_default=True,
                type=click.IntRange(0),
                help="Fixes split, sampler and each trial.",
            ),
            click.option("--dataset", help="A dataset's name, npz:PATH or folder:PATH.  [default: the space's]"),
            click.option(
                "--metric", help="What is searched for, such as val_accuracy or val_loss.  [default: the space's]"
            ),
            click.option(
                "--set",
                "settings",
                multiple=True,
                metavar="DIMENSION.OPTION=VALUE",
                help="Change the space. May be repeated.",
            ),
            click.option(
                "--max-params",
                type=click.IntRange(0),
                help="Refuse larger candidates; 0: no limit.  [default: the space's]",
            ),
            click.option(
                "--max-macs",
                type=click.IntRange(0),
                help="Refuse candidates of more multiply-adds.  [default: the space's]",
            ),
            click.option(
                "--max-latency",
                type=click.FloatRange(0),
                default=0,
                help="Refuse candidates that take more milliseconds for an image, in Keras.  [default: 0, no limit]",
            ),
            click.option(
                "--objective",
                metavar="METRIC,COST…",
                help="A metric and costs at once, such as val_accuracy,params; costs: params, macs.",
            ),
            click.option(
                "--precision",
                default="auto",
                show_default=True,
                type=click.Choice(PRECISIONS),
                help="Of the arithmetic; auto: mixed_bfloat16 on a GPU, for plans with TensorFlow on AMX too.",
            ),
            click.option(
                "--lean/--no-lean",
                default=True,
                show_default=True,
                help="Epochs as compiled programs, or Keras' fit.",
            ),
            click.option(
                "--cost-aware/--no-cost-aware",
                default=False,
                show_default=True,
                help="Pass over most expensive draws early on, ever fewer towards the end; not with grid.",
            ),
            click.option(
                "--keep",
                default=5,
                show_default=True,
                type=click.IntRange(1),
                help="How many of the best models stay on disk.",
            ),
            click.option(
                "--confirm",
                default="auto",
                metavar="KxS",
                help="Train the best K again on S fresh seeds; 0: not.  [default: 3x3, unless --recipe]",
            ),
            click.option("--recipe", multiple=True, help="Train only this recipe of the space. May be repeated."),
            click.option("--recipes", is_flag=True, help="Train all recipes of the space first."),
            click.option(
                "--default/--no-default",
                default=True,
                show_default=True,
                help="Whether the space's default point is trained first.",
            ),
            click.option("--space-from-study", is_flag=True, help="Go on under the space the study began with."),
            click.option("--quiet", is_flag=True, help="Print nothing but the leaderboard's top."),
            click.option("--json", "json_lines", is_flag=True, help="One JSON object a line, for programs."),
        )
    ):
        command = option(command)
    return command
