"""Every public name has a docstring that says what it takes: each parameter, shapes of arrays, units, and errors."""

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cnnsearch

DOCS = Path(__file__).parents[1] / "docs"
API = (DOCS / "reference" / "python-api.md").read_text("utf-8")
DOCUMENTED = re.findall(r"(?m)^::: (cnnsearch[\w.]+)$", API)

SAME_IN_ALL = {"hp", "self", "cls", "args", "kwargs", "function"}
"""Parameters that the guide explains once; `function` is what a decorator marks."""

UNITS = {
    "timeout": "second",
    "trial_timeout": "30m|time",
    "memory": "2g",
    "max_latency": "millisecond",
    "side": "pixel",
}
"""The unit, or an example with one, that the docstring of a parameter of this name has to give."""

ERRORS = ("CnnsearchError", "DataError", "StudyError", "ValueError", "KeyError", "SpaceError")


def named(path: str) -> Any:
    """The object that a dotted path leads to."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(named(module), name)


def documented() -> Iterator[tuple[str, Any]]:
    """Every documented function and class, and the public methods of these classes."""
    for path in DOCUMENTED:
        found = named(path)
        yield path, found
        if inspect.isclass(found):
            for name, member in vars(found).items():
                member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                if inspect.isfunction(member) and not name.startswith(("_", "test_")):
                    yield f"{path}.{name}", member


OBJECTS = dict(documented())


def said(path: str) -> str:
    """The docstring of an object; of a method without a class of its own, what its class says stands beside it."""
    found = OBJECTS[path]
    own = inspect.getdoc(found) or ""
    return "" if dataclasses.is_dataclass(found) and own.startswith(f"{found.__name__}(") else own


def parameters(found: Any) -> dict[str, inspect.Parameter]:
    if inspect.isclass(found):
        taken = dataclasses.is_dataclass(found) or hasattr(found, "_fields")
        if not taken and "__init__" not in vars(found):
            return {}
    return {name: each for name, each in inspect.signature(found).parameters.items() if name not in SAME_IN_ALL}


def raised(found: Any) -> set[str]:
    """The public errors that the source of an object makes; `require` raises a ValueError."""
    if inspect.isclass(found):
        # a dataclass is checked after its __init__, which has no source
        name = "__post_init__" if dataclasses.is_dataclass(found) else "__init__"
        sources = [vars(found)[name]] if inspect.isfunction(vars(found).get(name)) else []
    else:
        sources = [found]
    names: set[str] = set()
    for source in sources:
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(source)))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names.add({"require": "ValueError"}.get(node.func.id, node.func.id))
    return names & set(ERRORS)


def test_every_public_name_stands_on_the_page_of_the_api() -> None:
    ours = {f"cnnsearch.{name}" for name in cnnsearch.__all__} - {"cnnsearch.Found"}
    assert ours <= set(DOCUMENTED) and "`Found` is its old name" in API


def test_every_path_that_a_guide_for_authors_names_leads_somewhere_and_stands_on_the_page_of_the_api() -> None:
    pages = [*(DOCS / "reference" / "plugins").glob("*.md"), DOCS / "how-to" / "notebooks.md"]
    text = "\n".join(page.read_text("utf-8") for page in pages)
    imported = re.findall(r"(?m)^from (cnnsearch[\w.]*) import (.+)$", text)
    paths = {f"{module}.{name.strip()}" for module, names in imported for name in names.split(",")}
    paths |= set(re.findall(r"`(cnnsearch(?:\.\w+)+)(?:\(|`)", text)) - {"cnnsearch.testing"}
    assert len(paths) > 15
    known = [named(path) for path in DOCUMENTED]
    modules = {inspect.getmodule(each) for each in known}
    for path in sorted(paths):
        found = named(path)
        assert found in known or (inspect.ismodule(found) and found in modules | {sample_module()}), path


def sample_module() -> Any:
    """The one module that a field of Dataset is about."""
    return importlib.import_module("cnnsearch.data.image_decoding")


@pytest.mark.parametrize("path", OBJECTS)
def test_it_has_a_docstring_that_begins_with_a_sentence(path: str) -> None:
    assert re.match(r"[\"`A-Z@].*[.:;]", said(path), re.DOTALL), path


@pytest.mark.parametrize("path", OBJECTS)
def test_its_docstring_names_each_parameter_with_shape_and_unit(path: str) -> None:
    text, owner = said(path), said(path.rpartition(".")[0]) if path.rpartition(".")[0] in OBJECTS else ""
    for name, parameter in parameters(OBJECTS[path]).items():
        assert re.search(rf"\b{re.escape(name)}\b", text + owner), f"{path} does not say what {name} is"
        annotation = str(parameter.annotation)
        if "ndarray" in annotation or (name in ("x", "images") and annotation != "int"):
            assert re.search(r"\(n\b", text + owner), f"{path} does not say which shape {name} has"
        if name in UNITS:
            assert re.search(UNITS[name], text), f"{path} does not say in which unit {name} is"


@pytest.mark.parametrize("path", OBJECTS)
def test_its_docstring_names_the_errors_that_it_raises(path: str) -> None:
    for error in raised(OBJECTS[path]):
        assert re.search(rf"Raises:\n(?:.*\n)*?\s+{error}:", said(path)), f"{path} does not say when it raises {error}"
