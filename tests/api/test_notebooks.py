"""The notebooks of docs/ run in a real kernel, from their first cell to their last."""

from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def execute(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`execute("tour.ipynb")` runs it in an empty folder and gives back its code cells."""
    for name, value in {"MLFLOW_TRACKING_URI": store, "IPYTHONDIR": str(tmp_path / ".ipython")}.items():
        monkeypatch.setenv(name, value)

    def run(name: str) -> list[Any]:
        notebook = nbformat.read(DOCS / name, as_version=4)
        # the kernel of this Python, whatever kernels are installed
        notebook.metadata.kernelspec.name = "python3"
        nbclient.NotebookClient(notebook, timeout=580, resources={"metadata": {"path": str(tmp_path)}}).execute()
        return [cell for cell in notebook.cells if cell.cell_type == "code"]

    return run


def shown(cell: Any, kind: str = "text/html") -> str:
    """What a cell shows in one form, all its outputs together."""
    return "".join(output.data.get(kind, "") for output in cell.outputs if "data" in output)


def test_the_tour_runs_and_shows_bar_leaderboard_and_report(execute: Any, tmp_path: Path) -> None:
    cells = execute("tour.ipynb")
    searched = shown(cells[0])
    assert '<progress max="2" value="2"' in searched
    assert "<b>tour</b>: 2 trials, best val_accuracy" in searched and searched.count("<tr>") == 3
    assert searched.count("data:image/svg+xml") == 2
    report = next(cell for cell in cells if "report(" in cell.source)
    assert "<iframe srcdoc=" in shown(report)
    assert (tmp_path / "report.html").stat().st_size > 10_000 and (tmp_path / "exports" / "tour").is_dir()


def test_own_data_and_an_own_function_are_searched_used_and_resumed(execute: Any, tmp_path: Path) -> None:
    cells = execute("own-model.ipynb")
    searched, used, resumed, changed = cells[-4:]
    assert "<b>build</b>: 2 trials, best val_accuracy" in shown(searched) and "width" in shown(searched)
    said = shown(used, "text/plain")
    assert "Predictions(classes=array([" in said and "names=('0', '1', '2', '3')" in said
    assert resumed.outputs[-1].data["text/plain"] == "2"
    printed = "".join(output.get("text", "") for output in changed.outputs)
    assert "the function changed since, in WIDTHS." in printed
    # as it began: nothing of the refused call is left
    assert len(list((tmp_path / "runs" / "build").glob("hypermodel-*"))) == 1
