"""Weights of a plan that are computed from images, trained in groups and averaged, and layers that see more."""

import tracemalloc
from typing import Any

import keras
import numpy as np
import pytest

from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.spaces.weight_training import Averaging
from cnnsearch.training import keras_objects
from cnnsearch.training.adjusted_optimizer import AveragedWeights
from cnnsearch.training.batch_layers import AlternatingFlip, Mixing
from cnnsearch.training.candidate import from_plan
from cnnsearch.training.initial_weights import Whitening

STEM = Block((("Conv2D", {"filters": 24, "kernel_size": 2}), "act"))
PLAN = Plan((8, 8, 3), 10, (STEM, Block("conv norm act", 30)), Head("max"), batch_size=25, epochs=2)
IMAGES = np.random.default_rng(0).integers(0, 200, (50, 8, 8, 3), "uint8")


def test_whitening_filters_give_patches_without_correlation_and_mean_0() -> None:
    plan = PLAN.replace(initial=(("^block1_1_conv2d$", ("Whitening", {"epsilon": 0.0})),))
    core = from_plan(plan, 50, x=IMAGES).core
    found = keras.Sequential([keras.Input((8, 8, 3)), *core.layers[:2]]).predict(IMAGES, verbose=0).reshape(-1, 24)
    np.testing.assert_allclose(found[:, :12], -found[:, 12:], atol=1e-5)
    np.testing.assert_allclose(found.mean(0), 0, atol=0.1)
    np.testing.assert_allclose(found[:, :12].T @ found[:, :12] / len(found), np.eye(12), atol=1e-4)


def test_dirac_filters_pass_their_channel_on() -> None:
    core = from_plan(PLAN.replace(initial=(("^block2_1_conv2d$", ("Dirac", {})),)), 50).core
    layer, images = core.get_layer("block2_1_conv2d"), np.random.default_rng(0).random((2, 5, 5, 24), "float32")
    layer.bias.assign(np.zeros(30))
    np.testing.assert_allclose(layer(images)[..., :24], images, atol=1e-6)
    assert 0 < abs(np.array(layer.kernel)[..., 24:]).max() <= 1 / np.sqrt(9 * 24)


def test_an_initializer_of_keras_sets_the_kernel() -> None:
    core = from_plan(PLAN.replace(initial=(("block2_1", ("Constant", {"value": 0.5})),)), 50)
    with pytest.raises(ValueError, match="block2_2_batchnormalization has no kernel"):
        from_plan(PLAN.replace(initial=(("block2", ("Constant", {"value": 0.5})),)), 50)
    with pytest.raises(ValueError, match=r"there is no initializer 'Witening'\. Did you mean 'Whitening'"):
        from_plan(PLAN.replace(initial=(("block2_1", ("Witening", {})),)), 50)
    assert (np.array(core.core.get_layer("block2_1_conv2d").kernel) == 0.5).all()


def test_groups_have_their_own_rate_and_end() -> None:
    groups = (
        ("block1_1_conv2d/kernel", {"rate": 0}),
        ("block1_1_conv2d/bias", {"until": 1, "decay": False}),
        ("beta", {"rate": 64}),
    )
    optimizer = ("SGD", {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 0.1})
    given = {"x": IMAGES, "y": np.eye(10)[np.arange(50) % 10], "batch_size": 25, "verbose": 0, "shuffle": False}
    betas = []
    for plan in (PLAN.replace(optimizer=optimizer), PLAN.replace(optimizer=optimizer, groups=groups)):
        keras.utils.set_random_seed(1)
        made = from_plan(plan, 50)
        made.model.train_on_batch(IMAGES[:25], given["y"][:25])
        betas.append(np.array(made.core.get_layer("block2_2_batchnormalization").beta))
    np.testing.assert_allclose(betas[1], 64 * betas[0], rtol=1e-4)
    core, (kernel, bias) = made.core, made.core.layers[1].get_weights()
    made.model.fit(**given)
    after_one = core.layers[1].get_weights()
    made.model.fit(**given)
    assert (after_one[0] == kernel).all() and (core.layers[1].get_weights()[0] == kernel).all()
    assert (after_one[1] != bias).any() and (core.layers[1].get_weights()[1] == after_one[1]).all()


def test_averages_are_in_the_model_after_an_epoch_and_the_trained_weights_before_the_next() -> None:
    plan = PLAN.replace(averaging=Averaging(1, 0.9), optimizer=("SGD", {"learning_rate": 0.1}))
    seen: list[Any] = []
    keras.utils.set_random_seed(1)
    made = from_plan(plan, 50)
    first = made.core.get_weights()[0]
    note = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append(made.core.get_weights()[0]),
        on_epoch_end=lambda epoch, logs: seen.append(made.core.get_weights()[0]),
    )
    y = np.eye(10)[np.arange(50) % 10]
    callbacks = [*made.callbacks, note]
    made.model.fit(IMAGES, y, 50, 2, verbose=0, validation_data=(IMAGES, y), callbacks=callbacks)
    start, averaged, trained, last = seen
    assert (start == first).all()
    np.testing.assert_allclose(averaged, 0.9 * first + 0.1 * trained, atol=1e-6)
    assert (made.core.get_weights()[0] == last).all()


def test_averages_are_shown_in_half_precision_too() -> None:
    """In mixed_float16 Keras puts the optimizer into another one."""
    plan = PLAN.replace(averaging=Averaging(1, 0.9), optimizer=("SGD", {"learning_rate": 0.1}))
    keras.config.set_dtype_policy("mixed_float16")
    try:
        made = from_plan(plan, 50)
        assert any(isinstance(each, AveragedWeights) for each in made.callbacks)
        y = np.eye(10)[np.arange(50) % 10]
        first = made.core.get_weights()[0]
        made.model.fit(IMAGES, y, 50, 1, verbose=0, validation_data=(IMAGES, y), callbacks=made.callbacks)
        optimizer = made.model.optimizer.inner_optimizer
        assert float(optimizer._swapped) == 1 and (made.core.get_weights()[0] != first).any()
    finally:
        keras.config.set_dtype_policy("float32")


def test_whitening_needs_no_copy_of_all_images_in_float64() -> None:
    layer = keras.layers.Conv2D(8, 2)
    layer.build((None, 64, 64, 3))
    given = np.random.default_rng(0).random((3000, 64, 64, 3), "float32")
    tracemalloc.start()
    Whitening().set_weights(layer, lambda count: given)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * given.nbytes


def test_every_image_is_mirrored_in_every_other_epoch() -> None:
    layer, images = AlternatingFlip(seed=1), IMAGES.astype("float32") / 255
    layer.build(images.shape)
    epochs = []
    for epoch in range(3):
        layer.epoch.assign(epoch)
        epochs.append(np.array(layer(images, training=True)))
    np.testing.assert_array_equal(epochs[0], epochs[2])
    np.testing.assert_array_equal(epochs[0], epochs[1][:, :, ::-1])
    kept = (epochs[0] == images).all((1, 2, 3))
    assert 10 < kept.sum() < 40
    np.testing.assert_array_equal(layer(images), images)


@pytest.mark.parametrize("spec", [("MixUp", {"alpha": 0.5, "seed": 2}), ("CutMix", {"factor": 1.0, "seed": 2})])
def test_labels_are_mixed_as_the_images_are(spec: Any) -> None:
    layer, labels = Mixing(keras_objects.layer(spec)), np.eye(50, dtype="float32")
    # each image has its number as brightness
    images = np.broadcast_to(np.arange(50, dtype="float32")[:, None, None, None], (50, 8, 8, 3))
    layer.build(images.shape)
    mixed = np.array(layer(images, training=True))
    found = np.array(layer.labels(labels))
    # a cut is up to a pixel wider or narrower than its share
    np.testing.assert_allclose(found @ np.arange(50), mixed.mean((1, 2, 3)), atol=1e-3 if spec[0] == "MixUp" else 12)
    assert (found != labels).any()
