"""Images of other numbers than 8 bits: a plan's model learns from them what it learns from the same ones in 8 bits."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from cnnsearch.data import pixel_values
from cnnsearch.data.arrays import noisy
from cnnsearch.data.dataset import Dataset, Images
from cnnsearch.data.splits import Split, split
from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.training import build, feature_cache, fitting, training_data
from cnnsearch.training.candidate import from_plan

DIGITS = load_digits()
BYTES = np.rint(DIGITS.images[:600] * 15.9375).astype("uint8")
PLAN = Plan((8, 8, 1), 10, (Block("conv norm act pool", 8),), Head(widths=(16,)), batch_size=50, epochs=1)

FORMS: dict[str, Callable[[Images], Images]] = {
    "uint16": lambda x: x.astype("uint16") * 257,
    "int16": lambda x: x.astype("int16") * 16 - 1024,
    "int32": lambda x: x.astype("int32") * 1000 - 100_000,
    "standardised": lambda x: (x - 80.0) / 70,
}


def parts(images: Images) -> tuple[Split, Plan]:
    """The digits with these images, and the plan for them."""
    found = split(Dataset("digits", images, DIGITS.target[:600]), seed=0)
    return found, PLAN.replace(value_range=pixel_values.value_range(found.x))


def trained(images: Images, by_epochs: bool) -> tuple[list[dict[str, float]], Any, Split]:
    """The history of an epoch, the network and its data."""
    data, plan = parts(images)
    keras.utils.set_random_seed(1)
    candidate = from_plan(plan, len(data.x), by_epochs)
    fold = training_data.for_candidate(candidate, data, 10)
    outcome = fitting.train(candidate, None, None, fold, 1, "val_accuracy", lambda epoch, metrics: True)
    return outcome.history, candidate.core, data


@pytest.fixture(scope="module")
def in_bytes() -> dict[bool, list[dict[str, float]]]:
    """What is learnt from 8 bits, by whole epochs and by Keras' `fit`."""
    return {by_epochs: trained(BYTES, by_epochs)[0] for by_epochs in (True, False)}


@pytest.mark.parametrize(
    "form, by_epochs", [("uint16", True), ("int16", True), ("standardised", True), ("int32", False)]
)
def test_the_same_is_learnt_from_other_numbers(form: str, by_epochs: bool, in_bytes: Any) -> None:
    history, core, data = trained(FORMS[form](BYTES), by_epochs)
    assert data.x.dtype.kind in "iuf" and data.x.dtype != np.uint8
    for epoch, expected in zip(history, in_bytes[by_epochs], strict=True):
        assert epoch["loss"] == pytest.approx(expected["loss"], rel=2e-3)
        assert epoch["val_loss"] == pytest.approx(expected["val_loss"], rel=2e-3)
    # what is kept takes the raw values, and is of Keras' own layers
    again = keras.models.model_from_json(core.to_json())
    again.set_weights(core.get_weights())
    assert np.allclose(again.predict(data.x_val, verbose=0), core.predict(data.x_val, verbose=0))


def test_the_scaling_maps_the_range_to_0_and_1() -> None:
    for values in ((0.0, 255.0), (-1024.0, 3071.0), (-1.5, 2.25), (0.0, 1.0)):
        core = build.core(PLAN.replace(value_range=values))
        given = np.float32(values).reshape(2, 1, 1, 1) * np.ones((2, 8, 8, 1), "float32")
        scaled = np.asarray(core.layers[0](given))
        assert np.allclose(scaled[0], 0, atol=1e-6) and np.allclose(scaled[1], 1, atol=1e-6)
        assert build.value_range(core) == pytest.approx(values)
    assert core.layers[0].dtype_policy.name == "float32"


def test_half_precision_does_not_round_what_is_not_scaled_yet() -> None:
    """4095 and 4090 are one number in bfloat16."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        core = build.core(PLAN.replace(value_range=(4000.0, 4095.0)))
        scaled = core.layers[0](np.float32([[4090]]))
    finally:
        keras.config.set_dtype_policy("float32")
    assert float(np.asarray(scaled)[0, 0]) == pytest.approx(90 / 95, abs=1e-3)


def test_a_frozen_stem_is_asked_for_other_numbers_too() -> None:
    data, plan = parts(FORMS["int16"](BYTES[:100].repeat(6, 0)))
    plan = plan.replace(stem=(Block("conv act", 4),), stem_rate=0)
    model = from_plan(plan, len(data.x)).model
    rest, x, _ = feature_cache.with_cached_features(model, data.x[:8], data.x_val[:8])
    assert rest is not model and x.dtype == np.float32
    assert np.allclose(rest.predict(x, verbose=0), model.predict(data.x[:8], verbose=0), atol=1e-5)


@pytest.mark.parametrize("form", ["int16", "standardised"])
def test_noise_is_of_the_range_of_the_values(form: str) -> None:
    data = Dataset("digits", FORMS[form](BYTES), DIGITS.target[:600])
    low, high = pixel_values.value_range(data.x)
    changed = noisy(data, 0.1, seed=0)
    assert changed.x.dtype == data.x.dtype and changed.x.min() >= low and changed.x.max() <= high
    inside = np.abs(data.x.astype("float64") - (low + high) / 2) < 0.2 * (high - low)
    difference = (changed.x.astype("float64") - data.x.astype("float64"))[inside]
    assert difference.std() / (high - low) == pytest.approx(0.1, rel=0.05)


def test_images_without_contrast_are_trained_on() -> None:
    assert parts(np.full((600, 8, 8), 0.5))[1].value_range == (0.5, 1.5)
    history, _, _ = trained(np.full((600, 8, 8), 0.5), by_epochs=True)
    assert all(np.isfinite(value) for epoch in history for value in epoch.values())
