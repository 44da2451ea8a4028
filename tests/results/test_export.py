"""export: the folder, the model with Keras alone, one evaluation on the test set, and refusals."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.data import pixel_values
from cnnsearch.results import figures
from cnnsearch.results.export import exported_model, folder, refit
from cnnsearch.results.export.evaluation import Evaluation
from cnnsearch.results.origin import origin_of, trained_trial
from cnnsearch.spaces.plan import Plan
from cnnsearch.study import listing
from tests.conftest import TINY, Run, invoke, python

FILES = {
    "model.keras",
    "plan.json",
    "space.toml",
    "leaderboard.csv",
    "leaderboard.md",
    "labels.json",
    "card.md",
    "card.json",
    "curves.png",
    "confusion.png",
    "mistakes.png",
    "samples.png",
}


@pytest.fixture(scope="module")
def exported(searched: Path) -> Path:
    done = invoke(searched, "export", "--best")
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout and "n = 60" in done.stdout
    return searched / "exports" / "digits_cnn"


def test_writes_every_file(exported: Path) -> None:
    assert {path.name for path in exported.iterdir()} == FILES
    assert json.loads((exported / "labels.json").read_text()) == [str(digit) for digit in range(10)]
    plan = Plan.from_json((exported / "plan.json").read_text())
    card = json.loads((exported / "card.json").read_text())
    assert card["params"] == keras.saving.load_model(exported / "model.keras").count_params()
    assert plan.input_shape == (8, 8, 1)
    text = (exported / "card.md").read_text()
    for part in (
        "test accuracy",
        "95% interval",
        "seed 0",
        "cnnsearch run --space digits_cnn",
        card["data"]["fingerprint"],
    ):
        assert part in text


def test_keras_alone_runs_the_model_which_has_no_augmentation(exported: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype("float32")
    np.save(tmp_path / "images.npy", images)
    code = f"""
import keras, numpy as np
model = keras.saving.load_model({str(exported / "model.keras")!r})
answer = model.predict(np.load({str(tmp_path / "images.npy")!r}), verbose=0)
np.save({str(tmp_path / "answer.npy")!r}, answer)
print("LAYERS", *(type(layer).__name__ for layer in model.layers))
"""
    done = python(tmp_path, code, without=("cnnsearch",))
    assert "LAYERS Rescaling" in done.stdout, done.stderr
    assert "Random" not in done.stdout and "Noise" not in done.stdout
    answer = np.load(tmp_path / "answer.npy")
    ours = keras.saving.load_model(exported / "model.keras").predict(images, verbose=0)
    np.testing.assert_allclose(answer, ours, atol=1e-5)
    np.testing.assert_allclose(answer.sum(1), 1, atol=1e-5)


def test_the_pictures_can_be_read_and_are_in_mlflow_too(searched: Path, exported: Path) -> None:
    for name in (name for name in FILES if name.endswith(".png")):
        with Image.open(exported / name) as picture:
            picture.verify()
            assert min(picture.size) > 200
    client = MlflowClient(f"sqlite:///{searched / 'mlflow.db'}")
    run_id = listing.load(None, searched / "runs").fact("mlflow")["run_id"]
    logged = {Path(item.path).name for item in client.list_artifacts(run_id, "export")}
    assert {"confusion.png", "mistakes.png", "samples.png", "card.md"} <= logged


def test_the_validation_accuracy_is_that_of_the_leaderboard(exported: Path) -> None:
    card = json.loads((exported / "card.json").read_text())
    assert card["validation"]["accuracy"] == pytest.approx(card["score"], abs=1.5 / card["validation"]["n"])


def test_a_trial_is_evaluated_once_on_the_test_set(searched: Path, exported: Path) -> None:
    before = json.loads((exported / "card.json").read_text())["test"]
    again = invoke(searched, "export", "--best", "-o", "again")
    assert "measured at an earlier export" in again.stdout
    assert json.loads((searched / "again" / "card.json").read_text())["test"] == before
    looks = [look["trial"] for look in listing.load(None, searched / "runs").test_results()]
    assert len(looks) == len(set(looks))


@pytest.mark.slow
def test_a_trial_whose_model_is_lost_is_trained_again(searched: Path, exported: Path) -> None:
    study = listing.load(None, searched / "runs")
    best = json.loads((exported / "card.json").read_text())["trial"]
    other = next(record for record in study.trials() if record.score is not None and record.number != best)
    model = study.checkpoint(other)
    assert model is not None
    model.rename(searched / "aside.keras")
    try:
        done = invoke(searched, "export", "--trial", str(other.number), "-o", "gone")
    finally:
        (searched / "aside.keras").rename(model)
    assert done.returncode == 0, done.stderr
    card = json.loads((searched / "gone" / "card.json").read_text())
    assert card["trial"] == other.number
    assert "models of this study were evaluated on the test set" in (searched / "gone" / "card.md").read_text()


def test_the_exported_space_is_a_space(searched: Path, exported: Path, run: Run, tmp_path: Path) -> None:
    # a copy: the study keeps its last command, which other tests read
    shutil.copytree(searched / "runs", tmp_path / "runs")
    shutil.copy(exported / "space.toml", tmp_path / "mine.toml")
    done = run("run", "--space", "mine.toml", "--study", "digits_cnn", "--trials", "5", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert "already has 5 of 5 trials" in done.stdout


def test_a_model_of_half_precision_is_compared_in_it_and_other_weights_are_refused(run: Run, tmp_path: Path) -> None:
    done = run("run", "--space", "digits_cnn", "--trials", "1", "--precision", "mixed_bfloat16", *TINY)
    assert done.returncode == 0, done.stdout + done.stderr
    study = listing.load("digits_cnn", tmp_path / "runs")
    origin = origin_of(study, trained_trial(study, 0), ())
    model = exported_model.trained_model(origin)
    found = exported_model._in_its_precision(origin, model)
    assert found.accuracy == pytest.approx(origin.chosen.score, abs=1.5 / found.n)
    assert model.layers[-1].compute_dtype == keras.config.dtype_policy().compute_dtype == "float32"
    path = study.checkpoint(origin.chosen)
    assert path is not None
    # in a study of author's models, float32 is used: on a CPU some of their gradients in bfloat16 would be wrong
    assert origin.source._replace(chosen=dataclasses.replace(origin.chosen, plan="")).precision == "float32"
    # without its file it is trained again in half precision: float32 would give other weights
    aside = path.rename(tmp_path / "aside.keras")
    again = exported_model.trained_model(origin)
    aside.rename(path)
    assert again.layers[-1].compute_dtype == keras.config.dtype_policy().compute_dtype == "float32"
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    # so is a refit: the same training, by another way
    chosen = dataclasses.replace(origin.chosen, epochs=origin.chosen.best_epoch)
    more = origin._replace(parts=refit.joined(origin.parts), chosen=chosen)
    for one, other in zip(refit.refit(origin).get_weights(), more.train().get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    model.save(path)
    refused = run("export")
    assert refused.returncode == 2 and "it is the file of another trial" in refused.stderr


def test_refuses_in_one_line(searched: Path, exported: Path) -> None:
    (searched / "taken").mkdir()
    (searched / "taken" / "thesis.txt").write_text("mine")
    for arguments, said in (
        (
            ("export", "--best", "-o", "taken"),
            "exists and is not an earlier export, or holds other files too (thesis.txt)",
        ),
        (("export", "--trial", "99"), "has no trained trial 99"),
        (("export", "nothing"), "There is no study 'nothing'"),
        (("export", "--best", "--trial", "1"), "cannot be used together"),
    ):
        done = invoke(searched, *arguments)
        assert done.returncode == 2 and said in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert (searched / "taken" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("out", [".", "..", "/"])
def test_a_folder_that_cannot_be_replaced_is_refused_before_anything_is_trained(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CnnsearchError, match="name the folder of the export itself with -o DIR"):
        folder.check_free(Path(out))


def test_pictures_of_many_classes_and_images_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [str(number) for number in range(1000)]
    drawn = figures.confusion(np.arange(1000), np.eye(1000, dtype="float32"), names, "t")
    assert max(drawn.get_size_inches()) <= figures.LARGEST
    converted: list[int] = []

    def noted(images: Any, values: Any) -> Any:
        converted.append(len(images))
        return pixel_values.to_bytes(images, values)

    monkeypatch.setattr(figures, "to_bytes", noted)
    x = np.zeros((500, 4, 4, 1), "float32")
    figures.samples(x, np.arange(500) % 10, names[:10], "t", (0.0, 1.0))
    figures.mistakes(x, np.arange(500) % 10, np.eye(10)[np.zeros(500, int)], names[:10], "t", (0.0, 1.0))
    assert converted == [figures.SHOWN, figures.SHOWN]


def test_the_interval_is_that_of_wilson() -> None:
    # 9,920 right of 10,000: computed by hand from Wilson's formula
    low, high = Evaluation(0.992, 0.0, 10_000).interval
    assert (round(low, 5), round(high, 5)) == (0.99006, 0.99357)
    assert Evaluation(1.0, 0.0, 360).interval[1] == pytest.approx(1.0)
