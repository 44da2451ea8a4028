"""The default precision on a CPU: decided by timings, which are remembered; one precision for all trials of a study."""

import json
from pathlib import Path

import keras
import pytest

from cnnsearch.study import listing
from cnnsearch.training import half_precision
from cnnsearch.training.compiled import convolutions
from cnnsearch.training.device import auto_precision
from cnnsearch.training.half_precision import Timings
from cnnsearch.training.keras_session import KerasSession
from tests.conftest import Run

HALF_IS_FASTER = {"float32": [0.02, 0.01], "bfloat16": [0.008, 0.5]}
HALF_IS_SLOWER = {"float32": [0.02, 0.01], "bfloat16": [0.009, 0.009]}


@pytest.mark.parametrize(
    ("timings", "name"),
    [
        (HALF_IS_FASTER, "mixed_bfloat16"),
        # faster, but not by the margin
        (HALF_IS_SLOWER, "float32"),
        # one slow repetition in float32 is no reason
        ({"float32": [0.01, 0.9], "bfloat16": [0.02, 0.02]}, "float32"),
    ],
)
def test_half_precision_needs_a_clear_advantage_of_its_fastest_repetition(timings: Timings, name: str) -> None:
    assert auto_precision(lambda: timings) == name
    assert auto_precision(None) == "float32", "an author's models stay in float32"


def test_images_of_about_one_size_have_the_same_timings() -> None:
    sides = {size: half_precision.side_of(*size) for size in ((8, 8), (5, 9), (28, 28), (32, 20), (224, 224))}
    assert sides == {(8, 8): 8, (5, 9): 16, (28, 28): 32, (32, 20): 32, (224, 224): 32}


def test_timings_are_measured_once_and_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    first = half_precision.measured(8, tmp_path)
    assert all(convolutions.LEAST <= len(first[kind]) <= convolutions.MOST for kind in ("float32", "bfloat16"))
    (file,) = (tmp_path / half_precision.FOLDER).glob("*.json")
    assert half_precision.measured(8, tmp_path) == first and json.loads(file.read_text())["machine"]["side"] == 8
    for damaged in ("", "[]", '{"seconds": {"float32": [], "bfloat16": [1]}}', '{"seconds": {"float32": [0.1]}}'):
        file.write_text(damaged)
        assert half_precision.measured(8, tmp_path) != first
        assert json.loads(file.read_text())["seconds"].keys() == first.keys()


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert half_precision.measured(8, tmp_path / "file")["float32"]


def test_the_precision_of_the_study_replaces_that_of_the_worker(tmp_path: Path) -> None:
    remember(tmp_path, HALF_IS_FASTER)
    session = KerasSession("auto", True, tmp_path)
    try:
        session.start(8, 8)
        assert session.facts()["precision"] == "mixed_bfloat16"
        session.use_precision("float32")
        session.clear()
        assert session.facts()["precision"] == "float32"
        session.use_precision("")
        assert session.facts()["precision"] == "float32"
    finally:
        keras.config.set_dtype_policy("float32")


def remember(runs: Path, timings: Timings) -> None:
    """Let `timings` be what was measured here for the digits."""
    half_precision.measured(8, runs)
    (file,) = (runs / half_precision.FOLDER).glob("*.json")
    file.write_text(json.dumps({"seconds": timings}))


NOTING = """
import json, os
from pathlib import Path
from cnnsearch import dimension, trainer


@trainer
def noting(hp, model, data, *, epochs, callbacks):
    import keras

    with Path("policies.txt").open("a") as file:
        print(os.getpid(), keras.config.dtype_policy().name, file=file)
    model.fit(data.x, data.y, epochs=epochs, callbacks=callbacks, validation_data=(data.x_val, data.y_val), verbose=0)


@dimension
def ending(hp, plan):
    number = hp.Int("number", 0, 9)
    if Path("policies.txt").exists() and not Path("ended").exists():
        Path("ended").touch()
        # the next worker measures something else
        [file] = Path("runs/.precision").glob("*.json")
        file.write_text(json.dumps({"seconds": {"float32": [0.01], "bfloat16": [0.03]}}))
        os._exit(3)
    return plan.replace(epochs=number + 2)
"""

SPACE = """
dimensions = ["ending"]
dataset = "digits"
trainer = "noting"
[defaults]
epochs = 1
"""


def test_all_trials_of_a_study_have_the_precision_of_the_first_worker(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noting.py").write_text(NOTING)
    (tmp_path / "noted.toml").write_text(SPACE)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    remember(tmp_path / "runs", HALF_IS_FASTER)
    line = (
        "run",
        "--precision",
        "auto",
        "--space",
        "noted.toml",
        "--plugins",
        "noting.py",
        "--set",
        "dataset.limit=200",
    )
    for trials in ("2", "3"):
        done = run(*line, "--trials", trials)
        assert done.returncode == 0, done.stdout + done.stderr
    noted = [line.split() for line in (tmp_path / "policies.txt").read_text().splitlines()]
    assert [name for _, name in noted] == ["mixed_bfloat16"] * 3
    assert len({worker for worker, _ in noted}) == 3, "the second worker of the first search, and the resumed search"
    (study,) = (summary["study"] for summary in listing.summaries(tmp_path / "runs", ""))
    assert study.precision == "mixed_bfloat16"
