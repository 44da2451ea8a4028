"""Hyperparameters, loss, optimizer and metrics changed from outside the function that builds the model."""

import keras
import keras_tuner
import numpy as np
from keras import layers

x_train, y_train = np.random.rand(96, 28, 28, 1), np.random.randint(0, 10, (96, 1))
x_val, y_val = np.random.rand(32, 28, 28, 1), np.random.randint(0, 10, (32, 1))


def build_model(hp):
    model = keras.Sequential([layers.Flatten()])
    for i in range(hp.Int("num_layers", min_value=1, max_value=2)):
        model.add(layers.Dense(units=hp.Int(f"units_{i}", 8, 32, step=8), activation="relu"))
    if hp.Boolean("dropout", default=False):
        model.add(layers.Dropout(rate=0.25))
    model.add(layers.Dense(units=10, activation="softmax"))
    learning_rate = hp.Choice("learning_rate", values=[1e-2, 1e-3, 1e-4])
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def searched(name, **arguments):
    tuner = keras_tuner.RandomSearch(build_model, max_trials=2, overwrite=True, directory="my_dir", **arguments)
    tuner.project_name = name
    tuner.search(x_train, y_train, epochs=1, validation_data=(x_val, y_val))
    return tuner


# only the learning rate is searched, in another range
hp = keras_tuner.HyperParameters()
hp.Float("learning_rate", min_value=1e-4, max_value=1e-2, sampling="log")
tuner = searched("one", hyperparameters=hp, tune_new_entries=False, objective="val_accuracy")
for trial in tuner.oracle.trials.values():
    assert trial.hyperparameters.values["num_layers"] == 1 and trial.hyperparameters.values["units_0"] == 8
assert len({trial.hyperparameters.values["learning_rate"] for trial in tuner.oracle.trials.values()}) == 2

# the learning rate is not searched, everything else is
hp = keras_tuner.HyperParameters()
hp.Fixed("learning_rate", value=1e-4)
tuner = searched("fixed", hyperparameters=hp, tune_new_entries=True, objective="val_accuracy")
assert {trial.hyperparameters.values["learning_rate"] for trial in tuner.oracle.trials.values()} == {1e-4}

# another loss, optimizer and metric
tuner = searched(
    "compiled",
    objective=keras_tuner.Objective("val_sparse_categorical_crossentropy", "min"),
    optimizer=keras.optimizers.Adam(1e-3),
    loss="sparse_categorical_crossentropy",
    metrics=["sparse_categorical_crossentropy"],
)
tuner.results_summary()
