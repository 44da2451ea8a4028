"""Checks and lists the recipes of a space, which are named points of it."""

from collections.abc import Callable
from typing import Any, TypeVar

from cnnsearch.core.errors import CnnsearchError, SpaceError, nearest
from cnnsearch.spaces.cost import Cost, cost
from cnnsearch.spaces.distributions import Distribution, Value
from cnnsearch.spaces.hyperparameters import HyperParameters, replay
from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.spaces.space import Space, draw, start_plan

Drawn = TypeVar("Drawn")

ORIGIN = "recipe "
"""The origin of a recipe's trial is this and the recipe's name."""

FALLBACK_SHAPE = (28, 28, 1)


def chosen(space: Space, names: tuple[str, ...], all_of_them: bool) -> dict[str, dict[str, Any]]:
    """The values that the recipes in `names`, or all recipes of the space, set. A worker completes the points.

    Raises:
        CnnsearchError: if the space has no such recipe.
    """
    for name in names:
        if name not in space.recipes:
            known = ", ".join(space.recipes) or "none"
            suggestion = nearest(name, space.recipes)
            raise CnnsearchError(f"Space {space.name} has no recipe '{name}'.{suggestion} It has {known}.")
    return {name: space.recipes[name].get("values", {}) for name in (space.recipes if all_of_them else names)}


def point(
    space: Space, catalog: Catalog, name: str, shape: tuple[int, ...] = FALLBACK_SHAPE
) -> tuple[dict[str, Any], Plan]:
    """The complete point of a recipe, with defaults for what it does not set, and its plan.

    `shape` is that of the images if the space does not name one.

    Raises:
        SpaceError: if it sets a hyperparameter that is not drawn, or a value out of range.
    """
    start = start_plan(space, space.input_shape or shape, 10)
    return whole(space, name, lambda hp: draw(space, catalog, hp, start, as_space_error=(Exception,)))


def whole(
    space: Space, name: str, made: Callable[[HyperParameters], Drawn], values: dict[str, Any] | None = None
) -> tuple[dict[str, Any], Drawn]:
    """The complete point of a recipe, and the result of `made`, which draws it.

    Args:
        values: what the recipe sets; None: what the space says.

    Raises:
        SpaceError: if it sets a hyperparameter that is not drawn, or a value out of range.
    """
    values = space.recipes[name].get("values", {}) if values is None else values
    where = f"{space.where or space.name}: recipe '{name}'"
    replayed = replay(values)

    def checked(key: str, distribution: Distribution) -> Value:
        value = replayed(key, distribution)
        if not distribution.contains(value):
            raise SpaceError(f"{where}: {key} = {value!r} is not in {distribution}.")
        return int(value) if distribution.kind == "int" and value is not None else value

    hp = HyperParameters(checked)
    drawn = made(hp)
    for key in values:
        if key not in hp.space:
            suggestion = nearest(key, hp.space)
            raise SpaceError(f"{where}: no hyperparameter '{key}' is drawn there.{suggestion}")
    return dict(hp.values), drawn


def listing(space: Space, catalog: Catalog) -> list[tuple[str, str, str, str, str]]:
    """(space, recipe, parameters, reported, description) of each recipe of a space."""
    rows = []
    for name, recipe in space.recipes.items():
        reported = ", ".join(f"{key} {value}" for key, value in recipe.get("reported", {}).items())
        # the parameters of a model are known only when it is built
        params = "" if space.model else f"{_cost(space, catalog, name).params:,}"
        rows.append((space.name, name, params, reported, str(recipe.get("description", ""))))
    return rows


def _cost(space: Space, catalog: Catalog, name: str) -> Cost:
    plan = point(space, catalog, name)[1]
    try:
        return cost(plan)
    except ValueError as error:
        raise SpaceError(f"{space.where or space.name}: recipe '{name}': {error}.") from error
