"""The page on the architecture says what is on disk, and no import goes round in a circle."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "cnnsearch"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_the_diagram_has_the_packages_on_disk_in_the_order_of_the_contract() -> None:
    diagram = PAGE.partition("```text\n")[2].partition("```")[0]
    drawn = [re.split(r"\s{2,}", line)[0] for line in diagram.splitlines() if not line.startswith(" ")]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    assert drawn == contracts[0]["layers"]
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {name for layer in drawn for name in layer.split(" | ")} == packages


def test_every_file_and_folder_that_the_page_names_is_there() -> None:
    named = re.findall(r"`([a-z_]+/[a-z_/]*(?:\.py)?)`", PAGE)
    assert len(named) > 20
    for name in named:
        assert (PACKAGE / name).exists() or (ROOT / name).exists(), name


def test_every_file_of_the_repository_that_a_document_names_is_there() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "plugins" / "README.md"]
    shape = re.compile(r"(?<![\w./])(?:tests|src|docs|benchmarks|plugins)/[\w/.-]+\.(?:py|md|png|ipynb)\b")
    named = {(name, page) for page in pages for name in shape.findall(page.read_text("utf-8"))}
    assert len(named) > 20
    assert not {(name, page) for name, page in named if not ((ROOT / name).exists() or (page.parent / name).exists())}


def test_every_package_says_in_one_sentence_what_it_is_for() -> None:
    for path in PACKAGE.rglob("*.py"):
        said = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        assert said and said.split("\n\n")[0].endswith((".", "`")), path


@pytest.mark.parametrize("folder", ["plugins", "benchmarks"])
def test_files_outside_the_package_do_not_import_each_other_in_a_circle(folder: str) -> None:
    files = {path.stem: path for path in (ROOT / folder).rglob("*.py")}
    imports = {name: imported(path) & set(files) for name, path in files.items()}
    while leaves := [name for name, needed in imports.items() if not needed & set(imports)]:
        for name in leaves:
            del imports[name]
    assert not imports


def imported(path: Path) -> set[str]:
    """The top-level names of the modules that a file imports, in any of its lines."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}
