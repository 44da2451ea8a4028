"""Plans become the Keras models they describe, and what is exported stands on its own."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from cnnsearch.spaces import sentences
from cnnsearch.spaces.layer_specs import REDUCTIONS, WORDS
from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.training.build import callbacks, compile_, core, learning_rate, part_callbacks, training_model
from cnnsearch.training.keras_objects import layer
from tests.conftest import WITHOUT_UNUSED

# Keras hands its own variables to NumPy without the `copy` that NumPy 2 asks for
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

AUGMENT = (("RandomAffine", {"rotation": 10, "shift": 0.1}), ("GaussianNoise", {"stddev": 0.05}))
PLAN = Plan(
    (12, 12, 1),
    3,
    (Block("conv norm act pool drop", 8, rate=0.2), Block("conv act down", 8)),
    Head(widths=(16,), layers="dense norm act drop", rate=0.3),
    augment=AUGMENT,
    batch_size=16,
)
RELOAD = """
import sys
sys.modules["cnnsearch"] = None
import keras, numpy as np
pixels = np.load(sys.argv[1])
for path in sys.argv[2:]:
    np.save(path + ".npy", keras.saving.load_model(path).predict(pixels, verbose=0))
"""

Pixels = NDArray[np.uint8]


@pytest.fixture
def pixels() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (32, 12, 12, 1), dtype=np.uint8)


@pytest.fixture(autouse=True)
def seeded() -> None:
    keras.utils.set_random_seed(0)


def one_hot(count: int, classes: int = 3) -> NDArray[np.float64]:
    return np.eye(classes)[np.arange(count) % classes]


def kinds(model: keras.Model) -> list[str]:
    return [type(each).__name__ for each in model.layers]


def trained(plan: Plan, pixels: Pixels, epochs: int = 1) -> tuple[keras.Model, keras.Model]:
    model = core(plan)
    training = training_model(plan, model)
    compile_(training, plan, len(pixels) // plan.batch_size)
    training.fit(pixels, one_hot(len(pixels)), batch_size=plan.batch_size, epochs=epochs, verbose=0)
    return model, training


def test_every_word_and_reduction_can_be_built() -> None:
    assert set(WORDS) == set(sentences.WORDS)
    assert set(REDUCTIONS) == set(sentences.REDUCTIONS)


def test_a_sentence_becomes_its_layers_in_order() -> None:
    model = core(PLAN)
    assert (
        kinds(model)
        == (
            "Rescaling Conv2D BatchNormalization Activation MaxPooling2D Dropout Conv2D Activation Conv2D "
            "Flatten Dense BatchNormalization Activation Dropout Dense"
        ).split()
    )
    assert model.input_shape == (None, 12, 12, 1) and model.output_shape == (None, 3)


def test_layers_are_named_by_their_place() -> None:
    names = [each.name for each in core(PLAN).layers]
    assert names == [each.name for each in core(PLAN).layers]
    assert {"block1_1_conv2d", "block2_3_conv2d", "head1_1_dense", "probabilities"} <= set(names)


def test_a_block_gives_its_layers_their_sizes() -> None:
    block = Block("conv down pool", 6, 3, 5, "valid", bias=False, pool=3)
    conv, down, pool = core(Plan((20, 20, 1), 2, (block,))).layers[1:4]
    assert (conv.filters, conv.kernel_size, conv.strides, conv.padding) == (6, (3, 3), (1, 1), "valid")
    assert (down.filters, down.kernel_size, down.strides, down.padding) == (6, (5, 5), (2, 2), "same")
    assert not conv.use_bias and down.use_bias
    assert pool.pool_size == (3, 3)


def test_no_dropout_layer_without_a_rate() -> None:
    assert "Dropout" not in kinds(core(Plan((8, 8, 1), 2, (Block("conv drop"),))))


def test_any_keras_layer_can_stand_in_a_sentence() -> None:
    block = Block(("conv", ("SpatialDropout2D", {"rate": 0.1}), ("LeakyReLU", {"negative_slope": 0.2})), 4)
    assert kinds(core(Plan((8, 8, 1), 2, (block,))))[1:4] == ["Conv2D", "SpatialDropout2D", "LeakyReLU"]


@pytest.mark.parametrize("reduce", sentences.REDUCTIONS)
def test_a_head_needs_no_blocks(reduce: str) -> None:
    model = core(Plan((6, 6, 2), 3, head=Head(reduce, (8, 4))))
    assert [each.units for each in model.layers if isinstance(each, keras.layers.Dense)] == [8, 4, 3]


def test_the_core_takes_raw_pixels_of_any_type(pixels: Pixels) -> None:
    model = core(PLAN)
    answers = model.predict(pixels, verbose=0)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(model.predict(pixels.astype("float32"), verbose=0), answers, atol=1e-6)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(pixels)), answers, atol=1e-5)


def test_probabilities_are_float32_under_a_mixed_policy() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = core(PLAN)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.outputs[0].dtype == "float32" and model.layers[1].compute_dtype == "bfloat16"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (("RandomAfine", {}), "there is no layer 'RandomAfine'. Did you mean 'RandomAffine'?"),
        (("add", {}), "there is no layer 'add'"),
        (("Dense", {"unit": 3}), "the layer Dense does not take {'unit': 3}: .*units"),
        (("Dense", {"units": -3}), "the layer Dense does not take .* Received: units=-3"),
    ],
)
def test_a_wrong_layer_is_named(spec: sentences.Spec, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer(spec)


def test_registered_layers_are_found_but_never_stand_in_for_kerass() -> None:
    own: dict[str, Any] = {"Mine": type("Mine", (keras.layers.Layer,), {})}
    own["Dense"] = type("Dense", (keras.layers.Layer,), {})
    for name, value in own.items():
        keras.saving.get_custom_objects()[f"tests>{name}"] = value
    try:
        assert type(layer(("Mine", {}))) is own["Mine"]
        assert type(layer(("tests>Dense", {}))) is own["Dense"]
        assert type(layer(("Dense", {"units": 2}))) is keras.layers.Dense
    finally:
        for name in own:
            del keras.saving.get_custom_objects()[f"tests>{name}"]


def test_augmentation_is_in_the_training_model_alone() -> None:
    model = core(PLAN)
    training = training_model(PLAN, model)
    assert kinds(training)[:3] == ["Rescaling", "RandomAffine", "GaussianNoise"]
    assert kinds(training)[3:] == kinds(model)[1:]
    assert all(ours is theirs for ours, theirs in zip(training.layers[3:], model.layers[1:], strict=True))


def test_images_are_smaller_in_the_epochs_that_the_plan_names(pixels: Pixels) -> None:
    plan = PLAN.replace(augment=(), head=Head("max"), sizes=(0.5, 1.0, 0.5))
    model = training_model(plan, core(plan))
    compile_(model, plan, 1)
    (changed,) = part_callbacks(model)
    changed.set_model(model)
    size, images = model.layers[1], pixels.astype("float32")
    means = images.reshape(32, 6, 2, 6, 2, 1).mean((2, 4))
    for epoch, expected in enumerate((means, images, means, images)):
        changed.on_epoch_begin(epoch)
        np.testing.assert_allclose(size(images, training=True), expected, rtol=1e-5)
        np.testing.assert_array_equal(size(images), images)


DENSE = (("Flatten", {}), ("Dense", {"units": 16}), ("Reshape", {"target_shape": (4, 4, 1)}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": (Block("conv", kernel=5, padding="valid"),)}, r"images of 4 by 4 pixels, the size 0.5, do not fit"),
        ({"blocks": (Block("down down down"),)}, r"block1_3_conv2d has strides, and a side of its image has one pixel"),
        ({"blocks": (Block(DENSE),)}, r"block1_2_dense needs 64 inputs and gets 16"),
        ({"head": Head("flatten")}, r"must reduce by 'average' or 'max'"),
    ],
)
def test_sizes_that_do_not_suit_the_network_are_named(changes: dict[str, Any], message: str) -> None:
    plan = Plan((8, 8, 1), 10, head=Head("max"), sizes=(0.5,)).replace(**changes)
    with pytest.raises(ValueError, match=message):
        training_model(plan, core(plan))


def test_forks_take_smaller_images(pixels: Pixels) -> None:
    gate = ("Multiply", {"paths": ["", [("GlobalAveragePooling2D", {"keepdims": True}), "conv"]]})
    shortcut = ("Add", {"paths": ["", "conv norm act"]})
    plan = PLAN.replace(blocks=(Block(("conv", shortcut, gate)),), head=Head("max"), sizes=(0.5,))
    model, training = trained(plan, pixels)
    assert training(pixels, training=True).shape == model(pixels).shape == (32, 3)


def test_without_augmentation_both_models_agree_and_the_core_stays_uncompiled(pixels: Pixels) -> None:
    model, training = trained(PLAN.replace(augment=()), pixels)
    np.testing.assert_array_equal(model.predict(pixels, verbose=0), training.predict(pixels, verbose=0))
    assert training.compiled and not model.compiled


def test_training_trains_the_core(pixels: Pixels) -> None:
    model = core(PLAN)
    before = [weight.copy() for weight in model.get_weights()]
    training = training_model(PLAN, model)
    compile_(training, PLAN, 2)
    training.fit(pixels, one_hot(32), batch_size=16, verbose=0)
    pairs = zip(before, model.get_weights(), strict=True)
    # kernels only: a bias before a normalisation has no gradient
    assert all((old != new).any() for old, new in pairs if old.ndim > 1)
    np.testing.assert_allclose(model.predict(pixels, verbose=0), training.predict(pixels, verbose=0), atol=1e-6)


def test_the_same_seed_starts_with_the_same_weights() -> None:
    starts = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        starts.append(core(PLAN).get_weights())
    for one, other in zip(*starts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_saved_core_loads_where_this_package_is_not(tmp_path: Path, pixels: Pixels) -> None:
    models = {}
    for name, augment in (("plain", ()), ("augmented", AUGMENT)):
        model, _ = trained(PLAN.replace(augment=augment, schedule=(1.0, 0.0), epochs=1), pixels)
        models[str(tmp_path / f"{name}.keras")] = model
        model.save(tmp_path / f"{name}.keras")
    np.save(tmp_path / "pixels.npy", pixels)
    command = [sys.executable, "-I", "-c", WITHOUT_UNUSED + RELOAD, str(tmp_path / "pixels.npy"), *models]
    subprocess.run(command, check=True, timeout=120)
    for path, model in models.items():
        np.testing.assert_allclose(np.load(f"{path}.npy"), model.predict(pixels, verbose=0), atol=1e-6)


def test_the_schedule_is_linear_between_its_factors_and_then_stays() -> None:
    plan = PLAN.replace(schedule=(0.0, 1.0, 0.5), optimizer=("SGD", {"learning_rate": 0.2}), epochs=2)
    model = training_model(plan, core(plan))
    compile_(model, plan, steps_per_epoch=4)
    rates = []
    for step in (0, 1, 2, 4, 6, 8, 9, 100):
        model.optimizer.iterations.assign(step)
        rates.append(learning_rate(model))
    np.testing.assert_allclose(rates, [0, 0.05, 0.1, 0.2, 0.15, 0.1, 0.1, 0.1], atol=1e-7)


def test_a_schedule_of_one_factor_and_a_default_rate() -> None:
    plan = PLAN.replace(schedule=(0.5,), optimizer=("SGD", {}))
    model = training_model(plan, core(plan))
    compile_(model, plan, 4)
    assert learning_rate(model) == pytest.approx(0.005)


def test_training_ends_at_the_schedules_last_factor(pixels: Pixels) -> None:
    _, training = trained(PLAN.replace(schedule=(1.0, 0.5, 0.25), epochs=2), pixels, epochs=2)
    assert learning_rate(training) == pytest.approx(0.00025)


def test_a_constant_rate_can_be_lowered_by_a_callback(pixels: Pixels) -> None:
    spec = ("ReduceLROnPlateau", {"monitor": "loss", "patience": 1, "min_delta": 100, "factor": 0.5})
    plan = PLAN.replace(callbacks=(spec,))
    training = training_model(plan, core(plan))
    compile_(training, plan, 2)
    assert learning_rate(training) == pytest.approx(0.001)
    training.fit(pixels, one_hot(32), epochs=3, verbose=0, callbacks=callbacks(plan))
    assert learning_rate(training) == pytest.approx(0.00025)


def test_a_scheduled_rate_and_one_that_falls_on_plateaus_exclude_each_other() -> None:
    plan = PLAN.replace(callbacks=(("ReduceLROnPlateau", {}),), schedule=(1.0, 0.0))
    with pytest.raises(ValueError, match="leave one of them out"):
        callbacks(plan)


def test_callbacks_are_new_each_time() -> None:
    plan = PLAN.replace(callbacks=(("EarlyStopping", {"patience": 3}),))
    (one,), (other,) = callbacks(plan), callbacks(plan)
    assert one is not other and one.patience == other.patience == 3


def test_accuracy_is_that_of_one_hot_labels(pixels: Pixels) -> None:
    plan = PLAN.replace(classes=2, loss=("BinaryCrossentropy", {"label_smoothing": 0.1}))
    training = training_model(plan, core(plan))
    compile_(training, plan, 1)
    answers = training.predict(pixels, verbose=0).argmax(axis=1)
    scores = training.evaluate(pixels, np.eye(2)[answers], verbose=0, return_dict=True)
    assert scores["accuracy"] == 1.0
    assert training.evaluate(pixels, np.eye(2)[1 - answers], verbose=0, return_dict=True)["accuracy"] == 0.0


def test_the_optimizer_is_built_before_training() -> None:
    model = training_model(PLAN, core(PLAN))
    compile_(model, PLAN, 1)
    assert model.optimizer.built and len(model.optimizer.variables) > 2 * len(model.trainable_variables)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": ("Adamm", {})}, "there is no optimizer 'Adamm'. Did you mean 'Adam'?"),
        ({"optimizer": ("Adam", {"rho": 1})}, "the optimizer Adam does not take {'rho': 1}"),
        ({"loss": ("CategoricalCrossentropi", {})}, "Did you mean 'CategoricalCrossentropy'?"),
        ({"loss": ("CategoricalCrossentropy", {"smooth": 1})}, "does not take {'smooth': 1}"),
        ({"callbacks": (("EarlyStoping", {}),)}, "no callback 'EarlyStoping'. Did you mean 'EarlyStopping'?"),
    ],
)
def test_a_wrong_name_or_configuration_is_named(changes: dict[str, Any], message: str) -> None:
    plan = PLAN.replace(**changes)
    with pytest.raises(ValueError, match=message):
        callbacks(plan)
        compile_(core(plan), plan, 1)


def test_a_stride_over_one_pixel_is_left_out_and_changes_nothing() -> None:
    strided = (Block("down act down norm act", filters=8, kernel=3),)
    made = core(Plan((2, 2, 1), 10, strided))
    assert [layer.strides for layer in made.layers if "conv2d" in layer.name] == [(2, 2), (1, 1)]
    by_stride = keras.layers.Conv2D(8, 3, strides=2, padding="same")
    image = np.random.default_rng(0).normal(size=(4, 1, 1, 8)).astype("float32")
    by_stride.build(image.shape)
    second = made.layers[3]
    second.set_weights(by_stride.get_weights())
    np.testing.assert_allclose(second(image), by_stride(image), atol=1e-6)
    # an image that is one pixel wide is stepped over downwards
    narrow = core(Plan((4, 2, 1), 10, strided))
    assert [layer.strides for layer in narrow.layers if "conv2d" in layer.name] == [(2, 2), (2, 1)]
