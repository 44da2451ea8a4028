"""The command `cnnsearch`: its subcommands, how it prints errors, and how it ends."""

import atexit
import os
import sys
import threading
import time
import traceback
from collections.abc import Collection
from typing import Any

import click

from cnnsearch.cli.export_commands import export, predict
from cnnsearch.cli.options import GroupedCommand, attribute_name
from cnnsearch.cli.plugin_commands import check, datasets, new, plugins, recipes, spaces
from cnnsearch.cli.result_commands import compare, leaderboard, report, reproduce
from cnnsearch.cli.search_commands import confirm, run
from cnnsearch.cli.service_commands import doctor, ui
from cnnsearch.cli.study_commands import delete, studies
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.version import VERSION

COMMANDS = (
    *(run, confirm),
    *(leaderboard, compare, export, predict, report, reproduce),
    *(studies, delete),
    *(spaces, recipes, plugins, datasets, check, new),
    *(ui, doctor),
)


class Cli(click.Group):
    """Prints an error as one line. With --debug it prints the traceback, too."""

    command_class = GroupedCommand

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command; without arguments here, as a program, which ends although a plugin left a thread running."""
        before = set(threading.enumerate())
        try:
            return super().main(*args, **extra)
        except SystemExit as ended:
            if not (args or extra):
                end_with_threads(before, ended.code)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand.

        Raises:
            CnnsearchError: instead of an exception that is a bug in cnnsearch.
        """
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            if _debug(ctx):
                traceback.print_exc()
            raise
        except Exception as error:
            if _debug(ctx):
                raise
            first = str(error).partition("\n")[0]
            message = f"{type(error).__name__}: {first}. This is a bug in cnnsearch. --debug shows the traceback."
            raise CnnsearchError(message) from error


THREADS_MAY_TAKE = 1.0
"""Seconds in which the threads that a plugin left running may end by themselves."""


def end_with_threads(before: Collection[threading.Thread], code: object) -> None:
    """End the process if other threads than those of `before` would keep it from ending; `code` is the exit code."""
    pools = sys.modules.get("concurrent.futures.thread")
    # Python ends the threads of a pool by itself
    pooled = getattr(pools, "_threads_queues", ())
    left = [each for each in threading.enumerate() if not each.daemon and each not in before and each not in pooled]
    until = time.monotonic() + THREADS_MAY_TAKE
    for each in left:
        each.join(max(0.0, until - time.monotonic()))
    left = [each for each in left if each.is_alive()]
    if not left:
        return
    click.echo(f"A plugin left a thread running ({left[0].name}). It was ended with the command.", err=True)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


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
    cnnsearch leaderboard                           the ranked trials
    cnnsearch report                                the results as one page
    cnnsearch ui                                    every trial in MLflow
    cnnsearch export --best                         the best model as files

    Every option can be set in the environment: CNNSEARCH_RUN_TRIALS=50 for `run --trials 50`.
    """


def _name_variables(name: str, command: click.Command) -> None:
    """Name an option's variable after its flag: `CNNSEARCH_RUN_SET` for `run --set`.

    click names it after the Python parameter, which can differ from the flag.
    """
    for each in command.params:
        flag = attribute_name(each.opts[-1])
        if isinstance(each, click.Option) and each.name != flag and not each.envvar:
            each.envvar = f"CNNSEARCH_{name}_{flag}".upper()


for _command in COMMANDS:
    main.add_command(_command)
    _name_variables(str(_command.name), _command)

if __name__ == "__main__":
    main()
