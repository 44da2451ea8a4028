"""Reads a search space from a TOML file and checks its keys and types."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import SpaceError, nearest
from cnnsearch.spaces.definition import DEFAULTS, STUDY, Space, Use

KEYS = ("description", "dataset", "input_shape", "dimensions", "model", "trainer", "defaults", "recipes")
RECIPE_KEYS: dict[str, type] = {"description": str, "source": str, "reported": dict, "values": dict}


def from_file(path: Path) -> Space:
    """The space of a TOML file.

    Raises:
        SpaceError: if it cannot be read (with the line), or a key is unknown or of a wrong type.
    """
    where = _short(path)
    try:
        # with or without a byte order mark
        return from_toml(tomllib.loads(path.read_text("utf-8-sig")), path.stem, where)
    except FileNotFoundError:
        raise SpaceError(f"{where}: there is no such file. `cnnsearch spaces` lists the known spaces.") from None
    except OSError as error:
        raise SpaceError(f"{where} cannot be read: {error.strerror}; expected a TOML file.") from error
    except UnicodeDecodeError as error:
        raise SpaceError(f"{where} cannot be read: {error}; expected UTF-8.") from error
    # tomllib raises other errors too, for very long numbers and deep nesting
    except (ValueError, RecursionError) as error:
        raise SpaceError(f"{where}: this is not valid TOML: {error}.") from error


def from_toml(table: dict[str, Any], name: str, where: str) -> Space:
    """The space that a parsed TOML file describes. Every error begins with `where`.

    Raises:
        SpaceError: if a key is unknown or of a wrong type.
    """
    _known(table, KEYS, where, "the space")
    check_plain(table, where)
    model = _typed(table, "model", str, where)
    if model.startswith(STUDY):
        raise SpaceError(f"{where}: model = '{model}' is a Python function that is stored only in its own study.")
    if model and "dimensions" in table:
        raise SpaceError(f"{where}: it has both a model and dimensions; expected one of them.")
    return Space(
        name=plain_name(name),
        description=_typed(table, "description", str, where),
        dataset=_use(table["dataset"], where, "dataset") if "dataset" in table else None,
        input_shape=_shape(_typed(table, "input_shape", list, where), where),
        dimensions=() if model else _dimensions(_typed(table, "dimensions", list, where), where),
        model=model,
        trainer=_use(table["trainer"], where, "trainer") if "trainer" in table else None,
        defaults=_defaults(_typed(table, "defaults", dict, where), where),
        recipes=_recipes(_typed(table, "recipes", dict, where), where),
        where=where,
    )


def plain_name(name: str) -> str:
    """`name` with only letters, digits, `-`, `_` and `.`, so that it can be a file name or part of an address."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name).lstrip(".-")


def _shape(sides: list[Any], where: str) -> tuple[int, ...]:
    if sides and not (len(sides) == 3 and all(type(side) is int and side > 0 for side in sides)):
        raise SpaceError(f"{where}: input_shape is {sides}; expected [height, width, channels], such as [28, 28, 1].")
    return tuple(sides)


def _dimensions(items: list[Any], where: str) -> tuple[Use, ...]:
    if not items:
        raise SpaceError(
            f'{where}: there are no dimensions; expected dimensions = [{{ use = "NAME" }}, …], or model = "NAME".'
        )
    uses = tuple(_use(item, where, "dimensions") for item in items)
    names = [use.name for use in uses]
    for twice in (name for name in names if names.count(name) > 1):
        raise SpaceError(f"{where}: dimension '{twice}' is used twice; its hyperparameters would have the same names.")
    return uses


def _use(item: Any, where: str, what: str) -> Use:
    if isinstance(item, str):
        return Use(item, {})
    if not isinstance(item, dict) or not isinstance(item.get("use"), str):
        raise SpaceError(f'{where}: {what}: expected a name or {{ use = "NAME", … }}, got {item!r}.')
    return Use(item["use"], {key: value for key, value in item.items() if key != "use"})


_VALID: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "epochs": ("a whole number of at least 1", lambda value: value >= 1),
    "batch_size": ("a whole number of at least 1", lambda value: value >= 1),
    "max_params": ("a whole number, or 0 for no limit", lambda value: value >= 0),
    "max_macs": ("a whole number, or 0 for no limit", lambda value: value >= 0),
    "metric": ("the name of a metric such as 'val_accuracy'", bool),
    "validation": ("a fraction between 0 and 1, such as 0.2", lambda value: 0 < value < 1),
}


def _defaults(given: dict[str, Any], where: str) -> dict[str, Any]:
    _known(given, DEFAULTS, where, "[defaults]")
    for key, value in given.items():
        expected, valid = _VALID[key]
        if type(value) is not type(DEFAULTS[key]) or not valid(value):
            raise SpaceError(f"{where}: defaults.{key} is {value!r}; expected {expected}.")
    return {**DEFAULTS, **given}


def _recipes(given: dict[str, Any], where: str) -> dict[str, Any]:
    for name in given:
        recipe = _typed(given, name, dict, f"{where}: recipes")
        _known(recipe, RECIPE_KEYS, where, f"recipe '{name}'")
        for key, kind in RECIPE_KEYS.items():
            _typed(recipe, key, kind, f"{where}: recipe '{name}'")
    return given


def _known(table: dict[str, Any], keys: Any, where: str, what: str) -> None:
    for key in table:
        if key not in keys:
            raise SpaceError(f"{where}: {what} has no key '{key}'.{nearest(key, keys)} It takes {', '.join(keys)}.")


def _typed(table: dict[str, Any], key: str, kind: type, where: str) -> Any:
    value = table.get(key, kind())
    if type(value) is not kind:
        raise SpaceError(f"{where}: {key} is {value!r}; expected {_TOML_NAMES[kind]}.")
    return value


_TOML_NAMES: dict[type, str] = {str: "a text", list: "an array", dict: "a table"}


DEEPEST = 20
"""How deep tables and arrays may be nested; Python cannot copy much deeper ones."""


def check_plain(value: Any, where: str, key: str = "", depth: int = 0) -> None:
    """Check that JSON can hold a value of a TOML file, because studies and workers get spaces as JSON.

    Raises:
        SpaceError: for dates, integers of more than 64 bits, and deep nesting.
    """
    if depth > DEEPEST:
        raise SpaceError(f"{where}: {key} is nested too deep; expected at most {DEEPEST} levels.")
    if isinstance(value, dict):
        for name, item in value.items():
            check_plain(item, where, f"{key}.{name}" if key else name, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check_plain(item, where, key, depth + 1)
    elif not isinstance(value, str | int | float):
        raise SpaceError(f'{where}: {key} is the date or time {value}; expected a text: "{value}".')
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise SpaceError(f"{where}: {key} is a whole number of more than 64 bits; expected a smaller one.")


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    # RuntimeError: links in a circle
    except (ValueError, RuntimeError):
        return str(path)
