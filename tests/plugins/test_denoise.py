"""Two stages: a denoiser trained on clean images, a classifier on what it gives, exported as one model."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from cnnsearch.core.errors import CnnsearchError, DataError
from cnnsearch.data.arrays import noisy
from cnnsearch.data.dataset import Dataset
from cnnsearch.data.splits import split
from cnnsearch.spaces import plugins, space
from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.hyperparameters import HyperParameters, replay
from cnnsearch.spaces.plan import Plan
from cnnsearch.training import build, training_data
from cnnsearch.training.candidate import from_plan
from cnnsearch.training.dataset_loading import load_dataset
from tests.conftest import Run

KNOWN = plugins.load()
SPACE = """
dataset = { use = "digits", noise = 0.6 }
input_shape = [8, 8, 1]
trainer = { use = "denoise_first", denoiser_epochs = 6 }
dimensions = [
  { use = "denoiser", width = [16, 8] },
  { use = "conv_depth", max = 2 },
  { use = "filters", first = [8] },
]
[defaults]
epochs = 2
[recipes.shallow]
values = { "denoiser/depth" = 1 }
"""


def digits(noise: float) -> Dataset:
    return load_dataset(KNOWN, space.Use("digits", {"noise": noise}))


def denoiser_plan(growth: tuple[float, ...] = (2.0,), **values: float) -> Plan:
    start = Plan((8, 8, 1), 10, epochs=2, batch_size=32)
    function = KNOWN.get("dimension", "denoiser").function
    assert function is not None
    plan: Plan = function(HyperParameters(replay(values)), start, growth=growth)
    return plan


def test_a_noisy_dataset_knows_its_clean_images_through_limits_and_splits() -> None:
    clean, dirty = digits(0.0), digits(0.5)
    assert clean.x_clean is None and dirty.x_clean is not None
    np.testing.assert_array_equal(dirty.x_clean, clean.x)
    assert not np.array_equal(dirty.x, clean.x)
    first, second = split(clean, 3), split(dirty, 3)
    np.testing.assert_array_equal(first.x, second.x_clean)
    assert first.x_clean is None and second.x_clean is not None
    assert np.abs(second.x.astype(float) - second.x_clean).mean() > 20
    with pytest.raises(DataError, match="x_clean is of shape"):
        Dataset("d", clean.x, clean.y, clean.classes, x_clean=clean.x[:5])


@pytest.mark.parametrize("depth", [1, 2])
def test_the_denoiser_is_a_frozen_stem_of_the_same_size(depth: int) -> None:
    plan = denoiser_plan(depth=depth, width=8)
    core = build.core(plan)
    stem = build.stem(core)
    assert [type(part).__name__ for part in stem].count("UpSampling2D") == depth
    assert stem[-1].output.shape[1:] == (8, 8, 1) and not any(part.trainable_weights for part in stem)
    assert core.count_params() == cost(plan).params
    assert Plan.from_json(plan.to_json()) == plan


def test_the_filters_grow_with_each_pooling() -> None:
    def filters(factor: float) -> list[int]:
        return [block.filters for block in denoiser_plan((factor,), width=16, bottom=1).stem]

    assert filters(2.0) == [16, 32, 32, 32, 16, 1]
    assert filters(1.0) == [16, 16, 16, 16, 16, 1]
    with pytest.raises(ValueError, match="growth must be factors above 0"):
        filters(0.0)


def test_an_image_that_cannot_be_halved_is_told() -> None:
    function = KNOWN.get("dimension", "denoiser").function
    assert function is not None
    with pytest.raises(ValueError, match="images of 6x8 cannot be halved 2 times"):
        function(HyperParameters(replay({})), Plan((6, 8, 1), 10))


@pytest.mark.slow
def test_the_denoiser_restores_and_then_stays() -> None:
    keras.utils.set_random_seed(0)
    plan, parts = denoiser_plan(), split(digits(0.6), 0)
    candidate = from_plan(plan, len(parts.x))
    trainer = KNOWN.get("trainer", "denoise_first").function
    assert trainer is not None
    data = training_data.for_candidate(candidate, parts, 10)
    kept: list[list[np.ndarray]] = []

    class Keep(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            kept.append([weight.numpy() for part in build.stem(candidate.core) for weight in part.weights])
            assert 0 < logs["denoiser_loss"] < 0.6

    # what weighs nothing teaches the classifier nothing
    before = candidate.core.layers[-1].get_weights()
    nothing = data._replace(weights=np.zeros(len(data.x), "float32"))
    trainer(None, candidate.model, nothing, epochs=1, callbacks=[], denoiser_epochs=1)
    np.testing.assert_array_equal(candidate.core.layers[-1].get_weights()[0], before[0])
    trainer(None, candidate.model, data, epochs=2, callbacks=[Keep()], denoiser_epochs=12)
    for first, last in zip(*kept, strict=True):
        np.testing.assert_array_equal(first, last)
    stem = keras.Sequential([keras.Input((8, 8, 1)), candidate.core.layers[0], *build.stem(candidate.core)])
    restored = stem.predict(parts.x, verbose=0)
    assert parts.x_clean is not None
    before = np.square((parts.x.astype(float) - parts.x_clean) / 255).mean()
    after = np.square(restored - parts.x_clean / 255).mean()
    assert after < before / 2


def test_what_is_missing_is_one_line() -> None:
    trainer = KNOWN.get("trainer", "denoise_first").function
    assert trainer is not None
    parts = split(digits(0.0), 0)
    for plan, message in [(Plan((8, 8, 1), 10), "add the dimension denoiser"), (denoiser_plan(), "dataset.noise=1.0")]:
        candidate = from_plan(plan, len(parts.x))
        with pytest.raises(CnnsearchError, match=message):
            trainer(None, candidate.model, training_data.for_candidate(candidate, parts, 10), epochs=1, callbacks=[])


@pytest.mark.slow
def test_it_is_searched_retrained_and_exported_as_one_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(SPACE)
    quicker = ("--set", "trainer.denoiser_epochs=2")
    done = run("run", "--space", "two.toml", "--recipes", "--trials", "2", "--jobs", "1", *quicker)
    assert done.returncode == 0, done.stderr
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    assert sorted(row["origin"] for row in rows) == ["default", "recipe shallow"]
    assert all(row["state"] == "complete" for row in rows), rows
    first = run("export", "-o", "out")
    assert first.returncode == 0, first.stderr
    assert "digits (noise = 0.6)" in (tmp_path / "out" / "card.md").read_text()
    for path in (tmp_path / "runs").rglob("*.keras"):
        path.unlink()
    # without its model file the trial is trained again, by the same trainer
    second = run("export", "-o", "again")
    assert second.returncode == 0, second.stderr
    x = digits(0.6).x[:200]
    one, two = (keras.saving.load_model(tmp_path / name / "model.keras", safe_mode=True) for name in ("out", "again"))
    np.testing.assert_allclose(one.predict(x, verbose=0), two.predict(x, verbose=0), atol=1e-3)
    assert noisy(digits(0.0), 0.6, 0).fingerprint == digits(0.6).fingerprint


def test_noise_comes_again_as_it_was_and_not_the_same() -> None:
    clean, dirty = digits(0.0).x, digits(0.4).x
    path = Path(__file__).parents[2] / "plugins" / "trainers" / "denoise_first.py"
    np.random.seed(0)
    noise = plugins.import_file(path).Noise(dirty, clean)
    once, twice = noise.again(), noise.again()
    assert once.dtype == np.uint8 and not np.array_equal(once, twice)
    for shade in (0, 128, 255):
        there = clean // 8 == shade // 8
        assert once[there].mean() == pytest.approx(dirty[there].mean(), abs=8)
        assert once[there].std() == pytest.approx(dirty[there].std(), abs=8)
