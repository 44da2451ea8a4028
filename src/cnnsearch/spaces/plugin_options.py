"""Checks the options of a plugin against its function's signature, without importing anything heavy."""

import inspect
import math
from collections.abc import Callable
from typing import Any

from cnnsearch.core.errors import PluginError, SpaceError, nearest


def options(function: Callable[..., Any]) -> dict[str, Any]:
    """The keyword-only options of a plugin function with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def describe(known: dict[str, Any]) -> str:
    """`first=(16, 32, 64) and growth=(1.0, 2.0)`."""
    parts = [name if _is_missing(default) else f"{name}={default!r}" for name, default in known.items()]
    return " and ".join([", ".join(parts[:-1])] * (len(parts) > 1) + parts[-1:]) or "no options"


def checked(
    function: Callable[..., Any], given: dict[str, Any], where: str, name: str, not_options: tuple[str, ...] = ()
) -> dict[str, Any]:
    """`given` with each list as a tuple, and each whole number as a float if the default is a float.

    `not_options` are keywords that cnnsearch gives to the function.

    Raises:
        SpaceError: if there is no such option, or its value has another type than the default.
        PluginError: if the function has an option without a default.
    """
    known = {key: default for key, default in options(function).items() if key not in not_options}
    for key, default in known.items():
        if _is_missing(default):
            raise PluginError(f"{where}: {name}: its option '{key}' has no default; expected one, as for every option.")
    for key in given:
        if key not in known:
            raise SpaceError(f"{where}: {name} has no option '{key}'.{nearest(key, known)} It takes {describe(known)}.")
    return {key: _as(known[key], value, f"{where}: {name}.{key}") for key, value in given.items()}


def _is_missing(default: Any) -> bool:
    return default is inspect.Parameter.empty


def _as(default: Any, value: Any, what: str) -> Any:
    if default is None:
        return tuple(value) if isinstance(value, list) else value
    if not isinstance(default, tuple):
        return _scalar(default, value, what)
    items = value if isinstance(value, list | tuple) else [value]
    if not items and default:
        raise SpaceError(f"{what} is empty; expected one value or more, such as {list(default)}.")
    return tuple(_member(default, item, what) for item in items)


def _member(default: tuple[Any, ...], item: Any, what: str) -> Any:
    """`item` with one of the types in the default; its own type if the default has it."""
    if not default:
        return item
    fitting = [example for example in default if _fits(example, item)]
    own = [example for example in fitting if type(example) is type(item)]
    return _scalar([*own, *fitting, default[0]][0], item, what)


def _scalar(example: Any, value: Any, what: str) -> Any:
    if not _fits(example, value):
        raise SpaceError(f"{what} is {value!r}; expected {_NAMES.get(type(example), 'a value')} such as {example!r}.")
    if type(example) is not float:
        return value
    number = _float(value)
    if math.isfinite(example) and not math.isfinite(number):
        raise SpaceError(f"{what} is {number}; expected a finite number such as {example!r}.")
    return number


def _fits(example: Any, value: Any) -> bool:
    return type(value) is type(example) or (type(example) is float and type(value) is int)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
