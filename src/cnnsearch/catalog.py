"""Find, load and classify what can be used: plugins and space files, each with its origin."""

import contextlib
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from cnnsearch.errors import CnnsearchError, PluginError, nearest
from cnnsearch.markers import ATTRIBUTE, KINDS

GROUP = "cnnsearch"


class Entry(NamedTuple):
    """One thing that can be used. `problem` says why it cannot, where it is broken."""

    kind: str
    name: str
    origin: str
    function: Callable[..., Any] | None = None
    path: Path | None = None
    problem: str = ""

    @property
    def summary(self) -> str:
        """The first line of the docstring, or what is wrong."""
        if self.problem:
            return f"broken: {self.problem}"
        return (inspect.getdoc(self.function) or "").partition("\n")[0] if self.function else ""


class Catalog:
    """All entries, sorted; asked for one by kind and name."""

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
            CnnsearchError: if there is none; the nearest name is named.
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
        raise CnnsearchError(
            f"{where}there is no {kind} '{name}'.{nearest(name, known)} `cnnsearch {listing}` lists all {len(known)}."
        )


def load(folders: Iterable[Path] = (), here: Path | None = None) -> Catalog:
    """Everything shipped, installed, in the named `folders`, and the space files of `here`.

    Code is read only from installed packages and from `folders`; from `here` (the current folder unless
    given) only TOML files, so that running the tool in a downloaded folder never runs that folder's code.

    Raises:
        PluginError: if one of `folders` does not exist.
    """
    shipped = shipped_folder()
    entries = [*_modules(shipped / "plugins", "shipped"), *_spaces(shipped / "search_spaces", "shipped")]
    entries += _installed()
    for folder in folders:
        if not folder.exists():
            raise PluginError(f"--plugins {folder}: there is no such folder or file.")
        entries += _modules(folder, f"local {folder}")
        entries += [
            *_spaces(folder, f"local {folder}"),
            *_spaces(folder / "search_spaces", f"local {folder}"),
        ]
    return Catalog([*entries, *_spaces((here or Path.cwd()) / "search_spaces", "local ./search_spaces")])


def shipped_folder() -> Path:
    """Where the shipped plugins and spaces lie: the checkout's root, or inside the wheel."""
    package = Path(__file__).parent
    checkout = package.parents[1]
    return checkout if (checkout / "plugins" / "dimensions").is_dir() else package / "_shipped"


def import_file(path: Path) -> ModuleType:
    """The module of one Python file, under a name of its own.

    Raises:
        PluginError: if it does not import.
    """
    name = f"cnnsearch_plugin_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path}: this is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _broken(name, str(path)):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _broken(name: str, where: str) -> Iterator[None]:
    """Whatever an import raises (SystemExit too) becomes a PluginError with its reason."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        sys.modules.pop(name, None)
        reason = str(error).partition("\n")[0] or "no reason given"
        raise PluginError(f"{where} does not import: {type(error).__name__}: {reason}") from error


def classify(module: ModuleType, origin: str, path: Path | None = None) -> list[Entry]:
    """The marked functions that `module` itself defines."""
    entries = []
    for name, value in sorted(vars(module).items()):
        kind = getattr(value, ATTRIBUTE, None)
        if kind in KINDS and getattr(value, "__module__", None) == module.__name__:
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
        spec = sys.modules.get(point.module)
        if spec is not None and spec.__file__:
            entries += _spaces(Path(spec.__file__).parent / "search_spaces", origin)
    return entries


def _import_point(point: Any) -> ModuleType:
    with _broken(point.module, f"entry point {point.name} = {point.value}"):
        module: ModuleType = point.load()
    return module


def _load(name: str, origin: str, path: Path | None, get: Callable[[], ModuleType]) -> list[Entry]:
    try:
        return classify(get(), origin, path)
    except PluginError as error:
        return [Entry("plugin", name, origin, path=path, problem=error.message)]


def _spaces(folder: Path, origin: str) -> list[Entry]:
    return [Entry("space", path.stem, origin, path=path) for path in sorted(folder.glob("*.toml"))]


def _one_each(entries: Iterable[Entry]) -> list[Entry]:
    """One entry a name; two different ones under the same name become a broken one that names both."""
    kept: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        first = kept.setdefault((entry.kind, entry.name), entry)
        if first is not entry and not _same(first, entry):
            places = " and ".join(f"{e.origin} ({e.path})" if e.path else e.origin for e in (first, entry))
            problem = f"it is defined twice, by {places}; rename one."
            kept[entry.kind, entry.name] = first._replace(problem=problem)
    return list(kept.values())


def _same(first: Entry, second: Entry) -> bool:
    if first.path is None or second.path is None:
        return first.function is second.function
    return first.path.resolve() == second.path.resolve() or (
        first.path.suffix == ".toml" and first.path.read_bytes() == second.path.read_bytes()
    )
