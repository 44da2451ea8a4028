"""Images that Keras is not to copy: every one once an epoch, with its label and weight, and the same training."""

from typing import Any

import keras
import numpy as np
import pytest

from cnnsearch.spaces.plan import Block, Plan
from cnnsearch.training import batches, copies, fitting, model_io
from cnnsearch.training.batches import Batches
from cnnsearch.training.candidate import from_plan
from cnnsearch.training.training_data import TrainingData

DRAWN = np.random.default_rng(0)
X, Y = DRAWN.integers(0, 256, (70, 8, 8, 1), "uint8"), DRAWN.integers(0, 3, 70)


def test_every_image_comes_once_an_epoch_with_its_label_and_weight() -> None:
    x, weights = np.arange(70)[:, None], np.arange(70) / 2
    made, orders = Batches(x, x[:, 0] * 3, 16, weights, shuffle=True), []
    for _ in range(2):
        parts = [made[index] for index in range(len(made))]
        order = np.concatenate([part[0][:, 0] for part in parts])
        assert sorted(order) == list(range(70)) and [len(part[0]) for part in parts] == [16] * 4 + [6]
        for images, labels, weight in parts:
            assert (labels == images[:, 0] * 3).all() and (weight == images[:, 0] / 2).all()
        orders.append(order.tolist())
        made.on_epoch_end()
    assert orders[0] != orders[1]
    assert np.concatenate([part[0][:, 0] for part in Batches(x, x, 16)]).tolist() == list(range(70))


@pytest.mark.parametrize("weights", [None, np.linspace(0, 1, 70, dtype="float32")])
def test_fit_learns_and_judges_as_it_does_of_arrays(
    monkeypatch: pytest.MonkeyPatch, weights: np.ndarray | None
) -> None:
    told = []
    for most in (copies.MOST, 0):
        monkeypatch.setattr(copies, "MOST", most)
        monkeypatch.setattr(model_io, "MOST", most)
        monkeypatch.setattr(model_io, "BATCH", 32)
        keras.utils.set_random_seed(1)
        made = from_plan(Plan((8, 8, 1), 3, (Block("conv act pool", filters=4),), batch_size=70), 70, False)
        y = np.eye(3, dtype="float32")[Y]
        data = TrainingData(X, y, X[:20], y[:20], 70, weights=weights)
        history = keras.callbacks.History()
        fitting.fit(None, made.model, data, epochs=3, callbacks=[history])
        told.append((history.history, model_io.predict(made.model, X)))
    # one batch an epoch, so that its order does not matter
    for name, values in told[0][0].items():
        assert told[1][0][name] == pytest.approx(values, rel=1e-3), name
    np.testing.assert_allclose(told[0][1], told[1][1], atol=1e-3)


class Seen(keras.layers.Layer):
    """Notes the first pixel of each image of a training."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels: list[float] = []

    def call(self, x: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        if training:
            self.pixels += keras.ops.convert_to_numpy(x).reshape(len(x), -1)[:, 0].tolist()
        return x


def order_of_epochs(first_epoch: int) -> list[list[float]]:
    """The order of the images in each epoch from `first_epoch` to the third one, with a seed."""
    keras.utils.set_random_seed(1)
    seen = Seen()
    model = keras.Sequential([keras.Input((1,)), seen, keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy", run_eagerly=True)
    x, y = np.arange(20.0)[:, None], np.eye(2)[np.arange(20) % 2]
    fitting.fit(None, model, TrainingData(x, y, x[:4], y[:4], 5), epochs=3, callbacks=[], first_epoch=first_epoch)
    return [seen.pixels[start : start + 20] for start in range(0, len(seen.pixels), 20)]


def test_each_epoch_has_another_order_although_a_seed_is_set_and_also_when_it_is_resumed() -> None:
    first, second, third = order_of_epochs(0)
    assert sorted(first) == sorted(second) == sorted(third) == list(range(20))
    assert first != second != third != first
    assert order_of_epochs(0) == [first, second, third]
    assert order_of_epochs(1) == [second, third]


@pytest.mark.parametrize(
    "options", [{"sample_weight": None}, {"validation_split": 0.5}, {"sample_weight": np.ones(40)}]
)
def test_fits_of_arrays_by_an_author_give_each_epoch_another_order(options: dict[str, Any]) -> None:
    x, y = np.arange(40.0)[:, None], np.eye(2)[np.arange(40) % 2]
    own, orders = keras.Model.fit, []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        seen = Seen()
        model = keras.Sequential([keras.Input((1,)), seen, keras.layers.Dense(2, activation="softmax")])
        model.compile("sgd", "categorical_crossentropy", run_eagerly=True)
        with batches.shuffled_each_epoch():
            history = model.fit(x, y, 5, epochs=2, verbose=0, **options).history
        assert ("val_loss" in history) == ("validation_split" in options)
        half = len(seen.pixels) // 2
        orders.append((seen.pixels[:half], seen.pixels[half:]))
    assert keras.Model.fit is own
    (first, second), again = orders
    images = range(20 if "validation_split" in options else 40)
    assert sorted(first) == sorted(second) == list(images) and first != second and again == (first, second)


@pytest.mark.parametrize("options", [{"shuffle": False}, {"steps_per_epoch": 2}])
def test_fits_that_choose_their_order_stay_as_they_are(options: dict[str, Any]) -> None:
    given = {"x": np.arange(8.0)[:, None], "y": np.arange(8.0), **options}
    assert batches._in_batches(given) is given
    assert isinstance(batches._in_batches({"x": given["x"], "y": given["y"]})["x"], Batches)
