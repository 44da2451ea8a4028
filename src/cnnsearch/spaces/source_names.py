"""The names that a Python file defines, read without running it."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

from cnnsearch.core.errors import SpaceError, nearest

RUN = ("globals", "exec", "setattr")
"""Functions that may define names of any kind."""


def parsed(path: Path) -> ast.Module | None:
    """The syntax tree of a file; None if the file cannot be read.

    Raises:
        SpaceError: if it is not valid Python.
    """
    try:
        return ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise SpaceError(f"{path}: line {error.lineno} is not valid Python: {error.msg}.") from error
    except (OSError, ValueError):
        return None


def digest(path: Path) -> str:
    """A code of what a file says, without its comments and its form; empty if it cannot be read or is not Python."""
    try:
        source = parsed(path)
    except SpaceError:
        return ""
    return hashlib.sha256(ast.dump(source).encode()).hexdigest()[:16] if source else ""


def check_defined(source: ast.Module, path: Path, name: str, where: str) -> None:
    """Check that a file defines `name`, as far as its text shows. `where` is how the user named it.

    Raises:
        SpaceError: if it does not; the message names the functions and classes that the file has.
    """
    found = set(_names(source))
    if name in found or found & {"*", "__getattr__"}:
        return
    own = [each.name for each in source.body if isinstance(each, ast.FunctionDef | ast.ClassDef)]
    public = [each for each in own if not each.startswith("_")]
    has = f"It has {', '.join(public)}." if public else "It has no functions and no classes."
    raise SpaceError(f"{where}: {path} has no '{name}'.{nearest(name, public)} {has}")


def _names(source: ast.Module) -> Iterator[str]:
    """The names that are defined anywhere in a file. `*` stands for names that only running the file tells."""
    for node in ast.walk(source):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and (node.id in RUN or isinstance(node.ctx, ast.Store)):
            yield "*" if node.id in RUN else node.id
