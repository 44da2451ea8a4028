"""Keywords of Python functions that stand for options of the command line."""

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import click

from cnnsearch.core.errors import CnnsearchError, nearest

P = ParamSpec("P")
R = TypeVar("R")


def known_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, which tells a keyword that it does not have by the nearest one that it has, in one line."""
    known = [parameter.name for parameter in inspect.signature(function).parameters.values()]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                raise CnnsearchError(
                    f"{function.__name__}() has no keyword '{name}'.{nearest(name, known)} "
                    f"`help(cnnsearch.{function.__name__})` lists all {len(known)}."
                )
        return function(*args, **kwargs)

    return checked


def changed(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `options` that differ from the defaults of `function`'s keywords."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    return {name: value for name, value in options.items() if not _same(value, defaults.get(name))}


def parsed(command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a command as the command line understands them; what is not in `options` has its default.

    Raises:
        CnnsearchError: if the command has no such option, or a value does not fit.
    """
    from cnnsearch.cli import main

    asked = main.main.commands[command]
    try:
        return dict(asked.make_context(command, words(asked, options), auto_envvar_prefix="CNNSEARCH").params)
    except click.UsageError as error:
        raise CnnsearchError(error.format_message()) from error


def words(command: click.Command, options: Mapping[str, Any]) -> list[str]:
    """Options as words of a command line. A dict is `--set KEY=VALUE` for each key; a list repeats the option."""
    found: list[str] = []
    flags = {flag_name(option): option for option in command.params if isinstance(option, click.Option)}
    for name, value in options.items():
        option = flags[name]
        if option.is_flag:
            found += option.opts[-1:] if value else option.secondary_opts[-1:]
            continue
        given = value if isinstance(value, list | tuple) else _pairs(value) if isinstance(value, dict) else [value]
        for each in given:
            found += [] if each is None else [option.opts[-1], str(each)]
    return found


def flag_name(option: click.Parameter) -> str:
    """The keyword that an option is in Python: `trial_timeout` for `--trial-timeout`."""
    return option.opts[-1].lstrip("-").replace("-", "_")


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()]


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))
