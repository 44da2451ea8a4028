"""One arm of benchmarks/peers.py in a process of its own: the same plans, found by another tool.

    python benchmarks/peer_arms.py ARM TASK SEED TRIALS OUT

Each epoch that ends adds a line of JSON to OUT: seconds since the launch, trial, epoch, validation accuracy; at a
trial's first also its hyperparameters. Every arm draws from the same space, builds by the same code and trains on the
same split; these here by Keras' own `fit`, as their users do.
"""

import functools
import operator
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from peer_pair import ONE_THREAD, SECOND
from peer_task import LAUNCHED, Clock, Task

from cnnsearch.spaces.distributions import Distribution

HERE = Path(__file__).parent
CANDIDATES_KEPT = 3

STEPS = 32
"""The batches that Keras runs in one call, in the arm that uses `steps_per_execution`."""


def keras_tuner(kind: str, default: bool = False) -> Callable[[Task, int, int, Path], None]:
    """An arm of KerasTuner's: RandomSearch, Hyperband or BayesianOptimization; `default`: after the default point."""

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
        if default:
            count = 1
            plan, values = task.plan(lambda _, d: d.default)
            task.fit(task.model(plan), plan, task.epochs, [Clock(out, count, values)])
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


def optuna_script(default: bool = False, processes: int = 1) -> Callable[[Task, int, int, Path], None]:
    """What a user of Optuna writes by hand: TPE, the median pruner, and a callback that asks it.

    `default`: the space's default point is the first trial. With two `processes`, both run this function and share a
    study, and Keras runs STEPS batches in one call.
    """

    def run(task: Task, seed: int, trials: int, out: Path) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        first, shared = SECOND not in os.environ, processes > 1
        storage = None
        if shared:
            from optuna.storages.journal import JournalFileBackend

            storage = optuna.storages.JournalStorage(JournalFileBackend(str(out.with_name("optuna.log"))))
        sampler = optuna.samplers.TPESampler(seed=seed if first else seed + 1_000_003, constant_liar=shared)
        study = optuna.create_study(
            study_name="peers",
            storage=storage,
            direction="maximize",
            sampler=sampler,
            pruner=optuna.pruners.MedianPruner(),
            load_if_exists=True,
        )
        if default and first:
            study.enqueue_trial(task.default())
        study.optimize(optuna_objective(task, out, STEPS if shared else 1), n_trials=trials)

    return run


def optuna_objective(task: Task, out: Path, steps: int) -> Callable[[Any], float]:
    """The objective of an Optuna script; Keras runs `steps` batches in one call."""
    import optuna

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
        model = task.model(plan)
        model.steps_per_execution = steps
        told = task.fit(model, plan, task.epochs, [Clock(out, trial.number + 1, values), Pruning(trial)])
        return max(told.history["val_accuracy"])

    return objective


def from_optuna(trial: Any, name: str, d: Distribution) -> Any:
    """A value of an Optuna trial."""
    if d.kind == "choice":
        return trial.suggest_categorical(name, d.choices)
    if d.kind == "int":
        return trial.suggest_int(name, int(d.low), int(d.high), step=int(d.step or 1), log=d.log)
    return trial.suggest_float(name, d.low, d.high, step=d.step, log=d.log)


class Draw:
    """Draws a point of a task for an Optuna trial. Ray Tune pickles it, and the plugins of a task cannot be pickled."""

    def __init__(self, name: str, seed: int) -> None:
        self._given, self._task = (name, seed), Task(name, seed)

    def __reduce__(self) -> tuple[type["Draw"], tuple[str, int]]:
        return Draw, self._given

    def __call__(self, trial: Any) -> None:
        """Draw the hyperparameters."""
        self._task.plan(lambda key, d: from_optuna(trial, key, d))


def ray_tune(task: Task, seed: int, trials: int, out: Path) -> None:
    """Ray Tune with ASHA and its Optuna search: two trials of one core at a time, the default point first."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    folder, epochs, name = str(HERE), task.epochs, task.name

    def train(config: dict[str, Any]) -> None:
        sys.path.append(folder)
        import peer_task

        # each trial is a process of its own
        keras.utils.set_random_seed(seed + 1)
        own = peer_task.Task(name, seed)
        # Ray nests what has a slash in its name
        plan, values = own.plan(lambda key, _: functools.reduce(operator.getitem, key.split("/"), config))
        clock = peer_task.Clock(out, tune.get_context().get_trial_id(), values)
        report = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda _, logs: tune.report({"val_accuracy": logs["val_accuracy"]})
        )
        own.fit(own.model(plan), plan, epochs, [clock, report])

    variables = {**ONE_THREAD, "PEERS_LAUNCHED": str(LAUNCHED)}
    ray.init(address="local", num_cpus=2, include_dashboard=False, runtime_env={"env_vars": variables})
    search = OptunaSearch(
        Draw(task.name, seed), metric="val_accuracy", mode="max", points_to_evaluate=[task.default()], seed=seed
    )
    scheduler = ASHAScheduler(metric="val_accuracy", mode="max", max_t=epochs, reduction_factor=3)
    settings = tune.TuneConfig(search_alg=search, scheduler=scheduler, num_samples=trials, max_concurrent_trials=2)
    tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        tune_config=settings,
        run_config=tune.RunConfig(storage_path=str(out.parent / "ray"), verbose=0),
    ).fit()


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
    "D": optuna_script(),
    "E": one_epoch,
    "H": optuna_script(default=True),
    "I": optuna_script(default=True, processes=2),
    "J": keras_tuner("Hyperband", default=True),
    "K": ray_tune,
}


def main() -> None:
    """Run the arm that the command line names."""
    arm, task, seed, trials, out = sys.argv[1:]
    keras.utils.set_random_seed(int(seed) + 1)
    ARMS[arm](Task(task, int(seed)), int(seed), int(trials), Path(out))


if __name__ == "__main__":
    main()
