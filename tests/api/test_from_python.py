"""A search that is begun from Python without a notebook, and what the command line then makes of its study."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cnnsearch
from tests.conftest import Run

SCRIPT = '''
import asyncio
import sys
import threading

import cnnsearch
import own_layers
from sklearn.datasets import load_digits

x, y = load_digits(n_class=3, return_X_y=True)
names = [["nought", "one", "two"][label] for label in y]


class Small:
    """A HyperModel of no library."""

    def __init__(self, least):
        self.least = least

    def build(self, hp):
        return own_layers.network(hp.Int("units", self.least, 16), 3)


def go():
    study = cnnsearch.search(Small(8), (x.reshape(-1, 8, 8), names), trials=2, epochs=1, confirm=0, jobs=1)
    print(study, "keras" in sys.modules)


async def main():
    # as in a notebook an event loop runs; and a thread cannot handle signals
    thread = threading.Thread(target=go)
    thread.start()
    thread.join()


asyncio.run(main())
'''
LAYERS = """
def network(units, classes):
    import keras

    inputs = keras.Input((8, 8, 1))
    hidden = keras.layers.Dense(units, activation="relu")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


@pytest.fixture
def python(tmp_path: Path, store: str) -> "subprocess.CompletedProcess[str]":
    """SCRIPT, read from standard input and so without a source file or a guard, beside a module of its own."""
    (tmp_path / "own_layers.py").write_text(LAYERS)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_", "MLFLOW_"))}
    return subprocess.run(
        [sys.executable, "-"],
        input=SCRIPT,
        cwd=tmp_path,
        env={**clean, "MLFLOW_TRACKING_URI": store},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_a_script_without_guard_or_source_searches_and_its_study_is_exported(
    python: "subprocess.CompletedProcess[str]", run: Run, tmp_path: Path
) -> None:
    assert python.returncode == 0, python.stdout + python.stderr
    assert "Result('Small', 2 trials, best val_accuracy" in python.stdout
    # Keras is imported in the workers
    assert python.stdout.rstrip().endswith("False")
    # the functions of the module beside it are in the study's file
    (tmp_path / "own_layers.py").unlink()
    exported = run("export", "--best")
    assert exported.returncode == 0, exported.stdout + exported.stderr
    card = json.loads((tmp_path / "exports" / "Small" / "card.json").read_text())
    assert card["classes"] == ["nought", "one", "two"]
    (file,) = (tmp_path / "runs" / "Small").glob("hypermodel-*.pkl")
    file.write_bytes(b"cnnsearch hypermodel, Python 2.7\n")
    # only what trains or opens a model reads the file
    result = cnnsearch.load(runs=tmp_path / "runs")
    assert len(result.leaderboard()) == 2 and "Small" in result._repr_html_()
    with pytest.raises(cnnsearch.CnnsearchError, match=r"was written by Python 2\.7; expected Python 3"):
        result.best_model()
