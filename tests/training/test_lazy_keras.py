"""Workers import Keras only if their candidates need it, and set it up whenever it is imported."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnnsearch.study import listing, mlflow_values
from cnnsearch.training import lazy_keras
from cnnsearch.training.epoch_callback import EpochReporter
from tests.conftest import Run, cnnsearch

PLAIN = """
import sys
from pathlib import Path

from cnnsearch.spaces import plugins


class Recording:
    def __init__(self):
        self.inner = plugins.load().get("space", "numpy_mlp").function((8, 8, 1), 10)
        self.build = self.inner.build

    def fit(self, *given, **named):
        self.inner.fit(*given, **named)
        found = sorted({name.partition(".")[0] for name in sys.modules} & {"keras", "tensorflow", "optuna", "mlflow"})
        Path("modules.txt").write_text(f"{found} {[type(each).__name__ for each in named['callbacks']]}")
"""


def test_a_search_whose_candidates_need_no_keras_does_not_import_it(run: Run, tmp_path: Path, store: str) -> None:
    (tmp_path / "plain.py").write_text(PLAIN)
    # not in this process, which has imported Keras
    words = ("run", "--space", "plain.py:Recording", "--dataset", "digits", "--trials", "2", "--epochs", "2")
    done = cnnsearch(tmp_path, *words, MLFLOW_TRACKING_URI=store)
    assert done.returncode == 0 and "MLflow:" not in done.stderr, done.stderr
    assert (tmp_path / "modules.txt").read_text() == "[] ['EpochReporter']"
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    assert [row["state"] for row in rows] == ["complete", "complete"] and rows[0]["score"] > 0.5
    (study,) = (summary["study"] for summary in listing.summaries(tmp_path / "runs", ""))
    assert [study.info["machine"][name] for name in ("backend", "keras", "precision", "devices")] == ["", "", "", []]
    assert mlflow_values.versions(study).keys() == {"cnnsearch", "python", "optuna", "mlflow", "numpy"}


LATE = """
import random, sys
from pathlib import Path
import numpy as np
from cnnsearch.training.keras_session import KerasSession

session = KerasSession("mixed_bfloat16", False, Path("runs"))
session.seed(3)
first = random.random(), np.random.random()
import tensorflow  # the backend comes before Keras
import keras
print(keras.config.dtype_policy().name, keras.src.utils.rng_utils.get_random_seed(), "matplotlib" in sys.modules)
then = random.random(), np.random.random()
random.seed(3), np.random.seed(3)
print((first, then) == ((random.random(), np.random.random()), (random.random(), np.random.random())))
print([type(finder).__name__ for finder in sys.meta_path].count("FirstImport"))
"""


def test_keras_that_is_imported_later_is_set_up_and_changes_no_random_numbers(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.splitlines() == ["mixed_bfloat16 3 False", "True", "0"], done.stderr


def direct(hp: Any) -> Any:
    import keras.layers

    return keras.layers


def through_another(hp: Any) -> Any:
    return direct(hp)


class Model:
    def build(self, hp: Any) -> Any:
        return [through_another(each) for each in hp]


class Plain:
    def build(self, hp: Any) -> Any:
        return np.zeros(hp), json.dumps(hp)


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (direct, True),
        (through_another, True),
        (Model(), True),
        (functools.partial(direct, 1), True),
        (functools.wraps(Plain.build)(lambda hp: direct(hp)), True),
        (Plain(), False),
        (Plain().build, False),
        (None, False),
    ],
)
def test_code_that_imports_keras_is_found(plugin: Any, expected: bool) -> None:
    assert lazy_keras.is_imported_by(plugin) is expected


def test_callbacks_are_those_of_keras_or_have_the_same_methods() -> None:
    reporter = EpochReporter(None, "val_accuracy", lambda epoch, metrics: True)
    assert isinstance(reporter, EpochReporter) and isinstance(reporter, keras.callbacks.Callback)
    plain = lazy_keras._derived(EpochReporter, lazy_keras._PlainCallback)
    names = [name for name in dir(keras.callbacks.Callback) if not name.startswith("_")]
    assert [name for name in names if name != "model" and not callable(getattr(plain, name))] == []
    every = keras.callbacks.CallbackList([object.__new__(plain)], verbose=0)
    # a callback with methods for batches would make Keras wait after each batch
    assert every._async_train == keras.callbacks.CallbackList([reporter], verbose=0)._async_train
