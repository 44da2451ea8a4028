"""Finds and loads plugins and space files, and records where each comes from."""

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from cnnsearch.core.errors import CnnsearchError, PluginError, first_line, nearest
from cnnsearch.spaces.decorators import ATTRIBUTE, KINDS

GROUP = "cnnsearch"


class Entry(NamedTuple):
    """A plugin or a space file. If it is broken, `problem` says why."""

    kind: str
    name: str
    origin: str
    function: Callable[..., Any] | None = None
    path: Path | None = None
    problem: str = ""

    @property
    def summary(self) -> str:
        """The first line of the docstring, or the problem."""
        if self.problem:
            return f"broken: {self.problem}"
        return (inspect.getdoc(self.function) or "").partition("\n")[0] if self.function else ""


class Catalog:
    """All entries, sorted by kind, name and origin."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(sorted(_one_each(entries), key=lambda entry: entry[:3]))

    def of(self, kind: str) -> tuple[Entry, ...]:
        """The entries of one kind."""
        return tuple(entry for entry in self.entries if entry.kind == kind)

    def names(self, kind: str) -> list[str]:
        """The names of one kind."""
        return [entry.name for entry in self.of(kind)]

    def get(self, kind: str, name: str, where: str = "") -> Entry:
        """The entry of this kind and name.

        Raises:
            CnnsearchError: if there is none; the message has the nearest name.
            PluginError: if it is broken.
        """
        for entry in self.of(kind):
            if entry.name == name:
                if entry.problem:
                    raise PluginError(f"{where}{kind} '{name}' ({entry.origin}) is broken: {entry.problem}")
                return entry
        broken = [entry for entry in self.of("plugin") if entry.name == name]
        if broken:
            raise PluginError(f"{where}plugin '{name}' ({broken[0].origin}) is broken: {broken[0].problem}")
        known = self.names(kind)
        listing = {"space": "spaces", "dataset": "datasets"}.get(kind, "plugins")
        unread = ", ".join(self.names("plugin"))
        meant = nearest(name, known)
        raise CnnsearchError(
            f"{where}there is no {kind} '{name}'.{meant} "
            + (f"`cnnsearch {listing}` lists all {len(known)}." if known else f"There is no {kind} at all yet.")
            + ("" if meant else " For a plugin of your own, give its folder: --plugins DIR.")
            + (f" The plugins in {unread} are broken, so they are not listed." if unread else "")
        )


def load(folders: Iterable[Path] = (), here: Path | None = None) -> Catalog:
    """All plugins and spaces: shipped, installed, in `folders`, and the space files of `here`.

    Code is run only from installed packages and from `folders`. From `here` (by default the current folder) only TOML
    files are read, so that a command in a downloaded folder never runs the code of that folder.

    Raises:
        PluginError: if one of `folders` does not exist.
    """
    shipped = shipped_folder()
    entries = [*_modules(shipped / "plugins", "shipped"), *_spaces(shipped / "search_spaces", "shipped")]
    entries += _installed()
    for folder in folders:
        # os.access returns False for a name that is too long; Path.exists would raise
        if not os.access(folder, os.F_OK):
            raise PluginError(f"--plugins {folder}: there is no such folder or file.")
        entries += _modules(folder, f"local {folder}")
        entries += [
            *_spaces(folder, f"local {folder}"),
            *_spaces(folder / "search_spaces", f"local {folder}"),
        ]
    return Catalog([*entries, *_spaces((here or Path.cwd()) / "search_spaces", "local ./search_spaces")])


def shipped_folder() -> Path:
    """The folder of the shipped plugins and spaces: the root of the checkout, or a folder in the wheel."""
    package = Path(__file__).parents[1]
    checkout = package.parents[1]
    return checkout if (checkout / "plugins" / "dimensions").is_dir() else package / "_shipped"


def import_file(path: Path) -> ModuleType:
    """The module of a Python file, under a unique name.

    Raises:
        PluginError: if it does not import.
    """
    name = f"cnnsearch_plugin_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path}: this is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _broken(name, str(path)):
        spec.loader.exec_module(module)
    return module


def import_named(name: str) -> ModuleType:
    """The module `name`, or the module of the Python file `name`.

    It can import files of its own folder. Installed packages come first, so no file there hides them.

    Raises:
        PluginError: if it does not import.
    """
    path = Path(name)
    beside = str(path.resolve().parent if path.suffix == ".py" else Path.cwd())
    if beside not in sys.path:
        sys.path.append(beside)
    if path.suffix == ".py":
        return import_file(path)
    with _broken(name, f"module {name}"):
        return importlib.import_module(name)


@contextlib.contextmanager
def _broken(name: str, where: str) -> Iterator[None]:
    """Inside, any error of an import (also SystemExit) becomes a PluginError with its reason."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        sys.modules.pop(name, None)
        reason = first_line(error) or "no reason given"
        raise PluginError(f"{where} does not import: {type(error).__name__}: {reason}") from error


def classify(module: ModuleType, origin: str, path: Path | None = None) -> list[Entry]:
    """The marked functions and classes that `module` defines, or a module inside it if it is a package."""
    entries = []
    for name, value in sorted(vars(module).items()):
        # getattr_static, because a lazy object may run code if an attribute is read; a subclass is not marked
        own = vars(value) if isinstance(value, type) else {ATTRIBUTE: inspect.getattr_static(value, ATTRIBUTE, None)}
        kind = own.get(ATTRIBUTE)
        if kind in KINDS and f"{value.__module__}.".startswith(f"{module.__name__}."):
            entries.append(Entry(kind, name, origin, value, path))
    return entries


def _modules(folder: Path, origin: str) -> list[Entry]:
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.py"))
    entries: list[Entry] = []
    for path in files:
        inside = path.relative_to(folder).parts if path != folder else ()
        if path.name.startswith(("_", ".", "test_", "conftest")) or any(p.startswith(".") for p in inside):
            continue
        entries += _load(path.stem, origin, path, partial(import_file, path))
    return entries


def _installed() -> list[Entry]:
    entries: list[Entry] = []
    for point in entry_points(group=GROUP):
        origin = f"installed {point.dist.name}" if point.dist else "installed"
        entries += _load(point.name, origin, None, partial(_import_point, point))
        module = sys.modules.get(point.value)
        if module is not None and getattr(module, "__file__", None):
            entries += _spaces(Path(str(module.__file__)).parent / "search_spaces", origin)
    return entries


def _import_point(point: EntryPoint) -> ModuleType:
    where = f"entry point {point.name} = {point.value}"
    if not all(part.isidentifier() for part in point.value.split(".")):
        raise PluginError(
            f"{where} does not import: its value is not a module; expected a name such as my_package.plugins."
        )
    with _broken(point.value, where):
        return importlib.import_module(point.value)


def _load(name: str, origin: str, path: Path | None, get: Callable[[], ModuleType]) -> list[Entry]:
    try:
        return classify(get(), origin, path)
    except PluginError as error:
        return [Entry("plugin", name, origin, path=path, problem=error.message)]


def _spaces(folder: Path, origin: str) -> list[Entry]:
    return [Entry("space", path.stem, origin, path=path) for path in sorted(folder.glob("*.toml"))]


def _one_each(entries: Iterable[Entry]) -> list[Entry]:
    """One entry for each name. Different entries with the same name become one broken entry that names them all."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        group = groups.setdefault(_identity(entry), [])
        if not any(_same(other, entry) for other in group):
            group.append(entry)
    return [_single(group) for group in groups.values()]


def _identity(entry: Entry) -> tuple[str, str, str]:
    """Kind and name; for a file that could not be read also its place, since its names are unknown."""
    place = os.path.realpath(entry.path) if entry.path else entry.origin
    return entry.kind, entry.name, place if entry.kind == "plugin" else ""


def _single(group: list[Entry]) -> Entry:
    if len(group) == 1:
        return group[0]
    places = " and by ".join(f"{e.origin} ({e.path})" if e.path else e.origin for e in group)
    count = "twice" if len(group) == 2 else f"{len(group)} times"
    return group[0]._replace(problem=f"it is defined {count}, by {places}; rename one.")


def _same(first: Entry, second: Entry) -> bool:
    if first.path is None or second.path is None:
        return first.function is second.function
    # Path.resolve would raise for a link to itself
    return os.path.realpath(first.path) == os.path.realpath(second.path) or (
        first.path.suffix == ".toml" and _content(first.path) == _content(second.path)
    )


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
