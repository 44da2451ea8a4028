"""What an Optuna user has: a function that makes a model from a trial."""

import keras
from keras import layers


def build(trial):
    width = trial.suggest_int("width", 16, 64, step=16)
    model = keras.Sequential([layers.Flatten(), layers.Dense(width, activation="relu")])
    if trial.suggest_categorical("dropout", [False, True]):
        model.add(layers.Dropout(trial.suggest_float("rate", 0.1, 0.5)))
    model.add(layers.Dense(10, activation="softmax"))
    rate = trial.suggest_float("lr", 1e-4, 1e-2, log=True)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
