"""Keras in a worker without importing it: what needs Keras asks here first whether it is loaded."""

import functools
import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.machinery import ModuleSpec
from inspect import isfunction
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

MODULES = ("keras", "tensorflow")
"""With the first import of one of them, a worker sets up Keras."""


def is_loaded() -> bool:
    """Whether this process has imported Keras."""
    return sys.modules.get("keras") is not None


def is_model(value: Any) -> bool:
    """Whether `value` is a Keras model. Keras is not imported for it."""
    return is_loaded() and isinstance(value, sys.modules["keras"].Model)


# -- callbacks ----------------------------------------------------------------------------------------


class Callback:
    """A callback of a training. It is one of Keras' callbacks if Keras is loaded.

    Without Keras it has the same methods, for candidates of another kind. Which base class it has is decided when an
    object is made.
    """

    model: Any
    params: Any
    set_model: Callable[[Any], None]

    def __new__(cls, *given: Any, **named: Any) -> Any:
        base = sys.modules["keras"].callbacks.Callback if is_loaded() else _PlainCallback
        return object.__new__(_derived(cast(Any, cls), base))


@functools.cache
def _derived(cls: Any, base: Any) -> Any:
    return type(cls.__name__, (cls, base), {"__module__": cls.__module__, "__doc__": cls.__doc__})


class _PlainCallback:
    """The methods of `keras.callbacks.Callback`."""

    def __init__(self) -> None:
        self.model = self.params = None

    def set_model(self, model: Any) -> None:
        self.model = model

    def set_params(self, params: Any) -> None:
        self.params = params


def _do_nothing(self: Any, *given: Any, **named: Any) -> None:
    """Keras calls it if it is given this callback after all."""


# Keras calls methods for batches only if they are not default methods
_do_nothing._is_default = True  # type: ignore[attr-defined]
for _part in ("batch", "epoch", "train", "test", "predict", "train_batch", "test_batch", "predict_batch"):
    for _when in ("begin", "end"):
        setattr(_PlainCallback, f"on_{_part}_{_when}", _do_nothing)


# -- the first import ---------------------------------------------------------------------------------


class FirstImport(importlib.abc.MetaPathFinder):
    """Calls `around()` when a module of MODULES is imported for the first time, and imports it inside."""

    def __init__(self, around: Callable[[], AbstractContextManager[None]]) -> None:
        self._around, self._busy = around, False
        sys.meta_path.insert(0, self)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if self._busy or fullname not in MODULES:
            return None
        self._busy = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._busy = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self)
        return spec

    def execute(self, loader: Any, module: ModuleType) -> None:
        """Execute a module of MODULES; its own imports of the others are part of it."""
        self._busy = True
        try:
            with self._around():
                loader.exec_module(module)
        finally:
            self._busy = False
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any, first: FirstImport) -> None:
        self._loader, self._first = loader, first

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._loader
        self._first.execute(self._loader, module)


# -- in a process that was forked after the import ----------------------------------------------------


def hide() -> None:
    """Make Keras look as if this process had not imported it. Its import then takes no time."""
    hidden = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in MODULES}
    for name in hidden:
        del sys.modules[name]
    sys.meta_path.insert(0, _Hidden(hidden))


class _Hidden(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Puts hidden modules back with the first import of one of MODULES."""

    def __init__(self, hidden: dict[str, ModuleType]) -> None:
        self._hidden = hidden
        self._specs = {name: hidden[name].__spec__ for name in MODULES if name in hidden}

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if fullname in self._specs else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._hidden[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        for name, spec in self._specs.items():
            self._hidden[name].__spec__ = spec
            if spec is not None:
                self._hidden[name].__loader__ = spec.loader
        sys.modules.update(self._hidden)
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]


# -- what the code of a plugin imports ----------------------------------------------------------------


def is_imported_by(plugin: Any) -> bool:
    """Whether the code of a function or a HyperModel imports Keras, such as inside `build`. The code is not run.

    Functions of the same module that it calls count, too.
    """
    todo, seen = _functions(plugin), set[FunctionType]()
    while todo:
        function = todo.pop()
        if function in seen:
            continue
        seen.add(function)
        names = {name for code in _codes(function.__code__) for name in code.co_names}
        if any(name.partition(".")[0] in MODULES for name in names):
            return True
        called = (function.__globals__.get(name) for name in names)
        todo += [each for each in called if isfunction(each) and each.__module__ == function.__module__]
        todo += _enclosed(function)
    return False


def _functions(plugin: Any) -> list[FunctionType]:
    """The function itself, or the methods of an object's class."""
    plugin = getattr(plugin, "func", plugin)
    if isfunction(plugin):
        return [plugin]
    return [each for kind in type(plugin).__mro__ for each in vars(kind).values() if isfunction(each)]


def _enclosed(function: FunctionType) -> list[FunctionType]:
    """The functions in a function's closure, such as the one that a decorator wraps."""
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        # a variable that has no value yet
        except ValueError:
            continue
    return [each for each in found if isfunction(each)]


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
