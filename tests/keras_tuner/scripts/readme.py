"""The shape of KerasTuner's first example: a function, a random search, the best model."""

import keras
import keras_tuner
import numpy as np

chance = np.random.default_rng(0)
x_train, y_train = chance.normal(size=(96, 7)), chance.normal(size=(96, 1))
x_val, y_val = chance.normal(size=(32, 7)), chance.normal(size=(32, 1))


def build_model(hp):
    model = keras.Sequential()
    model.add(keras.layers.Dense(hp.Choice("units", [8, 16, 32]), activation="relu"))
    model.add(keras.layers.Dense(1, activation="relu"))
    model.compile(loss="mse")
    return model


tuner = keras_tuner.RandomSearch(build_model, objective="val_loss", max_trials=3)
tuner.search(x_train, y_train, epochs=2, validation_data=(x_val, y_val))
best_model = tuner.get_best_models()[0]

found = float(best_model.evaluate(x_val, y_val, verbose=0))
assert abs(found - tuner.oracle.get_best_trials()[0].score) < 1e-4, found
assert len(tuner.oracle.trials) == 3

tuner = keras_tuner.RandomSearch(build_model, objective="val_loss", max_trials=3, overwrite=True)
assert not tuner.oracle.trials and not tuner.get_best_models()
