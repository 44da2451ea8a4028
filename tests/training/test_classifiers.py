"""Candidates that are no Keras models: searched, pruned, logged, ranked and exported like any other."""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnxruntime
import pytest
from sklearn.datasets import load_digits

from cnnsearch.core.errors import SpaceError, TrialFailure
from cnnsearch.data.splits import Split
from cnnsearch.spaces import plugins
from cnnsearch.spaces import space as spaces
from cnnsearch.spaces.hyperparameters import HyperParameters, defaults, replay
from cnnsearch.spaces.recipes import whole
from cnnsearch.training import fitting, model_io, training_data
from cnnsearch.training.candidate import from_hypermodel
from tests.conftest import Run

KNOWN = plugins.load()
SPACE = """
description = "NumPy on digits."
dataset = "digits"
input_shape = [8, 8, 1]
model = "numpy_mlp"
[defaults]
epochs = 4
[recipes.mean_square]
description = "Squared error."
source = "report 002"
[recipes.mean_square.values]
loss = "mse"
width1 = 128
"""


def pixels() -> np.ndarray:
    found: np.ndarray = np.rint(load_digits().images[:100, ..., None] * (255 / 16)).astype("uint8")
    return found


# MLflow's own, when its pyfunc is imported
@pytest.mark.filterwarnings("ignore:.*Any type hint")
def test_numpy_is_searched_pruned_logged_ranked_and_exported(run: Run, tmp_path: Path, store: str) -> None:
    (tmp_path / "mlp.toml").write_text(SPACE)
    done = run("run", "--space", "mlp.toml", "--recipes", "--trials", "6", "--jobs", "1", "--study", "mlp")
    assert done.returncode == 0, done.stderr
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    states = {row["state"] for row in rows}
    assert "complete" in states and len(rows) >= 6
    recipe = next(row for row in rows if row["origin"] == "recipe mean_square")
    assert states <= {"complete", "pruned"}, states
    assert recipe["state"] == "complete" and "loss=mse" in recipe["choices"] and "width1=128" in recipe["choices"]
    assert rows[0]["score"] > 0.9 and rows[0]["params"] > 10_000

    exported = run("export", "--best", "-o", "out", "--register", "mlp")
    assert exported.returncode == 0, exported.stderr
    out = tmp_path / "out"
    card = json.loads((out / "card.json").read_text())
    assert card["formats"] == ["npz", "onnx"] and card["test"]["accuracy"] > 0.9
    assert "onnxruntime" in (out / "card.md").read_text()
    session = onnxruntime.InferenceSession(str(out / "model.onnx"), providers=["CPUExecutionProvider"])
    answers = session.run(None, {session.get_inputs()[0].name: pixels().astype("float32")})[0]
    # mostly training images, so this is no test; it shows that pixels need no preparation
    assert (answers.argmax(1) == load_digits().target[:100]).mean() > 0.9
    assert (out / "confusion.png").stat().st_size > 1000
    assert "version 1 of mlp in MLflow's registry, champion: the first" in exported.stdout
    found = mlflow.MlflowClient(store).get_model_version_download_uri("mlp", "1")
    champion = mlflow.pyfunc.load_model(found.removeprefix("file://"))
    np.testing.assert_allclose(champion.predict(pixels().astype("float32"))["probabilities"], answers, atol=1e-5)
    for options, said in (
        (("--format", "keras"), "cannot be written as 'keras'. It can be written as npz, onnx."),
        (("--ensemble", "2"), "--ensemble averages Keras models, and those of study 'mlp' are of another kind"),
    ):
        refused = run("export", *options, "-o", "no")
        assert refused.returncode == 2 and said in refused.stderr and not (tmp_path / "no").exists()

    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name("cnnsearch/mlp")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert any("val_accuracy" in each.data.metrics for each in runs)
    logged = [item.path for each in runs for item in client.list_artifacts(each.info.run_id, "model")]
    assert any(path.endswith(".npz") for path in logged), logged

    for path in (tmp_path / "runs").rglob("trial-*.npz"):
        path.unlink()
    again = run("export", "--best", "-o", "again")
    assert again.returncode == 0, again.stderr
    first, second = (np.load(tmp_path / name / "model.npz") for name in ("out", "again"))
    for name in first.files:
        np.testing.assert_allclose(first[name], second[name], atol=1e-4)
    table = (out / "space.toml").read_text()
    assert 'model = "numpy_mlp"' in table
    repeat = run("run", "--space", "out/space.toml", "--study", "repeat", "--recipe", "mean_square", "--epochs", "1")
    assert repeat.returncode == 0, repeat.stderr


def test_a_recipe_that_is_no_point_of_a_model_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mlp.toml").write_text(SPACE.replace("width1 = 128", "width1 = 127"))
    done = run("run", "--space", "mlp.toml", "--recipe", "mean_square", "--jobs", "1")
    assert done.returncode != 0
    assert "recipe 'mean_square': width1 = 127 is not in" in done.stderr and "Traceback" not in done.stderr
    said = run("recipes", "mlp.toml")
    assert said.returncode == 0 and "Squared error." in said.stdout
    assert "mean_square" in run("spaces", "mlp.toml").stdout


@pytest.mark.slow
def test_a_recipe_joins_a_study_that_is_there(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mlp.toml").write_text(SPACE.replace("epochs = 4", "epochs = 1\nmax_params = 10000"))
    line = ("run", "--space", "mlp.toml", "--jobs", "1")
    # refused for its size, and nothing takes its place; a recipe is asked for by name and is not
    assert run(*line, "--recipe", "mean_square").returncode == 0
    assert run(*line, "--recipe", "mean_square").returncode == 0
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    assert [row["origin"] for row in rows] == ["recipe mean_square"]


def test_a_classifier_may_call_no_more_than_on_epoch_end() -> None:
    """What the guide asks of a fit is enough to be pruned."""
    space = spaces.load("numpy_mlp", KNOWN)
    made = from_hypermodel(hypermodel(space), HyperParameters(defaults), 32)

    def fit(hp: object, model: Any, x: object, y: object, *, epochs: int, callbacks: list[Any], **rest: object) -> None:
        for epoch in range(epochs):
            for callback in callbacks:
                callback.on_epoch_end(epoch, {"loss": 1.0, "val_accuracy": 0.5})
            if model.stop_training:
                break

    labels = load_digits().target[:100]
    parts = Split(pixels(), labels, pixels(), labels, pixels(), labels)
    data = training_data.for_candidate(made, parts, 10)
    outcome = fitting.train(made._replace(fit=fit), None, None, data, 5, "val_accuracy", lambda epoch, logs: epoch < 2)
    assert outcome.stopped and len(outcome.history) == 2
    with pytest.raises(TrialFailure, match="its HyperModel needs a fit, or its space needs a trainer"):
        fitting.train(made._replace(fit=None), None, None, data, 5, "val_accuracy", lambda epoch, logs: True)


def hypermodel(space: spaces.Space) -> object:
    return spaces.hypermodel(space, KNOWN, (8, 8, 1), 10)


def test_a_shipped_recipe_is_a_point() -> None:
    space = spaces.check(spaces.load("mnist_numpy_mlp", KNOWN), KNOWN)
    model = spaces.hypermodel(space, KNOWN, space.input_shape, 10)
    for recipe in space.recipes:
        values, network = whole(space, recipe, model.build)
        assert set(space.recipes[recipe]["values"]) <= set(values)
        assert not model_io.missing(network) and space.recipes[recipe]["source"]
    broken = {"odd": {"values": {"widht1": 128}}}
    with pytest.raises(SpaceError, match=r"no hyperparameter 'widht1' is drawn there\. Did you mean 'width1'"):
        whole(spaces.Space("s", recipes=broken, model="numpy_mlp"), "odd", model.build)


def test_what_is_neither_keras_nor_a_classifier_is_told_what_it_lacks() -> None:
    class Half:
        formats = ("npz",)
        stop_training = False

        def predict(self, x: object) -> object:
            return x

    hp = HyperParameters(defaults)
    with pytest.raises(
        TrialFailure, match=r"returned Half; .* or a classifier with get_weights, set_weights, count_params"
    ):
        from_hypermodel(lambda hp: Half(), hp, 128)


def test_files_of_both_kinds_are_whole_and_open_again(tmp_path: Path) -> None:
    space = spaces.load("numpy_mlp", KNOWN)

    def build() -> object:
        return from_hypermodel(hypermodel(space), HyperParameters(replay({"width2": 64})), 128).core

    model = build()
    assert model_io.formats(model) == ("npz", "onnx")
    for suffix in model_io.formats(model):
        path = tmp_path / f"model.{suffix}"
        model_io.save(model, path)
        answer = model_io.opened(path, build)
        np.testing.assert_allclose(answer(pixels()), model_io.predict(model, pixels()), atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.npz", "model.onnx"]
