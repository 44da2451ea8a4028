"""A search space: a TOML file, a function of a plugin, or a hypermodel by import string."""

import dataclasses
import importlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cnnsearch import options
from cnnsearch.catalog import Catalog, import_file
from cnnsearch.errors import CnnsearchError, PluginError, SpaceError, nearest
from cnnsearch.hyperparameters import HyperParameters, by_chance, defaults
from cnnsearch.plan import Plan

KEYS = ("description", "dataset", "dimensions", "defaults", "recipes", "trainer")
DEFAULTS: dict[str, Any] = {
    "epochs": 10,
    "batch_size": 128,
    "max_params": 0,
    "max_macs": 0,
    "metric": "val_accuracy",
    "validation": 1 / 6,
}
RECIPE_KEYS = ("description", "source", "reported", "values")


class Use(NamedTuple):
    """A plugin by name, with the options a space gives it."""

    name: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Space:
    """What is searched together. Plain data: `to_dict` and `from_dict` carry it to files and workers.

    `model` is an import string (`file.py:build`, `module:HyperModel`) or the name of a `@space` plugin; with
    it there are no dimensions.
    """

    name: str
    description: str = ""
    dataset: Use | None = None
    dimensions: tuple[Use, ...] = ()
    model: str = ""
    trainer: str = ""
    defaults: dict[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    recipes: dict[str, Any] = field(default_factory=dict)
    where: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain data, `where` it was read aside."""
        return {**dataclasses.asdict(self), "where": ""}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Space":
        """The space that `to_dict` wrote, also after JSON."""
        dataset = Use(*fields["dataset"]) if fields["dataset"] else None
        dimensions = tuple(Use(*use) for use in fields["dimensions"])
        return cls(**fields | {"dataset": dataset, "dimensions": dimensions})

    def searched(self) -> dict[str, Any]:
        """The part of the space that a study cannot change half way."""
        fields = self.to_dict()
        return {key: fields[key] for key in ("dimensions", "model", "trainer")}


def load(reference: str, catalog: Catalog) -> Space:
    """The space under this name, path or import string; not checked against its dimensions yet.

    Raises:
        CnnsearchError: if there is none.
        SpaceError: if its file cannot be read or is no space.
    """
    if reference.endswith(".toml"):
        return from_file(Path(reference))
    if ":" in reference:
        return Space(name=_plain(reference.rpartition(":")[2]), model=reference, where=reference)
    entry = catalog.get("space", reference)
    if entry.path is not None and entry.path.suffix == ".toml":
        return from_file(entry.path)
    return Space(name=reference, description=entry.summary, model=reference, where=reference)


def from_file(path: Path) -> Space:
    """The space of a TOML file.

    Raises:
        SpaceError: if it cannot be read (with the line), or a key is unknown or of a wrong type.
    """
    where = _short(path)
    try:
        return from_toml(tomllib.loads(path.read_text("utf-8")), path.stem, where)
    except FileNotFoundError:
        raise SpaceError(f"{where}: there is no such file. `cnnsearch spaces` lists the known spaces.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{where} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise SpaceError(f"{where}: this is no valid TOML: {error}.") from error


def from_toml(table: dict[str, Any], name: str, where: str) -> Space:
    """The space that a parsed TOML file describes; `where` stands in front of every error."""
    _known(table, KEYS, where, "the space")
    uses = _typed(table, "dimensions", list, where, [])
    if not uses:
        raise SpaceError(f'{where}: there are no dimensions; expected dimensions = [{{ use = "NAME" }}, …].')
    dimensions = tuple(_use(item, where, "dimensions") for item in uses)
    names = [use.name for use in dimensions]
    for twice in (name for name in names if names.count(name) > 1):
        raise SpaceError(f"{where}: dimension '{twice}' is used twice; its parameters would share their names.")
    return Space(
        name=_plain(name),
        description=_typed(table, "description", str, where, ""),
        dataset=_use(table["dataset"], where, "dataset") if "dataset" in table else None,
        dimensions=dimensions,
        trainer=_typed(table, "trainer", str, where, ""),
        defaults=_defaults(_typed(table, "defaults", dict, where, {}), where),
        recipes=_recipes(_typed(table, "recipes", dict, where, {}), where),
        where=where,
    )


def override(space: Space, settings: tuple[str, ...]) -> Space:
    """`space` with each `DIMENSION.OPTION=VALUE` set; `dataset.OPTION=VALUE` is for its dataset.

    Raises:
        SpaceError: if a setting is not of that form, or the space has no such dimension.
    """
    for setting in settings:
        target, equals, text = setting.partition("=")
        name, dot, option = target.strip().partition(".")
        if not (equals and dot and option):
            raise SpaceError(f"--set {setting}: expected DIMENSION.OPTION=VALUE, such as filters.first=[16,32].")
        space = _set(space, name, option, _value(text.strip()))
    return space


def check(space: Space, catalog: Catalog) -> Space:
    """`space` with every option checked against its dimension, and 20 points of it drawn.

    Raises:
        CnnsearchError: if a dimension, dataset or trainer does not exist.
        SpaceError: if an option does not exist, or has a wrong type or range.
    """
    where = space.where or space.name
    dimensions = []
    for use in space.dimensions:
        function = catalog.get("dimension", use.name, f"{where}: ").function
        assert function is not None
        dimensions.append(Use(use.name, options.checked(function, use.options, where, use.name)))
    dataset = check_dataset(space.dataset, catalog, where) if space.dataset else None
    if space.trainer:
        catalog.get("trainer", space.trainer, f"{where}: ")
    space = dataclasses.replace(space, dimensions=tuple(dimensions), dataset=dataset)
    if space.dimensions:
        _try_points(space, catalog)
    return space


def check_dataset(use: Use, catalog: Catalog, where: str) -> Use:
    """`use` with its options checked.

    Raises:
        CnnsearchError: if there is no such dataset or option.
    """
    function = catalog.get("dataset", use.name, f"{where}: ").function
    assert function is not None
    return Use(use.name, options.checked(function, use.options, where, f"dataset {use.name}"))


def start_plan(space: Space, input_shape: tuple[int, ...], classes: int, epochs: int = 0) -> Plan:
    """The empty plan that the first dimension gets."""
    height, width, channels = input_shape
    return Plan(
        input_shape=(height, width, channels),
        classes=classes,
        epochs=epochs or int(space.defaults["epochs"]),
        batch_size=int(space.defaults["batch_size"]),
    )


def draw(space: Space, catalog: Catalog, hp: HyperParameters, plan: Plan) -> Plan:
    """One point of the space: each dimension in turn edits the plan.

    Raises:
        PluginError: if a dimension returns no Plan.
    """
    for use in space.dimensions:
        function = catalog.get("dimension", use.name).function
        assert function is not None
        with hp.name_scope(use.name):
            edited = function(hp, plan, **_tuples(use.options))
        if not isinstance(edited, Plan):
            raise PluginError(
                f"dimension '{use.name}' returned {type(edited).__name__}; expected the edited Plan: "
                "end it with `return plan`."
            )
        plan = edited
    return plan


def hypermodel(space: Space, catalog: Catalog, input_shape: tuple[int, ...], classes: int) -> Any:
    """The HyperModel or `build(hp)` function that `space.model` names.

    Raises:
        PluginError: if it does not import, or is neither.
    """
    if ":" not in space.model:
        function = catalog.get("space", space.model).function
        assert function is not None
        return function(input_shape, classes)
    module_name, _, name = space.model.rpartition(":")
    module = _module(module_name)
    if not hasattr(module, name):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise PluginError(f"{module_name} has no '{name}'.{nearest(name, public)}")
    found = getattr(module, name)
    return found() if isinstance(found, type) else found


def _module(name: str) -> Any:
    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise PluginError(f"{name}: there is no such file.")
        return import_file(path)
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise PluginError(f"module {name} does not import: {type(error).__name__}: {error}") from error


def _try_points(space: Space, catalog: Catalog) -> None:
    """Values out of range show at once, and not in the middle of a search."""
    plan = start_plan(space, (32, 32, 3), 10)
    for draws in (defaults, *(by_chance(seed) for seed in range(20))):
        try:
            draw(space, catalog, HyperParameters(draws), plan)
        except CnnsearchError:
            raise
        except Exception as error:
            frame = error.__traceback__
            names = set()
            while frame is not None:
                names.add(frame.tb_frame.f_code.co_name)
                frame = frame.tb_next
            culprit = next((use.name for use in space.dimensions if use.name in names), "a dimension")
            raise SpaceError(f"{space.where or space.name}: {culprit}: {error}.") from error


def _set(space: Space, name: str, option: str, value: Any) -> Space:
    if name == "dataset" and space.dataset is not None:
        return dataclasses.replace(space, dataset=Use(space.dataset.name, {**space.dataset.options, option: value}))
    names = [use.name for use in space.dimensions]
    if name not in names:
        raise SpaceError(
            f"--set {name}.{option}: {space.name} has no dimension '{name}'.{nearest(name, names)} "
            f"It has {', '.join([*names, 'dataset'])}."
        )
    changed = (Use(use.name, {**use.options, option: value}) if use.name == name else use for use in space.dimensions)
    return dataclasses.replace(space, dimensions=tuple(changed))


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _use(item: Any, where: str, what: str) -> Use:
    if isinstance(item, str):
        return Use(item, {})
    if not isinstance(item, dict) or not isinstance(item.get("use"), str):
        raise SpaceError(f'{where}: {what}: expected a name or {{ use = "NAME", … }}, got {item!r}.')
    return Use(item["use"], {key: value for key, value in item.items() if key != "use"})


def _defaults(given: dict[str, Any], where: str) -> dict[str, Any]:
    _known(given, DEFAULTS, where, "[defaults]")
    for key, value in given.items():
        if type(value) is not type(DEFAULTS[key]):
            raise SpaceError(f"{where}: defaults.{key} is {value!r}; expected a value such as {DEFAULTS[key]!r}.")
    return {**DEFAULTS, **given}


def _recipes(given: dict[str, Any], where: str) -> dict[str, Any]:
    for name, recipe in given.items():
        if not isinstance(recipe, dict) or not isinstance(recipe.get("values", {}), dict):
            raise SpaceError(f"{where}: recipe '{name}' must be a table with a table `values`.")
        _known(recipe, RECIPE_KEYS, where, f"recipe '{name}'")
    return given


def _known(table: dict[str, Any], keys: Any, where: str, what: str) -> None:
    for key in table:
        if key not in keys:
            raise SpaceError(f"{where}: {what} has no key '{key}'.{nearest(key, keys)} It takes {', '.join(keys)}.")


def _typed(table: dict[str, Any], key: str, kind: type, where: str, default: Any) -> Any:
    value = table.get(key, default)
    if type(value) is not kind:
        raise SpaceError(f"{where}: {key} is {value!r}; expected a {_TOML_NAMES[kind]}.")
    return value


_TOML_NAMES: dict[type, str] = {str: "text", list: "array", dict: "table"}


def _tuples(given: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}


def _plain(name: str) -> str:
    """`name` with nothing in it that a file name or an address could trip over."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name).lstrip(".")


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
