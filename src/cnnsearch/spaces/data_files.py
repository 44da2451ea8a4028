"""Arrays and other data inside pickled objects, each in a file of its own in the study's folder."""

import contextlib
import hashlib
import inspect
import io
import pickle
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnnsearch.core.errors import DataError
from cnnsearch.core.whole_file import replaced

PREFIX = "input-"
"""The beginning of the files' names; a digest of the content follows it."""

LARGE = 1 << 16
"""An array with so many bytes has a file of its own."""

LOCKS = (type(threading.Lock()), type(threading.RLock()))

Reduce = Callable[["DataFiles", Any], Any]
"""Gives how an object of another library is pickled, as `object.__reduce__` does; NotImplemented for other objects."""

_folder = Path()


class DataFiles:
    """The files of one pickled object. Nothing is written before `write`.

    Attributes:
        names: the names of the files.
    """

    def __init__(self, reduce: Reduce | None = None) -> None:
        self._content: dict[str, Any] = {}
        self._reduce = reduce

    @property
    def names(self) -> list[str]:
        """The names of the files."""
        return sorted(self._content)

    def dumps(self, value: Any) -> bytes:
        """`value` as bytes. `pickle.loads` restores it inside `within`.

        Raises:
            Exception: as pickle does, if it cannot be pickled.
        """
        import cloudpickle

        files = self

        class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
            def reducer_override(self, obj: Any) -> Any:
                found = files.reduced(obj)
                return super().reducer_override(obj) if found is NotImplemented else found

        with io.BytesIO() as file:
            Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
            return file.getvalue()

    def reduced(self, value: Any) -> Any:
        """How `value` is pickled; NotImplemented if it is nothing special."""
        if type(value) is np.ndarray and value.nbytes >= LARGE and not value.dtype.hasobject:
            # the file of another library's type, such as bfloat16, has bytes
            return _array, (self.add_array(value), *((value.dtype,) if _is_foreign(value) else ()))
        if isinstance(value, types.GeneratorType):
            return _started, _function_of(value)
        if isinstance(value, LOCKS):
            return _lock, (isinstance(value, LOCKS[1]),)
        return self._reduce(self, value) if self._reduce else NotImplemented

    def add_array(self, value: Any) -> str:
        """Keep an array; returns the name of its file."""
        whole = np.ascontiguousarray(value)
        # `view`: some types of numbers have no buffer
        digest = hashlib.sha256(f"{whole.dtype} {whole.shape}".encode())
        digest.update(whole.reshape(-1).view(np.uint8).data)
        name = f"{PREFIX}{digest.hexdigest()[:16]}.npy"
        self._content[name] = whole.view(np.uint8) if _is_foreign(whole) else whole
        return name

    def add_bytes(self, value: bytes) -> str:
        """Keep bytes; returns the name of their file."""
        name = f"{PREFIX}{hashlib.sha256(value).hexdigest()[:16]}.bin"
        self._content[name] = value
        return name

    def write(self, folder: Path) -> None:
        """Write the files that `folder` does not have, each completely or not at all.

        Raises:
            DataError: if the disk has no room.
        """
        for name, value in self._content.items():
            if (folder / name).is_file():
                continue
            try:
                with replaced(folder / name) as partial, partial.open("wb") as file:
                    file.write(value) if isinstance(value, bytes) else np.save(file, value, allow_pickle=False)
            except OSError as error:
                reason = error.strerror or error
                raise DataError(f"The data cannot be written to {folder}: {reason}. Free some space.") from error
        self._content = dict.fromkeys(self._content)


@contextlib.contextmanager
def within(folder: Path) -> Iterator[None]:
    """Inside, pickled objects find their files in this folder."""
    global _folder
    before, _folder = _folder, folder
    try:
        yield
    finally:
        _folder = before


def folder() -> Path:
    """The folder of `within`, while an object is unpickled."""
    return _folder


def path_of(name: str) -> Path:
    """The file of this name, while an object is unpickled."""
    return _folder / name


def _is_foreign(array: Any) -> bool:
    """Whether another library than NumPy has the type of the elements."""
    return bool(array.dtype.isbuiltin == 2)


def _array(name: str, dtype: Any = None) -> Any:
    """The array in a file. It is mapped: the workers of a machine share its memory until one changes it.

    `dtype`: the type of its elements, if the file has bytes.
    """
    found = np.load(path_of(name), mmap_mode="c", allow_pickle=False).view(np.ndarray)
    return found if dtype is None else found.view(dtype)


def _lock(several: bool) -> Any:
    return threading.RLock() if several else threading.Lock()


def _started(function: Any, given: list[Any], named: dict[str, Any]) -> Any:
    """A new generator."""
    return function(*given, **named)


def _function_of(generator: Any) -> tuple[Any, list[Any], dict[str, Any]]:
    """The function of a generator that was not started, and the arguments that it was called with.

    Raises:
        TypeError: if it was started: what it gave already is lost.
    """
    code, frame = generator.gi_code, generator.gi_frame
    if inspect.getgeneratorstate(generator) != inspect.GEN_CREATED:
        raise TypeError(f"the generator {code.co_name} was started already; give a new one")
    values = frame.f_locals
    closure = tuple(types.CellType(values[name]) for name in code.co_freevars)
    function = types.FunctionType(code, frame.f_globals, code.co_name, None, closure)
    count, named = code.co_argcount, code.co_kwonlyargcount
    names = list(code.co_varnames)
    given = [values[name] for name in names[:count]]
    end = count + named
    if code.co_flags & inspect.CO_VARARGS:
        given += values[names[end]]
        end += 1
    keywords = {name: values[name] for name in names[count : count + named]}
    if code.co_flags & inspect.CO_VARKEYWORDS:
        keywords |= values[names[end]]
    return function, given, keywords


def remove_unused(folder: Path, used: list[str]) -> None:
    """Delete the files of earlier objects."""
    for path in folder.glob(f"{PREFIX}*"):
        if path.name not in used:
            with contextlib.suppress(OSError):
                path.unlink()
