"""The programs and the notebooks of examples/ run as a user runs them, but with few trials and epochs."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

pytestmark = pytest.mark.documents

EXAMPLES = Path(__file__).parents[1] / "examples"
FEW = {"TRIALS": "2", "EPOCHS": "1", "CONFIRM": "0", "SPACE": '"digits_cnn"'}
"""The constants of the programs that a test changes; the rest of a program is what a user copies."""

Program = Callable[..., str]


@pytest.fixture
def program(tmp_path: Path, store: str) -> Program:
    """`program("own_pictures.py", "pets")` runs it in an empty folder and returns what it prints."""

    def run(name: str, *arguments: str) -> str:
        text = (EXAMPLES / name).read_text("utf-8")
        for constant, value in FEW.items():
            text = re.sub(rf"(?m)^{constant} = [^#\n]+?(?=  #|$)", f"{constant} = {value}", text)
        (tmp_path / name).write_text(text, "utf-8")
        done = subprocess.run(
            [sys.executable, name, *arguments],
            cwd=tmp_path,
            env={**os.environ, "MLFLOW_TRACKING_URI": store},
            capture_output=True,
            text=True,
            timeout=580,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_every_program_is_tested_and_named_in_the_list() -> None:
    files = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    tested = Path(__file__).read_text("utf-8")
    listed = (EXAMPLES / "README.md").read_text("utf-8")
    assert files and all(f'("{name}"' in tested and f"]({name})" in listed for name in files)


def test_own_pictures(program: Program, tmp_path: Path) -> None:
    images, labels = load_digits(n_class=2, return_X_y=True)
    for number, (image, label) in enumerate(zip(images[:60], labels[:60], strict=True)):
        path = tmp_path / "pets" / ("cat", "dog")[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image.reshape(8, 8) * 15).astype(np.uint8)).save(path)
    said = program("own_pictures.py", "pets")
    assert "The model is in exports/pictures." in said
    assert (tmp_path / "exports" / "pictures" / "model.keras").is_file()


def test_class_weights(program: Program) -> None:
    said = program("class_weights.py")
    assert re.search(r"The best trial is \d: balanced accuracy 0\.\d{4} in validation\.", said), said


def test_custom_dimension(program: Program, tmp_path: Path) -> None:
    said = program("custom_dimension.py")
    assert "cnnsearch compare noisy_digits --by input_noise --plugins custom_dimension.py" in said
    assert (tmp_path / "runs" / "noisy_digits").is_dir()


def test_custom_callback(program: Program, tmp_path: Path) -> None:
    said = program("custom_callback.py")
    first = (tmp_path / "best.csv").read_text("utf-8").splitlines()[0]
    assert f"New best: trial {first.partition(',')[0]} with " in said and said.rstrip().count(first) == 1


def test_small_and_good(program: Program) -> None:
    said = program("small_and_good.py")
    assert re.search(r"(?m)^ *trial +score +params +macs$", said) and "cnnsearch export small --trial " in said, said


@pytest.fixture
def execute(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`execute("tour.ipynb")` runs it in an empty folder and returns its code cells."""
    for name, value in {"MLFLOW_TRACKING_URI": store, "IPYTHONDIR": str(tmp_path / ".ipython")}.items():
        monkeypatch.setenv(name, value)

    def run(name: str) -> list[Any]:
        notebook = nbformat.read(EXAMPLES / name, as_version=4)
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
