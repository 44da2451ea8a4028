"""Writes a hypermodel from a notebook or script, with everything that it uses, to a file that workers read.

Reading the file runs its code. So only code that trains or opens a model reads it, never code that lists studies.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import pickle
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnsearch.core.errors import PluginError, one_line
from cnnsearch.core.whole_file import replaced
from cnnsearch.spaces.definition import STUDY, Space
from cnnsearch.spaces.own_code import OwnCode, installed_places
from cnnsearch.spaces.self_training import SelfTraining
from cnnsearch.spaces.space_file import plain_name

if TYPE_CHECKING:
    from cnnsearch.spaces.data_files import DataFiles

PREFIX, SUFFIX = "hypermodel-", ".pkl"
"""The beginning and the end of the file's name; the fingerprint of the function is between them."""

HEAD = b"cnnsearch hypermodel, Python "


class Pickled(NamedTuple):
    """A hypermodel as bytes, with its name, the digests of its parts, and its fingerprint.

    Attributes:
        files: what it keeps in files of its own (`data_files`).
    """

    name: str
    content: bytes
    parts: dict[str, str]
    fingerprint: str
    files: DataFiles | None = None

    @property
    def file(self) -> str:
        """The name of its file in a study's folder."""
        return f"{PREFIX}{self.fingerprint}{SUFFIX}"

    def space(self) -> Space:
        """The space whose model it is."""
        return Space(name=self.name, model=f"{STUDY}{self.file}:{self.name}", where=self.name)

    def write(self, folder: Path) -> list[Path]:
        """Write it to a study's folder, completely or not at all. The result lists the new file, if any."""
        if self.files is not None:
            self.files.write(folder)
        if (folder / self.file).is_file():
            return []
        path = folder / self.file
        try:
            with replaced(path) as partial:
                partial.write_bytes(self.content)
        except OSError as error:
            raise PluginError(f"{path} cannot be written: {error.strerror or error}. Free some space.") from error
        return [path]


def pickled(hypermodel: Any, files: DataFiles | None = None) -> Pickled:
    """A function `build(hp)`, a HyperModel, or a function of an Optuna `trial` as bytes.

    Args:
        files: takes the large arrays and datasets in it; None: they are part of the bytes.

    Raises:
        PluginError: if it is none of these, or uses something that cannot be pickled; the message names it.
    """
    if not callable(getattr(hypermodel, "build", hypermodel)):
        raise PluginError(
            f"search() got {type(hypermodel).__name__} as its space; expected a function build(hp), a HyperModel, a "
            "space's name, a TOML file or file.py:NAME."
        )
    code = OwnCode(hypermodel.own_parts() if isinstance(hypermodel, SelfTraining) else hypermodel)
    content = _dumped({"hypermodel": hypermodel, "named": _registered(code.named)}, hypermodel, code.modules, files)
    lines = HEAD + _python().encode() + b"\n" + json.dumps(_paths()).encode() + b"\n"
    return Pickled(_name_of(hypermodel), lines + content, code.parts, code.fingerprint, files)


def load(path: Path) -> Any:
    """The hypermodel that `Pickled.write` wrote. Its custom classes and functions are registered with Keras.

    Raises:
        PluginError: if it cannot be read.
    """
    try:
        head, _, content = path.read_bytes().partition(b"\n")
    except OSError as error:
        raise PluginError(f"{path} cannot be read: {error.strerror}; it belongs to the study's folder.") from error
    if not head.startswith(HEAD):
        raise PluginError(f"{path} was not written by search(). Restore it, or start a new study.")
    python = head.removeprefix(HEAD).decode("ascii", "replace")
    if python != _python():
        raise PluginError(f"{path} was written by Python {python}; expected Python {_python()}, which runs here.")
    try:
        paths, _, pickled = content.partition(b"\n")
        # at the end, so that no module there hides an installed package
        sys.path += [place for place in json.loads(paths) if place not in sys.path and os.access(place, os.R_OK)]
        # here, as it needs NumPy: the commands start without it
        from cnnsearch.spaces import data_files

        with data_files.within(path.parent):
            found = pickle.loads(pickled)
    # pickle raises errors of many types
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(str(error))[:300]}"
        raise PluginError(
            f"{path} cannot be unpickled: {reason}. Restore what it needs, or start a new study."
        ) from error
    _register(found["named"])
    return found["hypermodel"]


def _dumped(content: dict[str, Any], hypermodel: Any, modules: set[str], files: DataFiles | None = None) -> bytes:
    import cloudpickle

    dumps = files.dumps if files is not None else cloudpickle.dumps
    try:
        with _by_value(modules):
            return bytes(dumps(content))
    # pickle raises errors of many types
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(str(error))[:200]}"
    try:
        # a module may have values that cannot be pickled; then workers import it from its path
        with _by_value(set()):
            return bytes(dumps(content))
    except Exception:
        culprit, name = _culprit(hypermodel), getattr(hypermodel, "__name__", type(hypermodel).__name__)
        raise PluginError(
            f"{name} cannot be sent to the worker processes ({reason}){culprit}. Create what it needs "
            "inside the function, or use plain values."
        ) from None


@contextlib.contextmanager
def _by_value(modules: set[str]) -> Iterator[None]:
    """Inside, functions of those of the modules that workers cannot import are pickled with their code."""
    import cloudpickle

    known = [sys.modules[name] for name in sorted(modules) if name in sys.modules and name != "__main__"]
    chosen = [module for module in known if not _importable(module.__name__, str(module.__file__))]
    for module in chosen:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in chosen:
            cloudpickle.unregister_pickle_by_value(module)


@functools.cache
def _importable(name: str, file: str) -> bool:
    """Whether a new Python process, such as a worker, finds the same module."""
    code = "import importlib.util, sys; spec = importlib.util.find_spec(sys.argv[1]); print(spec and spec.origin or '')"
    line = [sys.executable, "-P", "-c", code, name]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    found = done.stdout.strip()
    return done.returncode == 0 and bool(found) and Path(found).resolve() == Path(file).resolve()


def _culprit(hypermodel: Any) -> str:
    """The name of a global or of a closure's variable whose value cannot be pickled, as part of a message."""
    import cloudpickle

    function = hypermodel if inspect.isfunction(hypermodel) else getattr(hypermodel, "build", None)
    function = getattr(function, "__func__", function)
    if not inspect.isfunction(function):
        return ""
    used = inspect.getclosurevars(function)
    values = {**used.globals, **used.nonlocals, **getattr(hypermodel, "__dict__", {})}
    for name, value in values.items():
        try:
            cloudpickle.dumps(value)
        except Exception:
            return f": it uses '{name}', a {type(value).__name__}"
    return ""


def _registered(named: dict[str, Any]) -> dict[str, Any]:
    """The user's classes and functions by the names that Keras writes to a model's file."""
    keras = sys.modules.get("keras")
    if keras is None or not hasattr(keras, "saving"):
        return named
    return {str(keras.saving.get_registered_name(value)): value for value in named.values()}


def _register(named: dict[str, Any]) -> None:
    if not named:
        return
    import keras

    own = {name: value for name, value in named.items() if not _is_in_keras(name)}
    for name, value in own.items():
        package, mark, short = name.rpartition(">")
        if mark and keras.saving.get_registered_object(name) is None:
            keras.saving.register_keras_serializable(package, short)(value)
        elif not mark:
            keras.saving.get_custom_objects()[name] = value


def _is_in_keras(name: str) -> bool:
    """Whether Keras has an object of this name, which must not be hidden."""
    import keras

    return any(hasattr(module, name) for module in (keras.activations, keras.losses, keras.metrics, keras.layers))


def _paths() -> list[str]:
    """The folders from which this process imports modules that are not installed, for imports inside the functions."""
    # '' means the current folder
    here = {os.path.abspath(place) for place in sys.path if os.path.isdir(place or ".")}  # noqa: PTH100, PTH112
    known = [str(place) for place in installed_places()]
    return sorted(p for p in here if not any(p == place or p.startswith(f"{place}{os.sep}") for place in known))


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _name_of(hypermodel: Any) -> str:
    """The name of the space: that of the function or class; for a function `build` that of its module."""
    function = getattr(hypermodel, "func", hypermodel)
    name = str(getattr(function, "__name__", type(function).__name__))
    module = str(getattr(function, "__module__", ""))
    if name == "build" and module not in ("__main__", "", "None"):
        name = module.rpartition(".")[2]
    return plain_name("hypermodel" if name == "<lambda>" else name) or "hypermodel"
