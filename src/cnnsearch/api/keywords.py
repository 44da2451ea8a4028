"""Keywords of Python functions as options of the command line."""

import copy
import functools
import inspect
import json
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import click

from cnnsearch.cli.options import attribute_name
from cnnsearch.core.errors import CnnsearchError, nearest

P = ParamSpec("P")
R = TypeVar("R")

RENAMED = {"lean": "compiled"}
"""Keywords of earlier versions, and what they are called now."""


def known_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """A decorator: an unknown keyword is an error of one line that names the most similar keyword."""
    known = [parameter.name for parameter in inspect.signature(function).parameters.values()]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in list(kwargs):
            now = RENAMED.get(name)
            if now in known and now not in kwargs:
                warnings.warn(f"{function.__name__}({name}=…) is now {now}=…", DeprecationWarning, stacklevel=2)
                kwargs[now] = kwargs.pop(name)
            elif name not in known:
                raise CnnsearchError(
                    f"{function.__name__}() has no keyword '{name}'.{nearest(name, known)} "
                    f"`help(cnnsearch.{function.__name__})` lists all {len(known)}."
                )
        return function(*args, **kwargs)

    return checked


def changed(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The items of `options` that differ from the defaults of `function`'s keywords."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    return {name: value for name, value in options.items() if not _same(value, defaults.get(name))}


OF_ALL_COMMANDS = ("CNNSEARCH_RUNS", "CNNSEARCH_STORAGE", "CNNSEARCH_PLUGINS")
"""The variables of the environment that calls from Python read too."""


def parsed(command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a command, parsed as on the command line. What is not in `options` has its default.

    Of the variables of the environment only OF_ALL_COMMANDS count.

    Raises:
        CnnsearchError: if the command has no such option, or a value is wrong.
    """
    from cnnsearch.cli import main

    asked = copy.copy(main.main.commands[command])
    asked.params = [_without_variable(each) for each in asked.params]
    try:
        return dict(asked.make_context(command, words(asked, options)).params)
    except click.UsageError as error:
        raise CnnsearchError(error.format_message()) from error


def _without_variable(option: click.Parameter) -> click.Parameter:
    """The option without a variable of its command alone."""
    own = copy.copy(option)
    own.envvar = option.envvar if option.envvar in OF_ALL_COMMANDS else None
    return own


def words(command: click.Command, options: Mapping[str, Any]) -> list[str]:
    """Options as arguments of a command line. A dict is `--set KEY=VALUE` for each key; a list repeats the option."""
    found: list[str] = []
    flags = {flag_name(option): option for option in command.params if isinstance(option, click.Option)}
    for name, value in options.items():
        option = flags[name]
        if option.is_flag:
            found += option.opts[-1:] if value else option.secondary_opts[-1:]
            continue
        for each in _each(name, value, option):
            found += [option.opts[-1], str(each)]
    return found


def flag_name(option: click.Parameter) -> str:
    """The Python keyword of an option: `trial_timeout` for `--trial-timeout`."""
    return attribute_name(option.opts[-1])


def _each(name: str, value: Any, option: click.Option) -> list[Any]:
    """The values of an option, more than one only if it may be repeated.

    Raises:
        CnnsearchError: if there are more values than it takes.
    """
    if isinstance(value, dict):
        return [f"{key}={_text(name, each)}" for key, each in value.items()]
    given = [each for each in (value if isinstance(value, list | tuple) else [value]) if each is not None]
    if option.multiple or len(given) < 2:
        return given
    one, form = "x".join(map(str, given)), option.metavar or ""
    if "x" not in form:
        raise CnnsearchError(f"{name}={value!r}: expected one value.")
    # (96, 96) is 96x96; other pairs may be meant in another order, as Keras has the height first
    if len(set(given)) > 1:
        raise CnnsearchError(f'{name}={value!r}: expected {form} as one text, such as "{one}".')
    return [one]


def _text(name: str, value: Any) -> str:
    """A value of a dict as on the command line: a text, or JSON, which is TOML too."""
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)

    def plain(each: Any) -> Any:
        if isinstance(each, os.PathLike):
            return os.fspath(each)
        if hasattr(each, "tolist"):
            return each.tolist()
        raise CnnsearchError(f"{name}: {each!r} cannot be a value; expected numbers, texts, True, False or lists.")

    return json.dumps(value, default=plain)


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default))
