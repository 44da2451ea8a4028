"""What users of KerasTuner and Optuna have runs unchanged: searched, pruned, ranked and exported."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from cnnsearch.spaces.hyperparameters import HyperParameters, by_chance, defaults, replay
from cnnsearch.study import listing
from cnnsearch.training.candidate import from_hypermodel
from tests.conftest import Run

THEIRS = Path(__file__).parents[1] / "hypermodels"


@pytest.mark.parametrize(
    ("reference", "searched"),
    [
        ("getting_started.py:build_model", {"num_layers", "units_0", "activation", "dropout", "lr"}),
        pytest.param("tune_training.py:MyHyperModel", {"units", "shuffle"}, marks=pytest.mark.slow),
        pytest.param(
            "conditional.py:build_model", {"model_type", "units", "classes", "optimizer"}, marks=pytest.mark.slow
        ),
        pytest.param("optuna_user.py:build", {"width", "dropout", "lr"}, marks=pytest.mark.slow),
    ],
)
def test_what_users_have_runs_unchanged(run: Run, tmp_path: Path, reference: str, searched: set[str]) -> None:
    line = ("run", "--space", str(THEIRS / reference), "--dataset", "digits", "--study", "theirs", "--jobs", "1")
    done = run(*line, "--trials", "2", "--epochs", "2", "--set", "dataset.limit=300")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    assert [row["state"] for row in rows] == ["complete", "complete"]
    exported = run("export", "--best")
    assert exported.returncode == 0, exported.stderr
    card = json.loads((tmp_path / "exports" / "theirs" / "card.json").read_text())
    assert searched <= set(card["hyperparameters"]) and card["measured"]["keras"]["difference"] < 1e-4


@pytest.mark.parametrize(
    "draw", [defaults, pytest.param(by_chance(3), marks=pytest.mark.slow)], ids=["default", "by chance"]
)
@pytest.mark.parametrize("name", ["HyperXception", "HyperResNet", "HyperEfficientNet"])
def test_keras_tuners_own_hypermodels_build(name: str, draw: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """HyperEfficientNet asks for ImageNet's weights, which tests have no network for."""
    import keras_tuner
    from keras_tuner.src.applications import efficientnet

    bare = {kind: functools.partial(make, weights=None) for kind, make in efficientnet.EFFICIENTNET_MODELS.items()}
    monkeypatch.setattr(efficientnet, "EFFICIENTNET_MODELS", bare)
    extra = {}
    if name == "HyperEfficientNet":
        extra = {"augmentation_model": keras_tuner.applications.HyperImageAugment(input_shape=(32, 32, 3))}
    theirs = getattr(keras_tuner.applications, name)(input_shape=(32, 32, 3), classes=10, **extra)
    if name == "HyperXception" and draw is defaults:
        draw = replay({"num_residual_blocks": 2})
    hp = HyperParameters(draw)  # type: ignore[arg-type]
    candidate = from_hypermodel(theirs, hp, 32)
    assert candidate.labels == "onehot" and hp.values
    if name == "HyperXception" and hp.values["num_residual_blocks"] == 2:
        pixels, labels = np.zeros((4, 32, 32, 3), "float32"), np.eye(10, dtype="float32")[:4]
        assert np.isfinite(candidate.model.train_on_batch(pixels, labels)).all()


OWN_METRICS = """
import keras


class Undefined(keras.metrics.MeanSquaredError):
    \"\"\"0/0, as an F1 without any positive answer.\"\"\"

    def result(self):
        return super().result() * float("nan")


def build(hp):
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(hp.Float("rate", 1e-3, 1e-1, sampling="log")), "categorical_crossentropy",
                  metrics=["accuracy", keras.metrics.MeanSquaredError(name="distance"), Undefined(name="ratio")])
    return model
"""


def test_a_metric_of_ones_own_has_a_direction_and_another_one_may_be_undefined(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_METRICS)
    line = ("run", "--space", "own.py:build", "--dataset", "digits", "--jobs", "1", "--trials", "3", "--epochs", "3")
    named = ("--metric", "val_distance", "--direction", "minimize")
    done = run(*line, *named, "--confirm", "1x1", "--scheduler", "none", "--pruner", "none")
    assert done.returncode == 0 and "failed" not in done.stdout, done.stdout + done.stderr
    study = listing.load(None, tmp_path / "runs")
    for trial in study.trials():
        found = [epoch["val_distance"] for epoch in trial.history]
        assert trial.score == min(found) == found[trial.best_epoch - 1] and "val_ratio" not in trial.history[0]
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    scores = [row["score"] for row in rows]
    assert not study.maximize and min(scores) == scores[0]
    # the same file with other code
    (tmp_path / "own.py").write_text(OWN_METRICS.replace("1e-3, 1e-1", "1e-3, 2e-1") + "\n# a remark\n")
    again = run(*line[:-4], "--trials", "4", "--epochs", "3", *named, "--confirm", "0")
    assert "own.py has changed since the last run of study 'own'" in " ".join(again.stdout.split()), again.stderr
