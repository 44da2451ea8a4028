"""Backbones: exact sizes, pixels prepared as Keras does, weights from a file, what learns and how fast."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnnsearch.core.errors import DataError
from cnnsearch.data.splits import Split
from cnnsearch.spaces import plugins, pretrained
from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.hyperparameters import HyperParameters, replay
from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.training import build, feature_cache, fitting, training_data
from cnnsearch.training.candidate import from_plan
from tests.conftest import Run

KNOWN = plugins.load()
PREPARED = {
    "VGG16": keras.applications.vgg16.preprocess_input,
    "MobileNetV2": keras.applications.mobilenet_v2.preprocess_input,
    "EfficientNetV2B0": keras.applications.efficientnet_v2.preprocess_input,
    "ConvNeXtTiny": keras.applications.convnext.preprocess_input,
}


def plan_of(network: str = "MobileNetV2", shape: tuple[int, int, int] = (8, 8, 1), **options: Any) -> Plan:
    spec = pretrained.spec(network, shape, **{"weights": "none", **options})
    rate = 0.1 if options.get("train_last") else 0.0
    return Plan(shape, 10, stem=(Block((spec,)),), stem_rate=rate, head=Head("average"), batch_size=8, epochs=1)


@pytest.fixture(scope="module")
def mobile_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as `save_weights` writes it; batch normalisation in it has seen other data than a new one."""
    keras.utils.set_random_seed(7)
    model = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    path = tmp_path_factory.mktemp("weights") / "mobile.weights.h5"
    model.save_weights(path)
    return path


@pytest.mark.parametrize("network", pretrained.NETWORKS)
def test_the_computed_cost_is_that_of_the_network(network: str) -> None:
    plan = plan_of(network, (64, 48, 3), side=64)
    model = build.core(plan)
    price = cost(plan)
    assert price.params == model.count_params()
    assert pretrained.shape_after(network, 64) == model.layers[1].output.shape[1:]
    learning = cost(plan.replace(stem_rate=1.0))
    assert learning.macs == price.macs > 1e6
    # a frozen one keeps nothing for a backward pass, and has no gradients
    assert learning.activations > 1e5 > price.activations
    assert price.training_bytes(128) < learning.training_bytes(128) / 2
    keras.backend.clear_session()


def test_vgg16_for_digits_has_the_reported_parameters() -> None:
    plan = plan_of("VGG16", (28, 28, 1)).replace(head=Head(widths=(128,), layers="dense act norm drop", rate=0.5))
    model = build.core(plan)
    assert model.count_params() == cost(plan).params == 14_782_154
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == 67_210
    # 306 thousand multiply-adds a pixel
    assert cost(plan).macs == pytest.approx(313.3e6, rel=0.01)


@pytest.mark.parametrize(
    ("network", "channels"),
    [("VGG16", 1), ("VGG16", 3), ("MobileNetV2", 3), ("EfficientNetV2B0", 1), ("ConvNeXtTiny", 3)],
)
def test_pixels_are_prepared_as_the_network_was_trained_on(network: str, channels: int) -> None:
    model = build.core(plan_of(network, (32, 32, channels)))
    inner = model.layers[1].layers[-1]
    x = np.random.default_rng(0).integers(0, 256, (2, 32, 32, channels)).astype("float32")
    colours = np.repeat(x, 3, -1) if channels == 1 else x
    expected = inner(PREPARED[network](colours.copy()))
    found = model.layers[1](model.layers[0](x))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_images_of_another_size_are_resized_and_others_are_not() -> None:
    def kinds(side: int) -> list[str]:
        return [type(part).__name__ for part in build.core(plan_of(shape=(side, side, 3))).layers[1].layers]

    assert "Resizing" in kinds(28) and "Resizing" not in kinds(32)


@pytest.mark.slow
def test_the_exported_model_loads_with_keras_alone(tmp_path: Path) -> None:
    for network in ("VGG16", "ConvNeXtTiny"):
        core = build.core(plan_of(network, (12, 12, 3)))
        core.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        x = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 3), "uint8")
        np.testing.assert_allclose(loaded.predict(x, verbose=0), core.predict(x, verbose=0), atol=1e-6)


def test_weights_come_from_a_file(mobile_weights: Path) -> None:
    model = build.core(plan_of(weights=str(mobile_weights)))
    expected = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3))
    expected.load_weights(mobile_weights)
    for found, wanted in zip(model.layers[1].get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_model_that_has_its_weights_loads_none(mobile_weights: Path) -> None:
    plan = plan_of(weights=str(mobile_weights))
    blank = pretrained.without_weights(plan)
    assert blank.stem[0].layers[0][1]["weights"] == "none"
    gone = plan_of(weights="gone.weights.h5")
    assert build.core(pretrained.without_weights(gone)).count_params() == cost(plan).params


@pytest.mark.parametrize(
    ("weights", "network", "message"),
    [
        ("gone.weights.h5", "MobileNetV2", "there is no file of weights gone.weights.h5; expected imagenet, none, or"),
        ("wrong.weights.h5", "MobileNetV2", "wrong.weights.h5 does not hold its weights"),
    ],
)
def test_wrong_weights_are_one_line(
    weights: str, network: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.weights.h5").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=message) as caught:
        build.core(plan_of(network, weights=weights))
    assert "\n" not in caught.value.message


def test_the_last_layers_learn_at_a_lower_rate_and_the_others_not_at_all() -> None:
    keras.utils.set_random_seed(0)
    plan = plan_of("VGG16", train_last=2).replace(optimizer=("SGD", {"learning_rate": 0.1}))
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 256, (8, 8, 8, 1), "uint8"), generator.integers(0, 10, 8)

    def changes(plan: Plan) -> tuple[list[float], list[float]]:
        """How far one step moves each variable of the backbone that learns, and of the head."""
        keras.utils.set_random_seed(0)
        candidate = from_plan(plan, 8)
        stem = build.stem(candidate.model)[0]
        assert not any(isinstance(part, keras.layers.BatchNormalization) for part in learning(stem))
        before = [weight.numpy() for weight in candidate.model.trainable_weights]
        candidate.model.fit(x, np.eye(10)[y], batch_size=8, epochs=1, verbose=0)
        after = [weight.numpy() for weight in candidate.model.trainable_weights]
        moved = [float(np.abs(a - b).max()) for a, b in zip(after, before, strict=True)]
        count = len(stem.trainable_weights)
        return moved[:count], moved[count:]

    slow, head = changes(plan)
    fast, same = changes(plan.replace(stem_rate=1.0))
    assert len(slow) == 4 and min(slow) > 0
    np.testing.assert_allclose(np.array(slow) * 10, fast, rtol=1e-3)
    np.testing.assert_allclose(head, same, rtol=1e-3)


def learning(stem: Any) -> list[Any]:
    return [part for part in stem.layers[-1].layers if part.trainable_weights]


def test_more_last_layers_than_there_are_means_all() -> None:
    for layers, weights in ((0, 0), (1, 2), (13, 26), (14, 26), (999, 26)):
        core = build.core(plan_of("VGG16", train_last=layers))
        assert len(core.layers[1].trainable_weights) == weights, layers
    function = KNOWN.get("dimension", "backbone").function
    assert function is not None
    with pytest.raises(ValueError, match="train_last must be 0 or more, got -1"):
        function(HyperParameters(replay({})), Plan((8, 8, 1), 10), train_last=(-1,))


def test_a_frozen_backbone_is_asked_once_and_gives_the_same_training() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 256, (40, 8, 8, 1), "uint8"), np.arange(40) % 10
    parts = Split(x[:30], y[:30], x[30:], y[30:], x[:0], y[:0])
    plan = plan_of().replace(epochs=3)

    def losses(fit: Any) -> list[float]:
        keras.utils.set_random_seed(0)
        candidate = from_plan(plan, 30)
        history = fit(candidate, training_data.for_candidate(candidate, parts, 10))
        return [*history.history["loss"], *history.history["val_loss"]]

    def whole(candidate: Any, data: Any) -> Any:
        return candidate.model.fit(
            data.x, data.y, batch_size=8, epochs=3, verbose=0, validation_data=(data.x_val, data.y_val)
        )

    def once(candidate: Any, data: Any) -> Any:
        return fitting.fit(None, candidate.model, data, epochs=3, callbacks=[])

    np.testing.assert_allclose(losses(once), losses(whole), rtol=1e-3)
    candidate = from_plan(plan, 30)
    rest, answers, _ = feature_cache.with_cached_features(candidate.model, x[:30], x[30:])
    assert rest is not candidate.model and answers.shape == (30, 1, 1, 1280)
    np.testing.assert_allclose(rest.predict(answers, verbose=0), candidate.model.predict(x[:30], verbose=0), atol=1e-5)
    for other in (plan.replace(augment=(("RandomFlip", {}),)), plan_of("VGG16", train_last=1), Plan((8, 8, 1), 10)):
        model = from_plan(other, 30).model
        assert feature_cache.with_cached_features(model, x, x)[0] is model, "they may differ between epochs"


def test_the_dimension_draws_networks_that_are_known() -> None:
    function = KNOWN.get("dimension", "backbone").function
    assert function is not None
    start = Plan((28, 28, 1), 10)
    frozen = function(HyperParameters(replay({})), start)
    assert frozen.stem_rate == 0 and frozen.stem[0].layers[0][1]["network"] == "MobileNetV2"
    tuned = function(HyperParameters(replay({"train_last": 4})), start, train_last=(0, 4), rate=0.2)
    assert tuned.stem_rate == 0.2 and Plan.from_json(tuned.to_json()) == tuned
    for options, message in [
        ({"names": ("VGG61",)}, r"no backbone 'VGG61'\. Did you mean 'VGG16'\?"),
        ({"side": 16}, "images of 32 pixels or more"),
        ({"weights": "vgg.h5"}, "are of one network; say which"),
        ({"rate": 0.0}, "rate must be above 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            function(HyperParameters(replay({})), start, **options)
    with pytest.raises(ValueError, match="of 1 or 3 channels, got 2"):
        function(HyperParameters(replay({})), start.replace(input_shape=(28, 28, 2)))


SPACE = """
dataset = { use = "digits", limit = 100 }
input_shape = [8, 8, 1]
dimensions = [
  { use = "backbone", names = ["VGG16"], weights = "none" },
  { use = "head", reduce = ["average"], depth = [0] },
]
[defaults]
epochs = 1
"""


def test_transfer_from_a_file_is_searched_and_exported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "transfer.toml").write_text(SPACE)
    # few layers: most of the time is that of writing and reading them
    original = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    original.save_weights(tmp_path / "vgg.weights.h5")
    setting = f'backbone.weights="{tmp_path / "vgg.weights.h5"}"'
    done = run("run", "--space", "transfer.toml", "--trials", "1", "--jobs", "1", "--set", setting)
    assert done.returncode == 0, done.stderr
    exported = run("export", "-o", "out")
    assert exported.returncode == 0, exported.stderr
    model = keras.saving.load_model(tmp_path / "out" / "model.keras", safe_mode=True)
    # frozen: the exported one has the file's weights still
    for kept, own in zip(model.layers[1].get_weights(), original.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, own)


def test_with_no_network_the_way_by_a_file_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "transfer.toml").write_text(SPACE)
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path)}
    setting = 'backbone.weights="imagenet"'
    done = run("run", "--space", "transfer.toml", "--trials", "2", "--jobs", "1", "--set", setting, **nowhere)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "could not be fetched" in last and "--weights FILE" in last, done.stderr
    assert "Traceback" not in done.stderr
