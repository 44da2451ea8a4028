"""Hypermodels as people write them, for the 8x8 digits; `mine` builds the network that most of them share."""

import keras
import keras_tuner
from keras import layers


def mine(hp, outputs=10, activation="softmax"):
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(hp.Int("u", 8, 32, step=8), activation="relu"),
            layers.Dense(outputs, activation=activation),
        ]
    )


def binary(hp):
    model = mine(hp, 1, "sigmoid")
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


class Net(keras.Model):
    def __init__(self, units, outputs=10, activation="softmax"):
        super().__init__()
        self.flat = layers.Flatten()
        self.hidden = layers.Dense(units, activation="relu")
        self.out = layers.Dense(outputs, activation=activation)

    def call(self, x):
        return self.out(self.hidden(self.flat(x)))


def subclassed(hp):
    model = Net(hp.Int("u", 8, 32))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def named_output(hp):
    images = layers.Input((8, 8, 1))
    digit = layers.Dense(10, activation="softmax", name="digit")(layers.Flatten()(images))
    model = keras.Model(images, {"digit": digit})
    model.compile("adam", {"digit": "sparse_categorical_crossentropy"}, metrics={"digit": ["accuracy"]})
    hp.Int("u", 1, 4)
    return model


class ReturnsNumber(keras_tuner.HyperModel):
    def build(self, hp):
        model = mine(hp)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def fit(self, hp, model, x, y, validation_data=None, **kwargs):
        model.fit(x, y, epochs=1, verbose=0)
        return -model.evaluate(*validation_data, verbose=0)[1]
