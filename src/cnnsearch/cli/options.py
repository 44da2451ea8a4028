"""Options of the command line: how `--help` shows them, and the options that several commands share."""

import copy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

OTHERS = "Options"
MOST_USED = "Used most"
SEARCH = "What to search"
LENGTH = "How long"
DATA = "Data"
RESULTS = "Results"
SPEED = "Speed"
MACHINES = "Machines"
PLACES = "Where things are"
OUTPUT = "Output"
GROUPS = (MOST_USED, SEARCH, LENGTH, DATA, RESULTS, SPEED, MACHINES, PLACES, OUTPUT)
"""The headings of options in `--help`, in their order there."""

NAME_COLUMNS = 24
"""Columns for the names of options in `--help`. A longer name has a line of its own."""


class PluginChoice(click.Choice[str]):
    """The names that cnnsearch has, or the name of a plugin, which is looked up later."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as it is."""
        return value


class Jobs(click.ParamType[int | None]):
    """A number of workers, or `auto`, which is None."""

    name = "jobs"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """The number; None for `auto`."""
        if value == "auto":
            return None
        try:
            return click.IntRange(1).convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is neither a number of trials, 1 or more, nor 'auto'.", param, ctx)


class Option(click.Option):
    """An option with a heading in `--help`. `--help` always shows its default.

    Args:
        group: the heading, one of GROUPS or OTHERS.
        shown: the default in words. For an option whose default depends on something else.
        former: the name in earlier versions. It works, and `--help` does not show it.
    """

    def __init__(self, *names: Any, group: str = OTHERS, shown: str = "", former: str = "", **given: Any) -> None:
        declared = [former, *names[0], attribute_name(names[0][-1])] if former else names[0]
        super().__init__(declared, *names[1:], **given)
        self.group, self.shown, self._former = group, shown, former.split("/")

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
            other = ", or a plugin's" if isinstance(self.type, PluginChoice) else ""
            parts.append(f"One of: {', '.join(map(str, self.type.choices))}{other}.")
        parts.append("[required]" if self.required else f"[default: {self.default_text()}]")
        return " ".join(filter(None, parts))

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The two columns of `--help`."""
        shown = copy.copy(self)
        shown.opts = [name for name in self.opts if name not in self._former]
        shown.secondary_opts = [name for name in self.secondary_opts if name not in self._former]
        record = click.Option.get_help_record(shown, ctx)
        return record and (record[0], self.meaning())

    def make_metavar(self, ctx: click.Context) -> str:
        """The placeholder of the value. The choices are in the help text: they are too long for this column."""
        return self.metavar or ("NAME" if isinstance(self.type, click.Choice) else super().make_metavar(ctx))


def attribute_name(option: str) -> str:
    """The Python name of an option: `trial_timeout` for `--trial-timeout`, `quiet` for `--quiet/--no-quiet`."""
    return option.partition("/")[0].lstrip("-").replace("-", "_")


class GroupedCommand(click.Command):
    """A command whose `--help` shows the options in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each group of options that the command has."""
        groups = by_group(self.get_params(ctx))
        rows = {group: [each.get_help_record(ctx) or ("", "") for each in groups[group]] for group in groups}
        # all sections have the same left column
        width = max((len(left) for part in rows.values() for left, _ in part if len(left) <= NAME_COLUMNS), default=0)
        for group, part in rows.items():
            with formatter.section(group):
                formatter.write_dl([(left.ljust(width), right) for left, right in part], col_max=NAME_COLUMNS)


def by_group(parameters: Iterable[click.Parameter]) -> dict[str, list[click.Option]]:
    """The visible options by their headings, in the order of `--help`."""
    options = [each for each in parameters if isinstance(each, click.Option) and not each.hidden]
    # click itself adds --help, which has no heading
    headings = {each: each.group if isinstance(each, Option) else OUTPUT for each in options}
    order = (OTHERS, *GROUPS)
    return {
        group: [each for each in options if headings[each] == group] for group in order if group in headings.values()
    }


class OptionSpec(NamedTuple):
    """An option before it is attached to a command: its names, and the keyword arguments of Option."""

    names: tuple[str, ...]
    arguments: dict[str, Any]


def spec(*names: str, **arguments: Any) -> OptionSpec:
    """An option of a group. The arguments are those of Option, without `group`."""
    return OptionSpec(names, arguments)


def option(*names: str, **arguments: Any) -> Decorator:
    """A decorator that adds one option to a command. The arguments are those of Option."""
    return click.option(*names, cls=Option, **arguments)


def option_group(heading: str, *specs: OptionSpec) -> Decorator:
    """A decorator that adds several options to a command, under one heading and in this order."""
    return combined(*(option(*each.names, group=heading, **each.arguments) for each in specs))


def combined(*decorators: Decorator) -> Decorator:
    """A decorator that applies several. `--help` shows their options in this order."""

    def decorate(command: Command) -> Command:
        # the decorator that is applied last comes first in `--help`
        for each in reversed(decorators):
            command = each(command)
        return command

    return decorate


study_place_options = option_group(
    PLACES,
    spec(
        "--runs",
        default="runs",
        metavar="FOLDER",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="CNNSEARCH_RUNS",
        help="The folder of studies and checkpoints.",
    ),
    spec(
        "--storage",
        default="",
        metavar="URL",
        envvar="CNNSEARCH_STORAGE",
        shown="a SQLite file in --runs",
        help="Optuna's storage address, such as postgresql://…",
    ),
)

plugin_options = combined(
    option_group(
        PLACES,
        spec(
            "--plugins",
            multiple=True,
            metavar="PATH",
            type=click.Path(path_type=Path),
            envvar="CNNSEARCH_PLUGINS",
            help="A folder or file of your own plugins. Its code is run. May be repeated.",
        ),
    ),
    option_group(
        OUTPUT,
        spec("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."),
    ),
)
"""Where plugins are, and --debug."""

study_options = combined(study_place_options, plugin_options)
"""Where studies and plugins are, and --debug."""

format_option = option(
    "--format",
    "form",
    default="table",
    type=click.Choice(("table", "csv", "json", "md")),
    help="The format of the table.",
)

wide_option = option(
    "--wide",
    is_flag=True,
    help="Show all columns and hyperparameters, in lines that may be longer than the terminal's.",
)
