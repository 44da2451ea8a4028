"""Two classes with one sigmoid output, from the search to the answers of its exports; a search without a result."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from tests.conftest import Run

CASES = Path(__file__).parents[1] / "cases" / "models.py"


def test_one_sigmoid_output_is_searched_confirmed_exported_and_asked(run: Run, tmp_path: Path) -> None:
    found = load_digits()
    x, y = np.rint(found.images * (255 / 16)).astype("uint8"), np.where(found.target < 5, "low", "high")
    np.savez(tmp_path / "two.npz", x_train=x[:900], y_train=y[:900], x_test=x[900:1100], y_test=y[900:1100])
    done = run(
        *("run", "--space", f"{CASES}:binary", "--dataset", "two.npz", "--study", "two", "--trials", "2"),
        *("--epochs", "4", "--confirm", "1x1"),
    )
    assert done.returncode == 0 and "failed" not in done.stdout, done.stdout + done.stderr
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    assert [row["state"] for row in rows] == ["complete", "complete"] and rows[0]["n"] == 1
    exported = run("export", "--best", "--format", "keras,onnx", "-o", "out")
    assert exported.returncode == 0, exported.stderr
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["reads"] == "sigmoid" and card["outputs"] == 1 and card["classes"] == ["high", "low"]
    assert card["measured"]["onnx"]["difference"] < 1e-4
    text = (tmp_path / "out" / "card.md").read_text()
    assert "Above 0.5 the class is low, else high." in text and "probabilities = np.array([1 - second, second])" in text
    Image.fromarray(x[0]).save(tmp_path / "zero.png")
    answers = [
        json.loads(run("predict", f"out/{file}", "zero.png", "--json").stdout)[0]["top"]
        for file in ("model.keras", "model.onnx")
    ]
    assert {top["class"] for top in answers[0]} == {"high", "low"} and answers[0][0]["class"] == answers[1][0]["class"]
    assert abs(sum(top["probability"] for top in answers[0]) - 1) < 1e-4


def test_a_search_without_a_complete_trial_says_the_most_common_reason(run: Run, tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text(
        f"import sys; sys.path.insert(0, {str(CASES.parents[2])!r})\nfrom tests.cases.models import ReturnsNumber\n"
        "class Late(ReturnsNumber):\n    def fit(self, *args, **kwargs):\n        raise ValueError('too late')\n"
    )
    line = ("run", "--space", "late.py:Late", "--dataset", "digits", "--trials", "2", "--epochs", "1")
    done = run(*line, "--json")
    assert done.returncode == 1 and json.loads(done.stdout.splitlines()[-1])["event"] == "end", done.stderr
    assert (
        "No trial of Late completed (2 plugin_error). The most common reason is plugin_error: ValueError: too late."
        in (done.stderr)
    )
    # the same command, when the cause is mended
    (tmp_path / "late.py").write_text((tmp_path / "late.py").read_text().replace("    def fit", "    def unused"))
    again = run(*line)
    assert again.returncode == 0, again.stderr
    assert "Study 'Late' begins again, because none of its trials completed (2 failed)." in again.stdout
    small = run(*line, "--memory", "1")
    assert small.returncode == 2 and "--memory 1: this is too little for a worker" in small.stderr
