"""A space of candidates that sleep in place of training, for `benchmarks/scaling.py workers`. Nothing here needs Keras.

SLEEPING_SECONDS is the length of a trial, SLEEPING_LOG a folder: each worker adds a line there for each trial, with
the moments at which it began and ended to sleep.
"""

import json
import os
import time
from pathlib import Path

import numpy as np


class Sleeping:
    """Eight hyperparameters of the usual kinds; a score that depends on them and rises from epoch to epoch."""

    def build(self, hp):
        """Nothing but the score that the values give."""
        rate = hp.Float("rate", 1e-4, 1e-1, sampling="log")
        numbers = [hp.Float(f"float{number}", 0.0, 1.0) for number in range(3)]
        widths = [hp.Int(f"int{number}", 8, 64, step=8) for number in range(2)]
        kinds = [hp.Choice(f"choice{number}", ("a", "b", "c")) for number in range(2)]
        distance = sum(abs(value - 0.5) for value in numbers) / 3 + abs(np.log10(rate) + 2.5) / 3
        return Score(1 - distance / 2 - 0.001 * widths[0] / 8 - 0.05 * (kinds[0] != "b"))

    def fit(self, hp, model, x, y, *, epochs=1, callbacks=(), **ignored):
        """Sleep, and report the score of each epoch."""
        began, asleep, seconds = time.time(), 0.0, float(os.environ.get("SLEEPING_SECONDS", "0"))
        for callback in callbacks:
            callback.set_model(model)
        for epoch in range(epochs):
            time.sleep(seconds / epochs)
            asleep += seconds / epochs
            value = model.score * (1 - 0.5 ** (epoch + 1))
            logs = {"loss": 1 - value, "accuracy": value, "val_loss": 1 - value, "val_accuracy": value}
            for callback in callbacks:
                callback.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        if folder := os.environ.get("SLEEPING_LOG"):
            with (Path(folder) / f"{os.getpid()}.jsonl").open("a") as file:
                file.write(json.dumps([began, time.time(), asleep]) + "\n")


class Score:
    """A `cnnsearch.training.model_io.Classifier` of one weight."""

    formats = ("npz",)

    def __init__(self, score):
        self.score, self.stop_training = float(score), False

    def predict(self, x, batch_size=512, verbose=0):
        """The same for every image."""
        return np.full((len(x), 10), 0.1, "float32")

    def get_weights(self):
        """The score."""
        return [np.array([self.score])]

    def set_weights(self, weights):
        """Set the score."""
        self.score = float(weights[0][0])

    def count_params(self):
        """One."""
        return 1

    def save(self, path):
        """Write the score."""
        np.savez(path, score=self.score)

    def load(self, path):
        """Read the score."""
        self.score = float(np.load(path)["score"])
