"""Options of a plugin function, checked against its signature before anything heavy is imported."""

import inspect
from collections.abc import Callable
from typing import Any

from cnnsearch.errors import SpaceError, nearest


def options(function: Callable[..., Any]) -> dict[str, Any]:
    """The keyword-only options of a plugin function with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def describe(function: Callable[..., Any]) -> str:
    """`first=(16, 32, 64) and growth=(1.0, 2.0)`."""
    parts = [f"{name}={default!r}" for name, default in options(function).items()]
    return " and ".join([", ".join(parts[:-1])] * (len(parts) > 1) + parts[-1:]) or "no options"


def checked(function: Callable[..., Any], given: dict[str, Any], where: str, name: str) -> dict[str, Any]:
    """`given` with lists made tuples and whole numbers floats where the default is one.

    Raises:
        SpaceError: if there is no such option, or its value is of another type than the default.
    """
    known = options(function)
    for key in given:
        if key not in known:
            raise SpaceError(
                f"{where}: {name} has no option '{key}'.{nearest(key, known)} It takes {describe(function)}."
            )
    return {key: _as(known[key], value, f"{where}: {name}.{key}") for key, value in given.items()}


def _as(default: Any, value: Any, what: str) -> Any:
    if isinstance(default, tuple):
        items = value if isinstance(value, list | tuple) else [value]
        if not items:
            raise SpaceError(f"{what} is empty; expected one value or more, such as {list(default)}.")
        return tuple(_member(default, item, what) for item in items)
    return _scalar(default, value, what)


def _member(default: tuple[Any, ...], item: Any, what: str) -> Any:
    """`item` as one of the types that stand in the default."""
    kinds = {type(example): example for example in default}
    if type(item) in kinds:
        return item
    return _scalar(default[0], item, what) if default else item


def _scalar(example: Any, value: Any, what: str) -> Any:
    if isinstance(example, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if example is None or type(value) is type(example):
        return value
    raise SpaceError(f"{what} is {value!r}; expected {_NAMES.get(type(example), 'a value')} such as {example!r}.")


_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
