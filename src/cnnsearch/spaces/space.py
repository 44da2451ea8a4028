"""Loads a search space, checks it against its plugins, and draws points of it."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnsearch.core import metrics
from cnnsearch.core.errors import CnnsearchError, PluginError, SpaceError
from cnnsearch.core.host import process_restored
from cnnsearch.spaces import objective, pickled_model, plugin_options
from cnnsearch.spaces.decorators import ATTRIBUTE
from cnnsearch.spaces.definition import DEFAULTS, STUDY, Space, Use, tuples
from cnnsearch.spaces.hyperparameters import HyperParameters, defaults
from cnnsearch.spaces.import_strings import from_import_string, named
from cnnsearch.spaces.overrides import override
from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.spaces.space_file import KEYS, from_file, from_toml

GIVEN_TO_TRAINERS = ("epochs", "callbacks")
"""Keywords that cnnsearch gives to a trainer. A space cannot set them."""

LARGE = (1024, 1024)
"""The size of images for which points of a space are checked that is made for no size."""

__all__ = [
    "DEFAULTS",
    "KEYS",
    "LARGE",
    "Space",
    "Use",
    "check",
    "check_dataset",
    "check_default",
    "check_options",
    "draw",
    "from_file",
    "from_toml",
    "hypermodel",
    "load",
    "override",
    "start_plan",
    "trainer",
]


def load(reference: str, catalog: Catalog) -> Space:
    """The space with this name, path or import string. Its options are not checked yet.

    Raises:
        CnnsearchError: if there is none.
        SpaceError: if its file cannot be read or is not a space.
    """
    if reference.endswith(".toml"):
        return from_file(Path(reference))
    if ":" in reference or reference.endswith(".py"):
        return from_import_string(reference)
    entry = catalog.get("space", reference)
    if entry.path is not None and entry.path.suffix == ".toml":
        return from_file(entry.path)
    return Space(name=reference, description=entry.summary, model=reference, where=reference)


def check(space: Space, catalog: Catalog) -> Space:
    """`space` with every option checked. Its default point is drawn too, in this process.

    Raises:
        CnnsearchError: if a dimension, dataset or trainer does not exist.
        SpaceError: if an option does not exist, or has a wrong type or range.
    """
    checked = check_options(space, catalog)
    check_default(checked, catalog)
    return checked


def check_options(space: Space, catalog: Catalog) -> Space:
    """`space` with every option checked against the signatures of the plugins. No function of a plugin is called.

    Raises:
        CnnsearchError: if a dimension, dataset or trainer does not exist.
        SpaceError: if an option does not exist, or has a wrong type.
    """
    where = space.where or space.name
    dimensions = []
    for use in space.dimensions:
        function = catalog.get("dimension", use.name, f"{where}: ").function
        assert function is not None
        dimensions.append(Use(use.name, plugin_options.checked(function, use.options, where, use.name)))
    has_data = space.dataset is not None and not space.trains_itself
    dataset = check_dataset(space.dataset, catalog, where) if space.dataset and has_data else space.dataset
    if space.model:
        _check_model(space.model, catalog, where)
    space = dataclasses.replace(
        space, dimensions=tuple(dimensions), dataset=dataset, trainer=_check_trainer(space, catalog, where)
    )
    _check_metric(space, where)
    return space


def _check_metric(space: Space, where: str) -> None:
    """Check the metric. A model or a trainer may report any metric, so those are not checked."""
    if space.model or space.trainer is not None:
        return
    try:
        metrics.check(str(space.defaults["metric"]))
    except CnnsearchError as error:
        raise SpaceError(f"{where}: defaults.metric: {error.message}") from error


def _check_model(model: str, catalog: Catalog, where: str) -> None:
    if model.startswith(STUDY):
        return
    if ":" in model:
        from_import_string(model, f"{where}: model")
    elif catalog.get("space", model, f"{where}: ").function is None:
        raise SpaceError(f"{where}: model '{model}' is a space file; expected a space plugin, or FILE.py:NAME.")


def _check_trainer(space: Space, catalog: Catalog, where: str) -> Use | None:
    if space.trainer is None:
        return None
    name, given = space.trainer
    function = catalog.get("trainer", name, f"{where}: ").function
    assert function is not None
    return Use(name, plugin_options.checked(function, given, where, f"trainer {name}", GIVEN_TO_TRAINERS))


def trainer(space: Space, catalog: Catalog) -> Callable[..., Any] | None:
    """The space's trainer with its options; None if it has none."""
    if space.trainer is None:
        return None
    name, given = space.trainer
    function = catalog.get("trainer", name).function
    assert function is not None
    return functools.partial(function, **tuples(given))


def check_dataset(use: Use, catalog: Catalog, where: str) -> Use:
    """`use` with its options checked.

    Raises:
        CnnsearchError: if there is no such dataset or option.
    """
    function = catalog.get("dataset", use.name, f"{where}: ").function
    assert function is not None
    return Use(use.name, plugin_options.checked(function, use.options, where, f"dataset {use.name}"))


def start_plan(
    space: Space,
    input_shape: tuple[int, ...],
    classes: int,
    epochs: int = 0,
    value_range: tuple[float, float] = (0.0, 255.0),
) -> Plan:
    """The empty plan that the first dimension gets; `value_range` is (low, high) of the pixels."""
    height, width, channels = input_shape
    return Plan(
        input_shape=(height, width, channels),
        classes=classes,
        epochs=epochs or int(space.defaults["epochs"]),
        batch_size=int(space.defaults["batch_size"]),
        value_range=value_range,
    )


def draw(
    space: Space, catalog: Catalog, hp: HyperParameters, plan: Plan, as_space_error: tuple[type[Exception], ...] = ()
) -> Plan:
    """One point of the space: each dimension in turn edits the plan.

    The folder and the recursion limit of the process are the same afterwards, whatever a dimension does to them.

    Raises:
        PluginError: if a dimension does not return a Plan.
        SpaceError: in place of errors of the types `as_space_error` that a dimension raises. Others are not changed.
    """
    for use in space.dimensions:
        try:
            with process_restored():
                plan = _edited(use, catalog, hp, plan)
        except CnnsearchError:
            raise
        except as_space_error as error:
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            raise SpaceError(f"{space.where or space.name}: {use.name}: {kind}{_line(error)}.") from error
    return plan


def hypermodel(space: Space, catalog: Catalog, input_shape: tuple[int, ...], classes: int) -> Any:
    """The HyperModel or `build(hp)` function that `space.model` names.

    Raises:
        PluginError: if it does not import, or is neither of them.
    """
    if ":" in space.model:
        found = _for_hp(named(space.model))
        if getattr(found, ATTRIBUTE, "") == "space":
            return _made(lambda: found(input_shape, classes), space.model)
        return _made(found if isinstance(found, type) else lambda: found, space.model)
    function = catalog.get("space", space.model).function
    assert function is not None
    return _made(lambda: function(input_shape, classes), f"space '{space.model}'")


def register(space: Space) -> None:
    """Register the classes and functions of a pickled model with Keras, so that files that name them can be opened.

    Raises:
        PluginError: if it cannot be read.
    """
    if pickled_model.SUFFIX in space.model:
        named(space.model)


def _for_hp(found: Any) -> Any:
    """`found`; a function of an Optuna `trial` is wrapped as a function of `hp`."""
    if isinstance(found, type) or hasattr(found, "build") or not callable(found):
        return found
    if objective.is_objective(found):
        return objective.OptunaObjective(found)
    if getattr(found, ATTRIBUTE, "") == "space" or list(inspect.signature(found).parameters)[:1] != ["trial"]:
        return found

    def build(hp: Any) -> Any:
        return found(hp.trial)

    for name in ("labels", "fit"):
        if hasattr(found, name):
            setattr(build, name, getattr(found, name))
    return build


def _made(make: Callable[[], Any], what: str) -> Any:
    try:
        made = make()
    except CnnsearchError:
        raise
    except Exception as error:
        raise PluginError(f"{what} cannot be made: {type(error).__name__}: {_line(error)}") from error
    if not callable(getattr(made, "build", made)):
        raise PluginError(f"{what} returns {type(made).__name__}; expected a HyperModel or a function build(hp).")
    return made


def _edited(use: Use, catalog: Catalog, hp: HyperParameters, plan: Plan) -> Plan:
    function = catalog.get("dimension", use.name).function
    assert function is not None
    with hp.name_scope(use.name):
        edited = function(hp, plan, **tuples(use.options))
    if not isinstance(edited, Plan):
        raise PluginError(
            f"dimension '{use.name}' returned {type(edited).__name__}; expected the edited Plan: "
            "end it with `return plan`."
        )
    return edited


def check_default(space: Space, catalog: Catalog) -> None:
    """Draw the default point, so that values out of range are reported before the search starts.

    Errors of other types are not about options. They are left to the worker, which draws the point again.

    Raises:
        CnnsearchError: if the point cannot be drawn.
    """
    # the data is not read yet; the images are so large that every option fits
    plan = start_plan(space, space.input_shape or (*LARGE, 3), 10)
    try:
        draw(space, catalog, HyperParameters(defaults), plan, as_space_error=(ValueError, TypeError, ArithmeticError))
    except CnnsearchError:
        raise
    except Exception:
        return


def _line(error: Exception) -> str:
    return (str(error).partition("\n")[0] or "no reason given").rstrip(".")
