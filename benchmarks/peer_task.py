"""What the arms of benchmarks/peers.py share: the space, its data, its builder, and a clock of the epochs."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from peers_results import TRIALS

from cnnsearch.data.splits import split
from cnnsearch.spaces import plugins, space
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.hyperparameters import HyperParameters
from cnnsearch.spaces.plan import Plan
from cnnsearch.training.candidate import from_plan
from cnnsearch.training.dataset_loading import load_dataset

HERE = Path(__file__).parent
LAUNCHED = float(os.environ.get("PEERS_LAUNCHED", time.time()))


class Task:
    """A space, its data and its builder, the same for every arm. `test`: with the test images, for after the search."""

    def __init__(self, name: str, seed: int, test: bool = False) -> None:
        self.name = name
        self.round = TRIALS.get(name, 0)
        self.catalog = plugins.load()
        small = HERE / "spaces" / f"{name}_small.toml"
        found = space.load(str(small) if small.exists() else name, self.catalog)
        self.space = space.check(found, self.catalog)
        assert self.space.dataset is not None
        data = load_dataset(self.catalog, self.space.dataset)
        parts = split(data, seed, self.space.defaults["validation"])
        self.shape, self.classes, self.epochs = data.input_shape, len(data.classes), int(self.space.defaults["epochs"])
        table = np.eye(self.classes, dtype="float32")
        self.x, self.y, self.x_val, self.y_val = parts.x, table[parts.y], parts.x_val, table[parts.y_val]
        self.test = (parts.x_test, parts.y_test) if test else None

    def plan(self, draw: Callable[[str, Distribution], Any]) -> tuple[Plan, dict[str, Any]]:
        """The plan that `draw` answers for, and its hyperparameters."""
        hp = HyperParameters(draw)
        start = space.start_plan(self.space, self.shape, self.classes)
        return space.draw(self.space, self.catalog, hp, start), hp.values

    def default(self) -> dict[str, Any]:
        """The hyperparameters of the space's default point."""
        return self.plan(lambda _, d: d.default)[1]

    def model(self, plan: Plan) -> Any:
        """The compiled model."""
        return from_plan(plan, len(self.x), False).model

    def fit(self, model: Any, plan: Plan, epochs: int, callbacks: list[Any], first: int = 0) -> Any:
        """Keras' own `fit`."""
        return model.fit(
            self.x,
            self.y,
            batch_size=plan.batch_size,
            epochs=epochs,
            initial_epoch=first,
            validation_data=(self.x_val, self.y_val),
            validation_batch_size=512,
            callbacks=callbacks,
            verbose=0,
        )


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes down each epoch of a trial."""

    def __init__(self, out: Path, trial: int | str, values: dict[str, Any]) -> None:
        super().__init__()
        self._out, self._trial, self._values = out, trial, values

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = float((logs or {})["val_accuracy"])
        note(self._out, time.time() - LAUNCHED, self._trial, epoch + 1, value, self._values)


def note(out: Path, seconds: float, trial: int | str, epoch: int, value: float, values: dict[str, Any]) -> None:
    """Add a line to OUT."""
    line = {"t": round(seconds, 3), "trial": trial, "epoch": epoch, "value": round(value, 6), "values": values}
    with out.open("a") as file:
        file.write(json.dumps(line) + "\n")
