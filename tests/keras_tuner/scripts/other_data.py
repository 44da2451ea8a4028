"""Data of other forms: two inputs, weights of samples, a generator, a PyDataset; and two objectives together."""

import keras
import keras_tuner
import numpy as np
from keras import layers

chance = np.random.default_rng(0)
pictures, numbers = chance.random((64, 8, 8, 1)), chance.random((64, 5))
price, kind = numbers.sum(-1, keepdims=True), np.arange(64) % 3


def build_two(hp):
    picture, number = keras.Input((8, 8, 1), name="picture"), keras.Input((5,), name="number")
    width = hp.Int("width", 4, 12, step=4)
    both = layers.Concatenate()([layers.Flatten()(picture), layers.Dense(width, activation="relu")(number)])
    outputs = {"price": layers.Dense(1, name="price")(both), "kind": layers.Dense(3, name="kind")(both)}
    model = keras.Model({"picture": picture, "number": number}, outputs)
    losses = {"price": "mse", "kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}
    model.compile("adam", losses, metrics={"kind": "accuracy"})
    return model


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.x[index::4], self.y[index::4]


def endless(x, y, size):
    while True:
        rows = np.random.randint(0, len(x), size)
        yield x[rows], y[rows]


def build_one(hp):
    model = keras.Sequential([layers.Dense(hp.Choice("units", [4, 8, 16]), activation="relu"), layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


common = {"max_trials": 2, "directory": "other", "overwrite": True}
tuner = keras_tuner.RandomSearch(
    build_two, objective=["val_loss", keras_tuner.Objective("val_kind_accuracy", "max")], project_name="two", **common
)
x, y = {"picture": pictures, "number": numbers}, {"price": price, "kind": kind}
tuner.search(x, y, epochs=2, validation_data=(x, y), sample_weight={"price": np.ones(64), "kind": np.ones(64)})
best = tuner.oracle.get_best_trials()[0]
metrics = {name: best.metrics.get_best_value(name) for name in ("val_loss", "val_kind_accuracy")}
assert abs(best.score - (metrics["val_loss"] - metrics["val_kind_accuracy"])) < 1e-4
assert set(tuner.get_best_models()[0].predict(x, verbose=0)) == {"price", "kind"}

tuner = keras_tuner.RandomSearch(build_one, objective="val_mae", project_name="generator", **common)
tuner.search(endless(numbers, price, 8), steps_per_epoch=5, epochs=2, validation_data=(numbers, price))
assert len(tuner.oracle.trials) == 2

tuner = keras_tuner.RandomSearch(build_one, objective="val_mae", project_name="batches", **common)
tuner.search(Batches(numbers, price), epochs=2, validation_data=Batches(numbers, price))
assert len(tuner.oracle.trials) == 2
