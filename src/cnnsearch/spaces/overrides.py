"""`--set DIMENSION.OPTION=VALUE`: changes of a space's options."""

import dataclasses
import tomllib
from typing import Any

from cnnsearch.core.errors import SpaceError, nearest
from cnnsearch.spaces.definition import Space, Use
from cnnsearch.spaces.space_file import check_plain


def override(space: Space, settings: tuple[str, ...]) -> Space:
    """`space` with each `DIMENSION.OPTION=VALUE` set; also `dataset.OPTION=VALUE` and `trainer.OPTION=VALUE`.

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
    """The name and the value of `--set NAME=VALUE`. The value is read as TOML, else it is a text.

    Raises:
        SpaceError: if it is not of that form.
    """
    name, equals, value = text.partition("=")
    if not (equals and name.strip()):
        raise SpaceError(f"--set {text}: expected {expected}.")
    return name.strip(), _value(value.strip())


def _set(space: Space, name: str, option: str, value: Any) -> Space:
    if name == "dataset":
        if space.trains_itself:
            raise SpaceError(f"--set dataset.{option}: {space.where or space.name} reads its own data. Leave it out.")
        if space.dataset is None:
            raise SpaceError(f"--set dataset.{option}: {space.name} has no dataset. Name one with --dataset.")
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
    """`text` read as TOML; the text itself if it is not TOML or not plain data."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
        check_plain(value, "")
    except (ValueError, RecursionError, SpaceError):
        return text
    return value
