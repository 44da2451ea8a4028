"""What others write: a dimension, a dataset, a trainer and hypermodels, none of them in the package."""

import json
from pathlib import Path

import pytest

from tests.conftest import Run

DIMENSION = '''
"""Gaussian noise on the input, a cheap regulariser for small images."""

from cnnsearch import dimension


@dimension
def input_noise(hp, plan, *, max_stddev=0.2):
    """How much Gaussian noise is added to every training image."""
    stddev = hp.Float("stddev", 0.0, max_stddev, step=max_stddev / 4)
    if not stddev:
        return plan
    return plan.replace(augment=(*plan.augment, ("GaussianNoise", {"stddev": stddev})))
'''
SPACE = """
description = "Mine."
dataset = "{dataset}"
{trainer}
dimensions = [
  {{ use = "conv_depth", max = 1 }},
  {{ use = "filters", first = [4] }},
  {{ use = "input_noise", max_stddev = 0.4 }},
]
[defaults]
epochs = 1
"""
DATASET = '''
import numpy as np

from cnnsearch import Dataset, dataset


@dataset
def stripes(*, count=120):
    """Pictures of lying and standing stripes."""
    x = np.zeros((count, 8, 8), "uint8")
    x[::2, ::2], x[1::2, :, ::2] = 255, 255
    return Dataset("stripes", x, np.arange(count) % 2, ("lying", "standing"))
'''
TRAINER = '''
from pathlib import Path

from cnnsearch import trainer


@trainer
def twice(hp, model, data, *, epochs, callbacks):
    """Every epoch sees the images twice."""
    Path("twice.txt").write_text(str(len(data.x)))
    return model.fit(
        data.x.repeat(2, 0), data.y.repeat(2, 0), batch_size=data.batch_size, epochs=epochs,
        validation_data=(data.x_val, data.y_val), callbacks=callbacks, verbose=0,
    )
'''
HYPERMODEL = """
import keras
import keras_tuner


def build(hp):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    for i in range(hp.Int("layers", 1, 2)):
        model.add(keras.layers.Dense(hp.Choice(f"units_{i}", [8, 16]), activation="relu"))
    model.add(keras.layers.Dense(10, activation="softmax"))
    rate = hp.Float("lr", 1e-3, 1e-2, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Mine(keras_tuner.HyperModel):
    def build(self, hp):
        return build(hp)

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(*args, batch_size=hp.Choice("batch", [64, 128]), **kwargs)
"""


def test_a_dimension_in_a_new_file_runs_with_no_other_change(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "input_noise.py").write_text(DIMENSION)
    (tmp_path / "space.toml").write_text(SPACE.format(dataset="digits", trainer=""))
    done = run("run", "--space", "space.toml", "--plugins", "mine", "--trials", "3", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    assert len(rows) == 3
    assert any("input_noise/stddev" in row["choices"] for row in rows)
    listing = run("plugins", "--plugins", "mine").stdout
    assert "input_noise" in listing and "local mine" in listing


def test_space_files_of_the_current_folder_are_found_but_its_code_is_not_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces" / "mine.toml").write_text(SPACE.format(dataset="digits", trainer=""))
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "trap.py").write_text("from pathlib import Path\nPath('trapped').touch()\n")
    listing = run("spaces")
    assert "mine" in listing.stdout and "local ./search_spaces" in listing.stdout
    assert not (tmp_path / "trapped").exists()


def test_a_dataset_and_a_trainer_of_ones_own(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name, code in (("input_noise", DIMENSION), ("stripes", DATASET), ("twice", TRAINER)):
        (tmp_path / "mine" / f"{name}.py").write_text(code)
    (tmp_path / "space.toml").write_text(SPACE.format(dataset="stripes", trainer='trainer = "twice"'))
    done = run("run", "--space", "space.toml", "--trials", "1", "--jobs", "1", CNNSEARCH_PLUGINS="mine")
    assert done.returncode == 0, done.stderr
    # 120 images less a fifth for test and a sixth of the rest for validation
    assert (tmp_path / "twice.txt").read_text() == "80"
    exported = run("export", "--best", CNNSEARCH_PLUGINS="mine")
    assert exported.returncode == 0, exported.stderr


@pytest.mark.parametrize(("name", "more"), [pytest.param("build", set(), marks=pytest.mark.slow), ("Mine", {"batch"})])
def test_hypermodels_run_unchanged(run: Run, tmp_path: Path, name: str, more: set[str]) -> None:
    (tmp_path / "models.py").write_text(HYPERMODEL)
    command = ("run", "--space", f"models.py:{name}", "--dataset", "digits", "--epochs", "1", "--jobs", "1")
    done = run(*command, "--trials", "2", "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["state"] for event in events[:2]] == ["complete", "complete"]
    assert {"layers", "units_0", "lr"} | more <= set(events[0]["params"])
    exported = run("export", "--best", "models" if name == "build" else name)
    assert exported.returncode == 0, exported.stderr
