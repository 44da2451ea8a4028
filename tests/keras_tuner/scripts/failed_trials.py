"""Trials that fail: too large models, errors, retries, and errors that end the search."""

import keras
import keras_tuner
import numpy as np
from keras import layers

x, y = np.random.rand(32, 20), np.random.rand(32, 1)


def build_model(hp):
    units = hp.Int("units", 10, 100, step=90)
    model = keras.Sequential([keras.Input((20,)), layers.Dense(units), layers.Dense(1)])
    model.compile("sgd", "mse")
    if model.count_params() > 1200:
        raise keras_tuner.errors.FailedTrialError("Model too large.")
    return model


common = {"objective": "val_loss", "overwrite": True, "directory": "failed"}
tuner = keras_tuner.GridSearch(build_model, max_consecutive_failed_trials=3, project_name="too_large", **common)
tuner.search(x, y, epochs=1, validation_data=(x, y))
status = {trial.hyperparameters.values["units"]: trial.status for trial in tuner.oracle.trials.values()}
assert status == {10: "COMPLETED", 100: "FAILED"}, status
tuner.results_summary()


def build_broken(hp):
    hp.Int("units", 10, 100)
    raise ValueError("units do not fit")


try:
    tuner = keras_tuner.RandomSearch(
        build_broken,
        max_trials=10,
        max_retries_per_trial=1,
        max_consecutive_failed_trials=3,
        project_name="broken",
        **common,
    )
    tuner.search(x, y, epochs=1, validation_data=(x, y))
    raise SystemExit("the search did not end")
except (RuntimeError, ValueError) as error:
    assert "units do not fit" in str(error), error


class FatalTuner(keras_tuner.RandomSearch):
    def run_trial(self, trial, *args, **kwargs):
        raise keras_tuner.errors.FatalValueError("stop everything")


try:
    FatalTuner(build_model, max_trials=3, project_name="fatal", **common).search(x, y)
    raise SystemExit("the search did not end")
except keras_tuner.errors.FatalValueError as error:
    assert "stop everything" in str(error)
