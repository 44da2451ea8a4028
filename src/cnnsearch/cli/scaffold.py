"""`cnnsearch new`: writes a plugin and its test, or a whole package of plugins, for the user to change."""

import keyword
import re
from pathlib import Path
from string import Template

from cnnsearch.core.errors import CnnsearchError

TEMPLATES = Path(__file__).parent / "templates"
KINDS = ("dimension", "space", "dataset", "trainer", "scheduler", "callback", "project")


def new(kind: str, name: str, folder: Path) -> list[Path]:
    """Write the files of `kind` into `folder`; returns their paths.

    Raises:
        CnnsearchError: if a plugin cannot have this name, or a file is there already.
    """
    words = _words(kind, name)
    files = {folder / path: _filled(template, words) for path, template in _files(kind, words).items()}
    for path in files:
        if path.exists():
            raise CnnsearchError(f"{path} exists already; choose another name, or another folder with --to.")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return list(files)


def next_steps(kind: str, name: str, folder: Path) -> list[str]:
    """The commands to try next."""
    if kind == "project":
        project = folder / name
        return [f"cd {project} && pip install -e '.[test]' && pytest", f"cnnsearch check {_words(kind, name)['name']}"]
    file = folder / ("search_spaces" if kind == "space" else "") / f"{name}.{'toml' if kind == 'space' else 'py'}"
    return [f"cnnsearch check {file} --plugins {folder}", f"pytest {folder}", f"cnnsearch plugins --plugins {folder}"]


def _words(kind: str, name: str) -> dict[str, str]:
    """The values of the templates' variables."""
    plain = name.replace("-", "_") if kind == "project" else name
    if not re.fullmatch(r"[a-z][a-z0-9_]*", plain) or keyword.iskeyword(plain):
        example = "cnnsearch-noise" if kind == "project" else "input_noise"
        message = f"'{name}' cannot be the name of a {kind}; expected lower-case letters, such as {example}."
        raise CnnsearchError(message)
    own = (plain.removeprefix("cnnsearch_") or plain) if kind == "project" else plain
    words = {"name": own, "module": own, "package": plain, "project": name, "title": own.replace("_", " ").capitalize()}
    if kind == "project":
        words["module"] = f"{plain}.{own}"
    return {**words, "camel": "".join(part.capitalize() for part in own.split("_"))}


def _files(kind: str, words: dict[str, str]) -> dict[str, str]:
    """The files of a kind, each with the name of its template."""
    name, package = words["name"], words["package"]
    if kind == "space":
        return {f"search_spaces/{name}.toml": "space", f"test_{name}.py": "test_space"}
    if kind != "project":
        return {f"{name}.py": kind, f"test_{name}.py": f"test_{kind}"}
    inside = {
        "pyproject.toml": "pyproject",
        "README.md": "readme",
        f"{package}/__init__.py": "package",
        f"{package}/{name}.py": "dimension",
        f"{package}/search_spaces/{name}_digits.toml": "project_space",
        f"tests/test_{name}.py": "test_dimension",
        f"tests/test_{name}_digits.py": "test_project_space",
    }
    return {f"{words['project']}/{path}": template for path, template in inside.items()}


def _filled(template: str, words: dict[str, str]) -> str:
    return Template((TEMPLATES / f"{template}.txt").read_text("utf-8")).substitute(words)
