"""One arm of benchmarks/peers.py in a process of its own: the same plans, found by another tool.

    python benchmarks/peer_arms.py ARM TASK SEED TRIALS OUT

Each epoch that ends adds a line of JSON to OUT: seconds since the launch, trial, epoch, validation accuracy; at a
trial's first also its hyperparameters. Every arm draws from the same space, builds by the same code and trains on the
same split; these here by Keras' own `fit`, as their users do.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

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
CANDIDATES_KEPT = 3


class Task:
    """A space, its data and its builder, the same for every arm."""

    def __init__(self, name: str, seed: int) -> None:
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

    def plan(self, draw: Callable[[str, Distribution], Any]) -> tuple[Plan, dict[str, Any]]:
        """The plan that `draw` answers for, and its hyperparameters."""
        hp = HyperParameters(draw)
        start = space.start_plan(self.space, self.shape, self.classes)
        return space.draw(self.space, self.catalog, hp, start), hp.values

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

    def __init__(self, out: Path, trial: int, values: dict[str, Any]) -> None:
        super().__init__()
        self._out, self._trial, self._values = out, trial, values

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = float((logs or {})["val_accuracy"])
        note(self._out, time.time() - LAUNCHED, self._trial, epoch + 1, value, self._values)


def note(out: Path, seconds: float, trial: int, epoch: int, value: float, values: dict[str, Any]) -> None:
    """Add a line to OUT."""
    line = {"t": round(seconds, 3), "trial": trial, "epoch": epoch, "value": round(value, 6), "values": values}
    with out.open("a") as file:
        file.write(json.dumps(line) + "\n")


def keras_tuner(kind: str) -> Callable[[Task, int, int, Path], None]:
    """An arm of KerasTuner's: RandomSearch, Hyperband or BayesianOptimization."""

    def run(task: Task, seed: int, trials: int, out: Path) -> None:
        import tempfile

        import keras_tuner

        count = 0

        class Hyper(keras_tuner.HyperModel):  # type: ignore[misc]
            def build(self, hp: Any) -> Any:
                plan, _ = task.plan(lambda name, d: from_tuner(hp, name, d))
                return task.model(plan)

            def fit(self, hp: Any, model: Any, *_: Any, **given: Any) -> Any:
                nonlocal count
                count += 1
                plan, values = task.plan(lambda name, d: from_tuner(hp, name, d))
                # a Hyperband trial that goes on is a trial of its own here
                callbacks = [*given["callbacks"], Clock(out, count, values)]
                first = given.get("initial_epoch", 0)
                return task.fit(model, plan, given.get("epochs", task.epochs), callbacks, first)

        # KerasTuner takes a seed of 0 for none, and adds 1 to it for each draw, so that neighbours soon draw the same
        apart = 1_000_003 * (seed + 1)
        shared = {"objective": "val_accuracy", "seed": apart, "directory": tempfile.mkdtemp(), "overwrite": True}
        if kind == "Hyperband":
            tuner = keras_tuner.Hyperband(Hyper(), max_epochs=task.epochs, factor=3, hyperband_iterations=100, **shared)
        elif kind == "BayesianOptimization":
            # its own default, three for each hyperparameter, would leave nothing but random points; 10 is TPE's
            tuner = keras_tuner.BayesianOptimization(Hyper(), max_trials=trials, num_initial_points=10, **shared)
        else:
            tuner = getattr(keras_tuner, kind)(Hyper(), max_trials=trials, **shared)
        tuner.search(verbose=0, epochs=task.epochs)

    return run


def from_tuner(hp: Any, name: str, d: Distribution) -> Any:
    """A value of KerasTuner's hp."""
    if d.kind == "choice":
        return hp.Choice(name, list(d.choices), default=d.default)
    given = {"step": d.step} if d.step is not None else {}
    sampling = "log" if d.log else "linear"
    draw = hp.Int if d.kind == "int" else hp.Float
    return draw(name, d.low, d.high, sampling=sampling, default=d.default, **given)


def optuna_script(task: Task, seed: int, trials: int, out: Path) -> None:
    """What a user of Optuna writes by hand: TPE, the median pruner, and a callback that asks it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    class Pruning(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self, trial: optuna.Trial) -> None:
            super().__init__()
            self.trial = trial

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            self.trial.report((logs or {})["val_accuracy"], epoch)
            if self.trial.should_prune():
                raise optuna.TrialPruned

    def objective(trial: optuna.Trial) -> float:
        keras.backend.clear_session()
        plan, values = task.plan(lambda name, d: from_optuna(trial, name, d))
        told = task.fit(task.model(plan), plan, task.epochs, [Clock(out, trial.number + 1, values), Pruning(trial)])
        return max(told.history["val_accuracy"])

    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=optuna.pruners.MedianPruner())
    study.optimize(objective, n_trials=trials)


def from_optuna(trial: Any, name: str, d: Distribution) -> Any:
    """A value of an Optuna trial."""
    if d.kind == "choice":
        return trial.suggest_categorical(name, d.choices)
    if d.kind == "int":
        return trial.suggest_int(name, int(d.low), int(d.high), step=int(d.step or 1), log=d.log)
    return trial.suggest_float(name, d.low, d.high, step=d.step, log=d.log)


def one_epoch(task: Task, seed: int, trials: int, out: Path) -> None:
    """Every candidate of a round for one epoch, then its best few to their end (arXiv 2307.15422)."""
    import random

    generator = random.Random(seed)
    for first in range(1, trials + 1, task.round):
        one_round(task, generator, range(first, first + task.round), out)


def one_round(task: Task, generator: Any, numbers: range, out: Path) -> None:
    """As many candidates as there are numbers."""
    seen = []
    for trial in numbers:
        plan, values = task.plan(lambda name, d: d.random(generator))
        model = task.model(plan)
        told = task.fit(model, plan, 1, [Clock(out, trial, values)])
        seen.append((max(told.history["val_accuracy"]), trial, plan, values, model))
        seen = sorted(seen, key=lambda each: (-each[0], each[1]))[:CANDIDATES_KEPT]
    for _, trial, plan, values, model in seen:
        task.fit(model, plan, task.epochs, [Clock(out, trial, values)], first=1)


ARMS: dict[str, Callable[[Task, int, int, Path], None]] = {
    "A": keras_tuner("RandomSearch"),
    "B": keras_tuner("Hyperband"),
    "C": keras_tuner("BayesianOptimization"),
    "D": optuna_script,
    "E": one_epoch,
}


def main() -> None:
    """Run the arm that the command line names."""
    arm, task, seed, trials, out = sys.argv[1:]
    keras.utils.set_random_seed(int(seed) + 1)
    ARMS[arm](Task(task, int(seed)), int(seed), int(trials), Path(out))


if __name__ == "__main__":
    main()
