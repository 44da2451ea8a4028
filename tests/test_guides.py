"""The pages for authors followed to the letter: every file written, every command run, in order, in one folder."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.test_docs import AUTHORS, SPACES, files

pytestmark = pytest.mark.documents

MODELS = """
def build(hp):
    import keras

    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(hp.Choice("units", [8, 16]), activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the guides speak of and do not spell out: a hypermodel, a space, and a little MNIST."""
    (tmp_path / "my_models.py").write_text(MODELS)
    (tmp_path / "somewhere").mkdir()
    (tmp_path / "search_spaces").mkdir()
    for place in ("somewhere/my_space.toml", "search_spaces/my_digits.toml"):
        (tmp_path / place).write_text(files(SPACES)["search_spaces/my_digits.toml"])
    chance = np.random.default_rng(0)
    images, labels = chance.integers(0, 256, (150, 28, 28), dtype=np.uint8), np.tile(np.arange(10, dtype=np.uint8), 15)
    parts = {"x_train": images[:120], "y_train": labels[:120], "x_test": images[120:], "y_test": labels[120:]}
    np.savez(tmp_path / "mnist.npz", **parts)
    return tmp_path


def commands(text: str) -> list[list[str]]:
    """The words of every line of the shell blocks."""
    lines = "\n".join(re.findall(r"(?ms)^```sh\n(.*?)^```$", text)).splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def small(words: list[str]) -> list[str]:
    """A search as the guide has it, but of one trial of one epoch."""
    if words[:2] != ["cnnsearch", "run"]:
        return words
    if "--trials" in words:
        words = [word for at, word in enumerate(words) if "--trials" not in words[max(0, at - 1) : at + 1]]
    limited = [word.replace("dataset.limit=6000", "dataset.limit=100") for word in words]
    return [*limited, "--trials", "1", "--epochs", "1", "--jobs", "1"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("text", [AUTHORS, SPACES], ids=["plugins", "space-files"])
def test_every_command_of_a_guide_works(text: str, folder: Path, store: str) -> None:
    for path, content in files(text).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_", "MLFLOW_"))}
    environment = {**clean, "MLFLOW_TRACKING_URI": store, "CNNSEARCH_DATA": str(folder)}
    for words in commands(text):
        if words[0] == "export":
            environment.update([words[1].split("=")])
            continue
        module = {"cnnsearch": ["-m", "cnnsearch"], "pytest": ["-m", "pytest"], "python": []}[words[0]]
        command = [sys.executable, *module, *small(words)[1:]]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
