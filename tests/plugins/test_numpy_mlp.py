"""The NumPy perceptron: right gradients, a training that obeys, and files that load again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from sklearn.datasets import load_digits

from cnnsearch.spaces import plugins
from cnnsearch.spaces.hyperparameters import HyperParameters, replay

PLUGIN = plugins.import_file(Path(__file__).parents[2] / "plugins" / "spaces" / "numpy_mlp.py")
SHAPE = (8, 8, 1)
HYPER = PLUGIN.numpy_mlp(SHAPE, 10)

Fitted = Callable[..., tuple[Any, list[dict[str, float]]]]


class Callback:
    """Writes down what it is told, and stops after `last` epochs."""

    def __init__(self, last: int = 1000) -> None:
        self.last, self.told = last, []

    def set_model(self, model: Any) -> None:
        self.model = model

    def on_train_begin(self) -> None:
        self.told.append("begin")

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.told.append((epoch, logs))
        self.model.stop_training = epoch + 1 >= self.last

    def on_train_end(self) -> None:
        self.told.append("end")


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    x, y = load_digits(return_X_y=True)
    return np.rint(x[:300].reshape(-1, *SHAPE) * (255 / 16)).astype("uint8"), y[:300]


@pytest.fixture
def fitted(digits: tuple[Any, Any]) -> Fitted:
    """`fitted(epochs, loss="mse")` is a network after that many epochs on 200 digits, and its logs."""

    def _fitted(epochs: int, callback: Callback | None = None, **values: Any) -> tuple[Any, list[dict[str, float]]]:
        callback = callback or Callback()
        model = built(**values)
        x, y = digits
        rest = {"validation_data": (x[200:], y[200:]), "callbacks": [callback], "verbose": 0}
        HYPER.fit(None, model, x[:200], y[:200], epochs=epochs, validation_batch_size=64, **rest)
        return model, [told[1] for told in callback.told if isinstance(told, tuple)]

    return _fitted


def built(seed: int = 0, **values: Any) -> Any:
    np.random.seed(seed)
    return HYPER.build(HyperParameters(replay(values)))


def test_what_is_drawn() -> None:
    hp = HyperParameters(replay({}))
    model = HYPER.build(hp)
    assert hp.values == {
        "width1": 256,
        "width2": 128,
        "loss": "cross_entropy",
        "optimizer": "sgd",
        "rate": 0.05,
        "decay": 0.9,
        "dropout": 0.2,
        "batch_size": 64,
        "shift": 0.0,
        "rotate": 0.0,
    }
    assert model.input_shape == SHAPE and model.formats == ("npz", "onnx") and model.stop_training is False
    assert model.count_params() == 64 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10
    assert {array.dtype.name for array in model.get_weights()} == {"float32"}


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients_are_those_of_finite_differences(loss: str, dropout: float, digits: tuple[Any, Any]) -> None:
    training = PLUGIN.Training(loss=loss, dropout=dropout)
    model = PLUGIN.Network(SHAPE, (7, 6), 10, training, 0)
    # in float64, or the differences drown in rounding; biases off 0, away from the bend of ReLU
    generator = np.random.default_rng(1)
    model.weights = [array + generator.normal(0, 0.1, array.shape) for array in model.weights]
    x, y = digits[0][:5], digits[1][:5]

    def gradients() -> tuple[float, int, list[Any]]:
        model.generator = np.random.default_rng(2)  # the same units left out each time
        return model.gradients(x, y)

    for array, gradient in zip(model.weights, gradients()[2], strict=True):
        for place in generator.integers(0, array.size, 8):
            flat, before = array.reshape(-1), array.reshape(-1)[place]
            flat[place] = before + 1e-5
            above = gradients()[0]
            flat[place] = before - 1e-5
            below = gradients()[0]
            flat[place] = before
            assert gradient.reshape(-1)[place] == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"loss": "mse"},
        {"optimizer": "adam", "rate": 0.003},
        {"batch_size": 0, "dropout": 0.0, "rate": 0.1, "decay": 1.0, "epochs": 80},
    ],
    ids=str,
)
def test_it_learns_200_digits_by_heart(fitted: Fitted, digits: tuple[Any, Any], values: dict[str, Any]) -> None:
    model, logs = fitted(values.pop("epochs", 30), **values)
    x, y = digits
    assert (model.predict(x[:200]).argmax(axis=1) == y[:200]).mean() > 0.95
    assert logs[-1]["loss"] < logs[0]["loss"] and logs[-1]["val_accuracy"] > 0.8


def test_logs_are_plain_numbers_and_the_rate_falls(fitted: Fitted) -> None:
    callback = Callback()
    model, logs = fitted(3, callback, rate=0.01, decay=0.8)
    assert callback.told[0] == "begin" and callback.told[-1] == "end" and callback.model is model
    assert [told[0] for told in callback.told[1:-1]] == [0, 1, 2]
    assert all(type(value) is float for log in logs for value in log.values())
    assert set(logs[0]) == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
    assert [log["learning_rate"] for log in logs] == pytest.approx([0.01, 0.008, 0.0064])


def test_a_callback_ends_it_and_another_training_begins_anew(fitted: Fitted, digits: tuple[Any, Any]) -> None:
    callback = Callback(last=2)
    model, logs = fitted(50, callback)
    assert len(logs) == 2 and callback.told[-1] == "end" and model.stop_training
    HYPER.fit(None, model, *digits, epochs=1)
    assert not model.stop_training


def test_the_same_seed_gives_the_same_weights(fitted: Fitted) -> None:
    values = {"shift": 0.1, "rotate": 10.0, "dropout": 0.3}
    (first, _), (again, _), (other, _) = fitted(2, **values), fitted(2, **values), fitted(2, seed=1, **values)
    for one, two in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])


def test_a_full_batch_is_one_step_whatever_its_pieces(fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"batch_size": 0, "dropout": 0.0}
    whole, logs = fitted(2, **values)
    monkeypatch.setattr(PLUGIN, "_PIECE", 64)
    pieces, same = fitted(2, **values)
    assert logs[1]["loss"] == pytest.approx(same[1]["loss"])
    for one, two in zip(whole.get_weights(), pieces.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_divergence_shows_in_the_loss(fitted: Fitted, digits: tuple[Any, Any]) -> None:
    model = built(dropout=0.0)
    model.set_weights([array * 1e30 for array in model.get_weights()])
    callback = Callback()
    HYPER.fit(None, model, *digits, epochs=1, callbacks=[callback])
    assert not np.isfinite(callback.told[1][1]["loss"])


def test_predictions_are_probabilities(digits: tuple[Any, Any]) -> None:
    model, x = built(), digits[0]
    found = model.predict(x, verbose=0)
    assert found.shape == (300, 10) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(model.predict(x, batch_size=7), found, atol=1e-6)
    assert model.predict(x[:0]).shape == (0, 10)


def test_weights_are_copies() -> None:
    model = built()
    before = model.get_weights()
    model.get_weights()[0][:] = 0
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.set_weights([array + 1 for array in before])
    np.testing.assert_array_equal(before[0] + 1, model.get_weights()[0])


def test_augmentation_keeps_shape_and_range() -> None:
    x = np.random.default_rng(0).integers(0, 256, (50, 9, 12, 3), "uint8")
    found = PLUGIN.moved(x, np.random.default_rng(1), 0.1, 10.0)
    assert found.shape == x.shape and found.dtype == np.float32
    assert 0 <= found.min() and found.max() <= 255
    assert not np.allclose(found, x)
    assert PLUGIN.moved(x, np.random.default_rng(1), 0.0, 0.0) is x
    # next to nothing changes next to nothing: the middle of the turn and the corners are where they were
    np.testing.assert_allclose(PLUGIN.moved(x, np.random.default_rng(1), 1e-9, 1e-9), x, atol=0.01)


def centre(x: Any) -> Any:
    """Row and column of each image's centre of mass."""
    places = np.stack(np.mgrid[: x.shape[1], : x.shape[2]], axis=-1)
    return (x * places).sum(axis=(1, 2)) / x.sum(axis=(1, 2))


def test_augmentation_moves_by_at_most_its_fraction_and_turns_about_the_middle() -> None:
    x = np.zeros((200, 21, 21, 1), "uint8")
    x[:, 10, 10] = 255
    ways = np.abs(centre(PLUGIN.moved(x, np.random.default_rng(0), 0.1, 0.0)) - 10)
    assert (ways.max(axis=0) > 1.8).all() and ways.max() < 2.101
    np.testing.assert_allclose(centre(PLUGIN.moved(x, np.random.default_rng(0), 0.0, 90.0)), 10, atol=1e-3)
    x[:, 10, 10], x[:, 10, 17:20] = 0, 255
    down, right = (centre(PLUGIN.moved(x, np.random.default_rng(0), 0.0, 10.0)) - 10).T
    np.testing.assert_allclose(np.hypot(down, right), 8, atol=0.15)
    turned = np.degrees(np.arctan2(down, right))
    assert turned.min() < -9 and turned.max() > 9 and np.abs(turned).max() < 10.5


def test_npz_round_trip(fitted: Fitted, digits: tuple[Any, Any], tmp_path: Path) -> None:
    model, _ = fitted(1)
    model.save(tmp_path / "model.npz")
    again = built(seed=9)
    again.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict(digits[0]), model.predict(digits[0]))


def test_onnx_gives_the_same_probabilities(fitted: Fitted, digits: tuple[Any, Any], tmp_path: Path) -> None:
    model, _ = fitted(1)
    model.save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"pixels": digits[0][:64].astype("float32")})
    np.testing.assert_allclose(found, model.predict(digits[0][:64]), atol=1e-5)
    assert session.get_inputs()[0].shape == ["N", *SHAPE]


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^model\.keras: expected a name that ends in \.npz or \.onnx$"):
        built().save(tmp_path / "model.keras")


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    built(width1=128).save(path)
    with pytest.raises(ValueError, match=r"model\.npz: kernel1 is \(64, 128\), expected \(64, 256\)$"):
        built().load(path)
    PLUGIN.numpy_mlp((4, 16, 1), 10).build(HyperParameters(replay({}))).save(path)
    with pytest.raises(ValueError, match=r"model\.npz: it is for other images than \(8, 8, 1\)$"):
        built().load(path)
    np.savez(path, x=np.arange(3))
    with pytest.raises(ValueError, match=r"model\.npz: kernel1 is missing, expected \(64, 256\)$"):
        built().load(path)
    with path.open("wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(ValueError, match=r"model\.npz: this is no \.npz file of a network$"):
        built().load(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut off"])
def test_files_that_are_no_archive_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(content)
    model = built()
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"model\.npz: this is no \.npz file of a network$"):
        model.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_raw_values_of_any_range_are_learnt_from(digits: tuple[Any, Any], tmp_path: Path) -> None:
    x, y = digits
    signed, losses, networks = x.astype("int32") * 16 - 1024, [], []
    for images in (x, signed):
        told, network = Callback(), built(seed=3)
        HYPER.fit(None, network, images, y, epochs=2, callbacks=[told])
        losses.append([each[1]["loss"] for each in told.told if isinstance(each, tuple)])
        networks.append(network)
    assert losses[1] == pytest.approx(losses[0], rel=1e-3) and networks[1].values == (-1024, 255 * 16 - 1024)
    expected, again = networks[1].predict(signed), built(seed=4)
    networks[1].save(tmp_path / "model.npz")
    again.load(tmp_path / "model.npz")
    assert np.array_equal(again.predict(signed), expected)
    again.save(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"pixels": signed.astype("float32")})[0], expected, atol=1e-5)
