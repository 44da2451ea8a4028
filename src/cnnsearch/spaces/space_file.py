"""What a search space holds, and how it is read from a TOML file and changed by `--set`."""

import dataclasses
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cnnsearch.core.errors import SpaceError, nearest

KEYS = ("description", "dataset", "input_shape", "dimensions", "model", "trainer", "defaults", "recipes")
DEFAULTS: dict[str, Any] = {
    "epochs": 10,
    "batch_size": 128,
    "max_params": 0,
    "max_macs": 0,
    "metric": "val_accuracy",
    "validation": 1 / 6,
}
RECIPE_KEYS: dict[str, type] = {"description": str, "source": str, "reported": dict, "values": dict}


STUDY = "{study}/"
"""Stands in front of the name of a file in the study's own folder, which may be moved."""


class Use(NamedTuple):
    """A plugin by name, with the options a space gives it."""

    name: str
    options: dict[str, Any]

    def located(self, folder: Path) -> "Use":
        """With the paths that lie in the study's `folder`."""
        paths = {k: _located(v, folder) for k, v in self.options.items() if isinstance(v, str)}
        return Use(self.name, {**self.options, **paths})


@dataclass(frozen=True)
class Space:
    """What is searched together. Plain data: `to_dict` and `from_dict` carry it to files and workers.

    `model` is an import string (`file.py:build`, `module:HyperModel`) or the name of a `@space` plugin; with
    it there are no dimensions. `input_shape` (height, width, channels) is what the space is made for, so that it
    can be shown and checked before any data is read; with other data it is empty, and `image_size` (height, width) is
    kept of it.
    """

    name: str
    description: str = ""
    dataset: Use | None = None
    dimensions: tuple[Use, ...] = ()
    model: str = ""
    trainer: Use | None = None
    defaults: dict[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    recipes: dict[str, Any] = field(default_factory=dict)
    where: str = ""
    input_shape: tuple[int, ...] = ()
    image_size: tuple[int, ...] = ()

    @property
    def picture_size(self) -> tuple[int, int] | None:
        """Width and height of the images that the space is made for, where it is made for one size."""
        sides = self.image_size or self.input_shape[:2]
        return (sides[1], sides[0]) if sides else None

    def to_dict(self) -> dict[str, Any]:
        """As plain data, `where` it was read aside."""
        return {**dataclasses.asdict(self), "where": ""}

    def located(self, folder: Path) -> "Space":
        """With the path of a model that lies in the study's `folder`."""
        return dataclasses.replace(self, model=_located(self.model, folder))

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Space":
        """The space that `to_dict` wrote, also after JSON, which knows no tuples."""
        dataset = _again(fields["dataset"]) if fields["dataset"] else None
        dimensions = tuple(_again(use) for use in fields["dimensions"])
        # studies of before had a trainer's bare name
        given = fields["trainer"] or None
        trainer = Use(given, {}) if isinstance(given, str) else _again(given) if given else None
        shape, size = tuple(fields.get("input_shape", ())), tuple(fields.get("image_size", ()))
        changed = {"dataset": dataset, "dimensions": dimensions, "trainer": trainer, "input_shape": shape}
        changed["image_size"] = size
        return cls(**fields | changed)


def _located(path: str, folder: Path) -> str:
    return f"{folder}{os.sep}{path.removeprefix(STUDY)}" if path.startswith(STUDY) else path


def tuples(given: dict[str, Any]) -> dict[str, Any]:
    """Options as a plugin gets them: what JSON or TOML made a list is a tuple."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}


def from_file(path: Path) -> Space:
    """The space of a TOML file.

    Raises:
        SpaceError: if it cannot be read (with the line), or a key is unknown or of a wrong type.
    """
    where = _short(path)
    try:
        # with or without the mark that some editors put in front
        return from_toml(tomllib.loads(path.read_text("utf-8-sig")), path.stem, where)
    except FileNotFoundError:
        raise SpaceError(f"{where}: there is no such file. `cnnsearch spaces` lists the known spaces.") from None
    except OSError as error:
        raise SpaceError(f"{where} cannot be read: {error.strerror}; expected a TOML file.") from error
    except UnicodeDecodeError as error:
        raise SpaceError(f"{where} cannot be read: {error}; expected UTF-8.") from error
    # tomllib gives other errors too for absurd numbers and nesting
    except (ValueError, RecursionError) as error:
        raise SpaceError(f"{where}: this is no valid TOML: {error}.") from error


def from_toml(table: dict[str, Any], name: str, where: str) -> Space:
    """The space that a parsed TOML file describes; `where` stands in front of every error.

    Raises:
        SpaceError: if a key is unknown or of a wrong type.
    """
    _known(table, KEYS, where, "the space")
    _plain(table, where)
    model = _typed(table, "model", str, where)
    if model.startswith(STUDY):
        raise SpaceError(f"{where}: model = '{model}' is a function from Python, which only its own study has.")
    if model and "dimensions" in table:
        raise SpaceError(f"{where}: it has both a model and dimensions; a model draws its hyperparameters itself.")
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


def override(space: Space, settings: tuple[str, ...]) -> Space:
    """`space` with each `DIMENSION.OPTION=VALUE` set; `dataset.` and `trainer.OPTION=VALUE` are for these two.

    Raises:
        SpaceError: if a setting is not of that form, or the space has no such dimension.
    """
    expected = "DIMENSION.OPTION=VALUE, such as filters.first=[16,32]"
    for text in settings:
        target, value = setting(text, expected)
        name, _, option = (part.strip() for part in target.partition("."))
        if not (name and option):
            raise SpaceError(f"--set {text}: expected {expected}.")
        space = _set(space, name, option, value)
    return space


def setting(text: str, expected: str) -> tuple[str, Any]:
    """What `--set NAME=VALUE` says; the value as TOML reads it, or as it stands.

    Raises:
        SpaceError: if it is not of that form.
    """
    name, equals, value = text.partition("=")
    if not (equals and name.strip()):
        raise SpaceError(f"--set {text}: expected {expected}.")
    return name.strip(), _value(value.strip())


def plain_name(name: str) -> str:
    """`name` with nothing in it that a file name or an address could trip over."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name).lstrip(".-")


def _shape(sides: list[Any], where: str) -> tuple[int, ...]:
    if sides and not (len(sides) == 3 and all(type(side) is int and side > 0 for side in sides)):
        raise SpaceError(f"{where}: input_shape is {sides}; expected [height, width, channels], such as [28, 28, 1].")
    return tuple(sides)


def _again(use: Any) -> Use:
    name, options = use
    return Use(name, tuples(options))


def _set(space: Space, name: str, option: str, value: Any) -> Space:
    if name == "dataset":
        if space.dataset is None:
            raise SpaceError(f"--set dataset.{option}: {space.name} names no dataset; say which with --dataset.")
        return dataclasses.replace(space, dataset=_with(space.dataset, option, value))
    if name == "trainer" and space.trainer is not None:
        return dataclasses.replace(space, trainer=_with(space.trainer, option, value))
    names = [use.name for use in space.dimensions]
    if name not in names:
        known = [*names, "dataset"] if space.dataset else names
        raise SpaceError(
            f"--set {name}.{option}: {space.name} has no dimension '{name}'.{nearest(name, known)} "
            f"It has {', '.join(known) or 'none'}."
        )
    changed = (_with(use, option, value) if use.name == name else use for use in space.dimensions)
    return dataclasses.replace(space, dimensions=tuple(changed))


def _with(use: Use, option: str, value: Any) -> Use:
    return Use(use.name, {**use.options, option: value})


def _value(text: str) -> Any:
    """`text` as TOML reads it; as it stands where that is no TOML, or no plain data."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
        _plain(value, "")
    except (ValueError, RecursionError, SpaceError):
        return text
    return value


def _dimensions(items: list[Any], where: str) -> tuple[Use, ...]:
    if not items:
        raise SpaceError(
            f'{where}: there are no dimensions; expected dimensions = [{{ use = "NAME" }}, …], or model = "NAME".'
        )
    uses = tuple(_use(item, where, "dimensions") for item in items)
    names = [use.name for use in uses]
    for twice in (name for name in names if names.count(name) > 1):
        raise SpaceError(f"{where}: dimension '{twice}' is used twice; its parameters would share their names.")
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
"""Tables and arrays in one another; far more than that and Python cannot copy them."""


def _plain(value: Any, where: str, key: str = "", depth: int = 0) -> None:
    """Refuse what TOML has and JSON, which carries spaces to studies and workers, cannot hold."""
    if depth > DEEPEST:
        raise SpaceError(f"{where}: {key} is nested too deep; expected at most {DEEPEST} levels.")
    if isinstance(value, dict):
        for name, item in value.items():
            _plain(item, where, f"{key}.{name}" if key else name, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _plain(item, where, key, depth + 1)
    elif not isinstance(value, str | int | float):
        raise SpaceError(f'{where}: {key} is the date or time {value}; expected a text: "{value}".')
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise SpaceError(f"{where}: {key} is a whole number of more than 64 bits; expected a smaller one.")


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    # RuntimeError: links that lead round in a circle
    except (ValueError, RuntimeError):
        return str(path)
