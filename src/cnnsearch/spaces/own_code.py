"""Finds the user's own code and values that a function uses, and gives them a fingerprint."""

import dis
import functools
import hashlib
import inspect
import site
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cnnsearch.spaces.plugins import shipped_folder

LEFT_OUT = {
    *("__dict__", "__weakref__", "__doc__", "__module__", "__qualname__", "__annotations__", "__annotate__"),
    *("__firstlineno__", "__static_attributes__", "__abstractmethods__", "_abc_impl", "__parameters__"),
    "__slotnames__",
}
"""Attributes of a class that do not change what it does."""

LONG = 10_000
"""A text with so many characters is replaced by its digest."""

PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), range)


class OwnCode:
    """The parts of an object that are the user's own code or values.

    The search begins at its functions: bytecode, defaults, values in closures, and the globals that are used. It
    continues in the user's own functions, classes and modules among these. Code of installed packages counts only by
    its name. Comments, line numbers, file names, and the order of sets have no effect.

    Attributes:
        parts: a digest of each part, by the name in the user's code, such as `build` or `WIDTH`.
        named: the user's own classes and functions among the parts, by name.
        modules: the names of the user's own modules among the parts.
    """

    def __init__(self, root: Any) -> None:
        self.parts: dict[str, str] = {}
        self.named: dict[str, Any] = {}
        self.modules: set[str] = set()
        # the objects are kept, so that no other object gets their id
        self._seen: dict[int, tuple[str, Any]] = {}
        self._said: dict[int, tuple[str, Any]] = {}
        self._open: set[int] = set()
        name = getattr(root, "__name__", f"{type(root).__name__} (its values)")
        said = self._value(root)
        if not self._has(root):
            self.parts[name] = _digest(said)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of all parts, the same in every process."""
        return _digest(repr(sorted(self.parts.items())))

    def _has(self, value: Any) -> bool:
        return id(value) in self._seen

    def _label(self, name: str, value: Any) -> str:
        """A name that no other part has."""
        label, number = name.replace("<locals>.", ""), 2
        while label in self.parts:
            label, number = f"{name} ({number})", number + 1
        self._seen[id(value)] = label, value
        self.parts[label] = ""
        return label

    def _function(self, function: types.FunctionType) -> str:
        if self._has(function):
            return self._seen[id(function)][0]
        label = self._label(function.__qualname__, function)
        self.modules.add(function.__module__)
        self.named.setdefault(function.__name__, function)
        defaults = self._value(function.__defaults__), self._value(function.__kwdefaults__)
        self.parts[label] = _digest(repr((self._code(function.__code__, function.__doc__), defaults)))
        place = "" if function.__module__ == "__main__" else f"{function.__module__}."
        for name, value in _globals(function):
            self._reference(f"{place}{name}", value)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            with_value = [cell.cell_contents] if _filled(cell) else []
            for value in with_value:
                self._reference(name, value)
        return label

    def _reference(self, name: str, value: Any) -> None:
        """Add the value of a name that code uses."""
        said = self._value(value)
        if not self._has(value) and not isinstance(value, types.ModuleType):
            label = self.parts.get(name)
            digest = _digest(said)
            self.parts[name if label in (None, digest) else f"{name} ({digest[:4]})"] = digest

    def _class(self, cls: type) -> str:
        if self._has(cls):
            return self._seen[id(cls)][0]
        label = self._label(cls.__qualname__, cls)
        self.modules.add(cls.__module__)
        self.named.setdefault(cls.__name__, cls)
        said = [self._value(base) for base in cls.__bases__]
        for name, value in sorted(vars(cls).items()):
            if name not in LEFT_OUT:
                said.append(f"{name}={self._value(_bare(value))}")
        self.parts[label] = _digest(repr(said))
        return label

    def _module(self, module: types.ModuleType) -> str:
        if not is_own(module.__name__) or self._has(module) or module.__name__ == "__main__":
            return f"module {module.__name__}"
        self._seen[id(module)] = module.__name__, module
        self.modules.add(module.__name__)
        for name, value in sorted(vars(module).items()):
            if getattr(value, "__module__", None) == module.__name__ and isinstance(value, types.FunctionType | type):
                self._value(value)
            elif isinstance(value, PLAIN) and not name.startswith("__"):
                self.parts[f"{module.__name__}.{name}"] = _digest(self._value(value))
        return f"module {module.__name__}"

    def _code(self, code: types.CodeType, doc: str | None = None) -> str:
        """Code as text, without file names and line numbers."""
        constants = ["doc" if value is doc and doc else self._value(value) for value in code.co_consts]
        names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
        kind = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
        return repr((code.co_code.hex(), constants, names, kind, getattr(code, "co_exceptiontable", b"")))

    def _value(self, value: Any) -> str:
        """A value as text that is the same in every process."""
        if isinstance(value, PLAIN):
            return f"{type(value).__name__} {value!r}"
        if isinstance(value, types.CodeType):
            return self._code(value)
        if isinstance(value, types.ModuleType):
            return self._module(value)
        if isinstance(value, types.FunctionType):
            return self._function(value) if is_own(value.__module__) else _name(value)
        if isinstance(value, type):
            return self._class(value) if is_own(value.__module__) else _name(value)
        if id(value) in self._open:
            return "itself"
        if id(value) in self._said:
            return self._said[id(value)][0]
        self._open.add(id(value))
        try:
            said = self._compound(value)
        finally:
            self._open.discard(id(value))
        # objects that refer to each other in many ways would give a text without end
        said = said if len(said) < LONG else f"{_name(type(value))} {_digest(said)}"
        self._said[id(value)] = said, value
        return said

    def _compound(self, value: Any) -> str:
        kind = _name(type(value))
        if type(value) in (list, tuple):
            return f"{kind} {[self._value(item) for item in value]}"
        if type(value) in (set, frozenset):
            return f"{kind} {sorted(self._value(item) for item in value)}"
        if type(value) is dict:
            return f"{kind} {[(self._value(key), self._value(item)) for key, item in value.items()]}"
        if isinstance(value, types.MethodType):
            return f"method {self._value(value.__func__)} of {self._value(value.__self__)}"
        if isinstance(value, functools.partial):
            return f"{kind} {self._value(value.func)} {self._value(value.args)} {self._value(value.keywords)}"
        if isinstance(value, types.BuiltinFunctionType):
            return _name(value)
        if hasattr(value, "dtype") and hasattr(value, "tobytes"):
            return f"{kind} {value.dtype} {getattr(value, 'shape', ())} {_digest(value.tobytes())}"
        if is_own(type(value).__module__):
            self._class(type(value))
        try:
            if _is_of_keras(value):
                return f"{kind} {self._value(_config(value))}"
            return f"{kind} {[self._value(item) for item in _reduced(value)]}"
        # a value that pickle cannot take apart counts only by its type
        except Exception:
            return kind


def is_own(module: str | None) -> bool:
    """Whether a module is the user's own: a notebook, a script, or a file that is not of an installed package."""
    if module is None or module.partition(".")[0] in ("cnnsearch", "builtins"):
        return False
    found = sys.modules.get(module)
    if module == "__main__" or found is None:
        return True
    file = getattr(found, "__file__", None)
    return file is not None and not _installed(file)


@functools.cache
def _installed(file: str) -> bool:
    path = Path(file).resolve()
    return any(path.is_relative_to(place) for place in (*installed_places(), shipped_folder() / "plugins"))


@functools.cache
def installed_places() -> tuple[Path, ...]:
    """The folders of the standard library and of installed packages."""
    named = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    users = [site.getusersitepackages()] if hasattr(site, "getusersitepackages") else []
    return tuple({Path(place).resolve() for place in (*named, *site.getsitepackages(), *users)})


def _globals(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The globals that a function and its inner code use, and the user's modules that it imports when it is called."""
    for code in _codes(function.__code__):
        for instruction in dis.get_instructions(code):
            name = instruction.argval
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and name in function.__globals__:
                yield name, function.__globals__[name]
            elif instruction.opname == "IMPORT_NAME" and name in sys.modules and is_own(name):
                yield name, sys.modules[name]


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _bare(value: Any) -> Any:
    """The functions in a property, a class method or a static method."""
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    return value.__func__ if isinstance(value, classmethod | staticmethod) else value


def _is_of_keras(value: Any) -> bool:
    """Whether a value is a layer, a model, an optimizer or another object of Keras, or a tuner of KerasTuner.

    An object that has a hypermodel as its method often keeps its model and its tuner. Pickled, they differ each time.
    """
    bases = type(value).__mro__
    return any(base.__module__.partition(".")[0] == "keras" or base.__name__ == "BaseTuner" for base in bases)


def _config(value: Any) -> Any:
    """The configuration of an object of Keras, without its name; None for a model, a tuner and what has none."""
    if hasattr(value, "fit") or not hasattr(value, "get_config"):
        return None
    return {key: each for key, each in value.get_config().items() if key != "name"}


def _reduced(value: Any) -> tuple[Any, ...]:
    """The parts into which `pickle` would split a value."""
    made = value.__reduce_ex__(4)
    if isinstance(made, str):
        return (made,)
    return tuple(list(item) if inspect.isgenerator(item) or hasattr(item, "__next__") else item for item in made)


def _name(value: Callable[..., Any]) -> str:
    return f"{value.__module__}.{getattr(value, '__qualname__', value.__name__)}"


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]
