"""The same steps from Python, as a notebook takes them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import cnnsearch
from cnnsearch import api
from tests.conftest import Run

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tour.ipynb"


def test_options_become_words_of_the_command_line() -> None:
    words = api._words({"trials": 5, "recipes": True, "quiet": False, "study": None, "recipe": ["a", "b"]})
    assert words == ["--trials", "5", "--recipes", "--recipe", "a", "--recipe", "b"]
    given = {"filters.first": [8, 16], "head.reduce": "max"}
    assert api._words({"set": given}) == ["--set", "filters.first=[8, 16]", "--set", "head.reduce=max"]


@pytest.mark.parametrize(
    ("space", "options", "said"),
    [
        ("digits_cn", {}, "there is no space 'digits_cn'. Did you mean 'digits_cnn'?"),
        ("digits_cnn", {"trails": 2}, "No such option '--trails'. (Did you mean"),
        ("digits_cnn", {"trials": 0}, "0 is not in the range x>=1"),
    ],
)
def test_a_mistake_is_an_error_of_one_line(
    space: str, options: dict[str, int], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(cnnsearch.CnnsearchError) as raised:
        cnnsearch.search(space, **options)
    assert said in raised.value.message and "\n" not in raised.value.message
    assert not list(tmp_path.iterdir())


def test_a_study_of_the_command_line_is_loaded(searched: Path) -> None:
    found = cnnsearch.load(runs=searched / "runs")
    assert found.name == "digits_cnn" and "5 trials" in repr(found)
    board = found.leaderboard()
    assert len(board) == 5 and found.best()["trial"] == board.loc[0, "trial"]
    assert len(found.study.trials) == 5


def test_the_notebook_runs_from_its_first_cell_to_its_last(run: Run, tmp_path: Path, store: str) -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    (tmp_path / "notebook.py").write_text(code)
    environment = {"MLFLOW_TRACKING_URI": store, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "notebook.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "report.html").stat().st_size > 10_000 and (tmp_path / "exports" / "tour").is_dir()
