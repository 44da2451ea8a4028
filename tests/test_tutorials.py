"""The tutorials followed to the letter: every file is written, every command is run, and the output is the page's.

`python tests/test_tutorials.py [NAME ...]` writes the outputs in the pages anew.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbclient
import nbformat
import pytest

pytestmark = pytest.mark.documents

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "tutorials"
SHORT = {"CNNSEARCH_RUN_EPOCHS": "2", "CNNSEARCH_RUN_CONFIRM": "2x2", "CNNSEARCH_RUN_JOBS": "1"}
"""What makes the searches of a test short, where a page says nothing else. Their output has the same form."""


class Block(NamedTuple):
    """A block of code of a page.

    Attributes:
        language: `sh`, `python`, `toml` or `text`.
        title: the file that it is the content of; empty if it is none.
        span: where the code begins and ends in the page.
    """

    language: str
    title: str
    code: str
    span: tuple[int, int]


def blocks(page: str) -> list[Block]:
    """The blocks of code of a page, in their order."""
    found = re.finditer(r'(?ms)^```(\w+)(?: title="(.+?)")?\n(.*?)^```$', page)
    return [Block(block[1], block[2] or "", block[3], block.span(3)) for block in found]


def outputs(page: str, folder: Path, environment: dict[str, str]) -> Iterator[tuple[Block, str]]:
    """Do in `folder` what a page says; gives each block of output with what was really printed."""
    printed = ""
    for block in blocks(page):
        if block.title and (folder / block.title).exists():
            # a file that a command wrote, shown for reading
            yield block, (folder / block.title).read_text("utf-8")
        elif block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.code, "utf-8")
        elif block.language == "sh":
            printed = "".join(shell(line, folder, environment) for line in block.code.splitlines())
        elif block.language == "text":
            yield block, printed


def shell(line: str, folder: Path, environment: dict[str, str]) -> str:
    """What a line of a shell prints, with the commands of `programs` in place of installed ones."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=580,
        check=False,
    )
    assert done.returncode == 0, (line, done.stdout)
    # rich fills the lines of a table with spaces
    return "".join(f"{each.rstrip()}\n" for each in done.stdout.splitlines())


def cells(page: str, folder: Path) -> Iterator[tuple[Block, str]]:
    """The Python blocks of a page as cells of one notebook; gives each block of output with what its cell shows."""
    found = blocks(page)
    code = [block.code for block in found if block.language == "python"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in code])
    nbclient.NotebookClient(
        notebook, kernel_name="python3", timeout=580, resources={"metadata": {"path": str(folder)}}
    ).execute()
    shown = iter(notebook.cells)
    printed = ""
    for block in found:
        if block.language == "python":
            printed = "".join(map(text_of, next(shown).outputs)).replace(f"{folder}/", "")
        elif block.language == "text":
            yield block, printed


def text_of(output: Any) -> str:
    """What one output of a cell is as text; what is shown only as HTML, and the backend's log, are left out."""
    stream = output.output_type == "stream"
    text = output.text * (output.name == "stdout") if stream else output.data.get("text/plain", "")
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines if line.strip() and not line.startswith("<IPython."))


def programs(folder: Path) -> dict[str, str]:
    """An environment in which `cnnsearch`, `python`, `pytest` and `pip` are those of this Python.

    `pip install` installs into a folder of its own.
    """
    python, site = shlex.quote(sys.executable), folder / "site"
    pip = f"{python} -m pip --disable-pip-version-check install --no-deps --no-index --no-build-isolation"
    scripts = {
        "cnnsearch": f'{python} -m cnnsearch "$@"',
        "pip": f'test "$1" = install && shift && {pip} --target {shlex.quote(str(site))} "$@"',
        "pytest": f'{python} -m pytest -p no:cacheprovider "$@"',
        "python": f'{python} "$@"',
    }
    (folder / "bin").mkdir()
    for name, script in scripts.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_", "MLFLOW_"))}
    path = os.pathsep.join(filter(None, [str(site), clean.get("PYTHONPATH", "")]))
    return {**clean, "PATH": f"{folder / 'bin'}{os.pathsep}{clean['PATH']}", "PYTHONPATH": path, "COLUMNS": "120"}


def form(text: str) -> list[str]:
    """The lines of an output without its numbers and without what another search may draw or predict.

    Lines of the same form that follow each other are one.
    """
    lines: list[str] = []
    for line in map(str.strip, text.splitlines()):
        line = re.sub(r"^rank +trial .*", "rank trial", re.sub(r"^([\d =]|<NA>)+(complete|pruned) .*", "row", line))
        line = re.sub(r"^(photos/\S+) .*", r"\1", line)
        line = re.sub(r"[\w/]+=\S+|the default point|\+\d+$|^(pareto|score|Rungs): .*", "", line)
        line = re.sub(r"\b(complete|pruned)\b", "STATE", line)
        line = re.sub(r"(, \S+ better than|, \S+ worse than|, equal to) this mean", ", N of this mean", line)
        line = re.sub(r"[-+±]?\d[\d.,]*(e-\d+)?", "N", line)
        line = " ".join(line.split())
        if line and line not in lines[-1:]:
            lines.append(line)
    return lines


def followed(name: str, folder: Path, more: dict[str, str]) -> list[tuple[Block, str]]:
    """The blocks of output of a tutorial with what is printed when it is followed in `folder`."""
    page = (PAGES / f"{name}.md").read_text("utf-8")
    place = folder / "place"
    place.mkdir()
    if name == "notebook":
        return list(cells(page, place))
    return list(outputs(page, place, {**programs(folder), **more}))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["first-search", "own-pictures", "notebook", "first-plugin"])
def test_a_tutorial_prints_what_it_shows(
    name: str, tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))
    compared = followed(name, tmp_path, {**SHORT, "MLFLOW_TRACKING_URI": store})
    assert len(compared) >= 4
    for block, printed in compared:
        assert form(printed) == form(block.code), block.title or printed


def test_each_command_and_output_of_the_readmes_first_search_is_of_the_first_tutorial() -> None:
    readme = (ROOT / "README.md").read_text("utf-8").partition("## First search")[2].partition("\n## ")[0]
    tutorial = {block.code for block in blocks((PAGES / "first-search.md").read_text("utf-8"))}
    shown = [block.code for block in blocks(readme)]
    assert len(shown) >= 2
    assert set(shown) <= tutorial


def record(name: str) -> None:
    """Follow a tutorial with its searches in full, and write what is printed into its page."""
    with tempfile.TemporaryDirectory() as folder:
        done = followed(name, Path(folder), {})
    path = PAGES / f"{name}.md"
    page = path.read_text("utf-8")
    for block, printed in reversed(done):
        page = page[: block.span[0]] + printed + page[block.span[1] :]
    path.write_text(page, "utf-8")


if __name__ == "__main__":
    for each in sys.argv[1:] or ["first-search", "own-pictures", "notebook", "first-plugin"]:
        record(each)
