"""Oracles with KerasTuner's names and arguments: each says which sampler and scheduler the search uses.

The trials are in the study; `trials`, `get_trial` and `get_best_trials` read them from there.
"""

import math
import warnings
from typing import Any, ClassVar

import keras_tuner
from keras_tuner.engine import trial as kt_trials

from cnnsearch.tuning.progress import UNLIMITED

CALLED_BY_SEARCH = ("create_trial", "end_trial", "populate_space", "score_trial", "update_trial")
"""Methods of an oracle that KerasTuner's `search` calls, and this one does not."""


class StudyOracle(keras_tuner.Oracle):  # type: ignore[misc]
    """An oracle whose trials are those of a study.

    Attributes:
        tuner: the tuner that it belongs to.
        sampler: the name of the sampler.
        given: the hyperparameters that the script gave.
        running: the trial that a worker trains now, in that worker; `worker` is what it reports to.
        may_have_drawn_seed: whether it is made from KerasTuner's own, which draws a seed if it is given none.
    """

    sampler: ClassVar[str] = "random"

    def __init__(self, objective: Any = None, max_trials: int | None = 10, **arguments: Any) -> None:
        # KerasTuner takes 0 and None for a random seed
        seed = arguments.get("seed")
        self.tuner: Any = None
        self.running: Any = None
        self.worker: Any = None
        self.may_have_drawn_seed = False
        self._reading = False
        super().__init__(objective=objective, max_trials=max_trials, **arguments)
        self.given = self._hyperparameters.copy()
        self.seed = 0 if seed is None else seed

    @property
    def hyperparameters(self) -> Any:
        """The hyperparameters that are known: those given, those of the hypermodel, and those of the trials."""
        if self.tuner is not None and self.running is None and not self._reading:
            self._reading = True
            try:
                self.tuner._explore()
                for trial in self.trials.values():
                    self.update_space(trial.hyperparameters)
            finally:
                self._reading = False
        return self._hyperparameters

    @hyperparameters.setter
    def hyperparameters(self, value: Any) -> None:
        self._hyperparameters = value

    @property
    def trials(self) -> dict[str, Any]:
        """The trials of the study as KerasTuner's Trial objects, by their id."""
        return self._read() if self.running is None else {self.running.trial_id: self.running}

    @trials.setter
    def trials(self, value: Any) -> None:
        # KerasTuner's oracle sets an empty dict at first
        if value:
            raise AttributeError("the trials are those of the study; they cannot be set")

    def _read(self) -> dict[str, Any]:
        return {} if self.tuner is None else self.tuner._trials()

    def get_trial(self, trial_id: str) -> Any:
        """The trial with this id."""
        return self.trials[trial_id]

    def get_best_trials(self, num_trials: int = 1) -> list[Any]:
        """The best trials, the best one first; every complete trial comes before every pruned one.

        Raises:
            RuntimeError: in a worker, which knows its own trial only.
        """
        if self.running is not None:
            raise RuntimeError("A worker knows its own trial only. Ask for the best trials after the search.")
        sign = -1 if self.objective.direction == "max" else 1
        scored = [trial for trial in self.trials.values() if trial.score is not None]
        completed = kt_trials.TrialStatus.COMPLETED
        return sorted(scored, key=lambda each: (each.status != completed, sign * each.score))[:num_trials]

    def remaining_trials(self) -> int | None:
        """How many trials are missing."""
        if self.max_trials is None:
            return None
        most = int(self.max_trials)
        ended: int = sum(each.status != "RUNNING" for each in self.trials.values())
        return max(0, most - ended)

    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> Any:
        """The old way to report in `run_trial`; it works in a worker.

        Raises:
            RuntimeError: if no worker trains this trial.
        """
        if self.running is None or self.running.trial_id != trial_id:
            raise RuntimeError(f"No worker of this search trains trial {trial_id} now.")
        self.worker.report(metrics)
        return self.running

    def end_trial(self, trial: Any) -> None:
        """Nothing: the worker ends its trial."""

    def populate_space(self, trial_id: str) -> Any:
        """Nothing: the study's sampler draws.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("the sampler of the study draws the values")

    def save(self) -> None:  # type: ignore[override, unused-ignore]
        """Nothing: the study is stored after each trial."""

    def reload(self) -> None:  # type: ignore[override, unused-ignore]
        """Nothing: trials are read from the study each time."""

    def search_options(self, resumable: bool) -> dict[str, Any]:
        """Options of `cnnsearch.search` that this oracle sets; `resumable`: whether trials can be paused."""
        return {"sampler": self.sampler, "trials": self.max_trials or UNLIMITED}

    def __getstate__(self) -> dict[str, Any]:
        left_out = dict.fromkeys(("tuner", "running", "worker", "_display"))
        return {**vars(self), **left_out, "_hyperparameters": self.given}


def warn_unused(names: list[str], where: str = "", reason: str = "") -> None:
    """Warn once about arguments that have no meaning here; `where` begins the sentence, `reason` ends it."""
    if names:
        has, is_ = ("has", "is") if len(names) == 1 else ("have", "are")
        text = f"{where}{', '.join(names)} {has} no meaning in cnnsearch and {is_} not used{reason}."
        # the line of the script that makes a tuner, whose `__init__` calls another one
        warnings.warn(text, stacklevel=4)


class RandomSearchOracle(StudyOracle):
    """Draws at random."""


class BayesianOptimizationOracle(StudyOracle):
    """Draws with Optuna's TPE sampler."""

    sampler = "tpe"

    def __init__(
        self,
        objective: Any = None,
        max_trials: int = 10,
        num_initial_points: int | None = None,
        alpha: float = 1e-4,
        beta: float = 2.6,
        **arguments: Any,
    ) -> None:
        changed = {"num_initial_points": num_initial_points is not None, "alpha": alpha != 1e-4, "beta": beta != 2.6}
        warn_unused([name for name, is_changed in changed.items() if is_changed], where="BayesianOptimization: ")
        super().__init__(objective, max_trials, **arguments)


class GridSearchOracle(StudyOracle):
    """Tries every point. A float without a step has ten values and its default, as in KerasTuner."""

    sampler = "grid"

    def __init__(self, objective: Any = None, max_trials: int | None = None, **arguments: Any) -> None:
        super().__init__(objective, max_trials, **arguments)


class HyperbandOracle(StudyOracle):
    """Pauses trials at rungs and resumes the best; draws at random."""

    def __init__(
        self,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: float = 1,
        **arguments: Any,
    ) -> None:
        if factor < 2:
            raise ValueError(f"factor needs to be a int larger than 1, but is {factor}.")
        if not hyperband_iterations:
            raise ValueError("hyperband_iterations is 0, which has no end. Expected a number above 0, such as 1.")
        self.max_epochs, self.factor, self.hyperband_iterations = max_epochs, factor, hyperband_iterations
        super().__init__(objective, self.configurations(), **arguments)

    def configurations(self) -> int:
        """How many configurations KerasTuner's Hyperband starts, over all its brackets."""
        brackets = 1
        while self.max_epochs / self.factor**brackets >= 1:
            brackets += 1
        end_size = math.ceil(1 + math.log(self.max_epochs, self.factor))
        sizes = [math.ceil(end_size * self.factor**number / (number + 1)) for number in range(brackets)]
        total: int = max(1, round(sum(sizes) * self.hyperband_iterations))
        return total

    def search_options(self, resumable: bool) -> dict[str, Any]:
        """Rungs if trials can be paused; else Optuna's Hyperband pruner, which only stops them."""
        how = {"scheduler": "halving"} if resumable else {"scheduler": "none", "pruner": "hyperband"}
        return {**super().search_options(resumable), **how}


RandomSearch = RandomSearchOracle
BayesianOptimization = BayesianOptimizationOracle
GridSearch = GridSearchOracle
Hyperband = HyperbandOracle

BY_NAME: dict[str, type[StudyOracle]] = {
    "random": RandomSearchOracle,
    "randomsearch": RandomSearchOracle,
    "bayesian": BayesianOptimizationOracle,
    "bayesianoptimization": BayesianOptimizationOracle,
    "grid": GridSearchOracle,
    "gridsearch": GridSearchOracle,
    "hyperband": HyperbandOracle,
}
"""The oracles by the names that `Tuner(oracle=…)` takes."""


OF_HYPERBAND, OF_BAYESIAN = ("max_epochs", "factor", "hyperband_iterations"), ("num_initial_points", "alpha", "beta")

MORE = (*OF_HYPERBAND, *OF_BAYESIAN)
"""The arguments of single oracles."""


def oracle_of(given: Any, arguments: dict[str, Any]) -> StudyOracle:
    """The oracle that `Tuner` is given: one of these, its name, or KerasTuner's own of the same name.

    Raises:
        ValueError: if it is another, or overrides what the search does not call.
    """
    if isinstance(given, StudyOracle):
        own = next(each for each in type(given).__mro__ if each.__module__ == __name__)
        refuse_overridden(type(given), own, CALLED_BY_SEARCH, "Write a sampler plugin, or a scheduler plugin.")
        return given
    name = given if isinstance(given, str) else type(given).__name__ if isinstance(given, keras_tuner.Oracle) else ""
    kind = BY_NAME.get(name.lower().removesuffix("oracle").replace("_", ""))
    if kind is None:
        raise ValueError(
            "Expected `oracle` argument to be an instance of `Oracle`: one of cnnsearch.keras_tuner.oracles, or a name "
            f"such as 'random', 'bayesian', 'hyperband', 'grid'. Received: oracle={given!r}. Write a sampler plugin "
            "for an oracle of your own."
        )
    if isinstance(given, str):
        if unknown := [name for name in arguments if name not in _shared(kind)]:
            raise ValueError(f"Unrecognized arguments {unknown} for the oracle {given!r}.")
        return kind(**arguments)
    made = kind(**{key: getattr(given, key) for key in _shared(kind) if hasattr(given, key)})
    made.may_have_drawn_seed = True
    return made


def _shared(kind: type[StudyOracle]) -> tuple[str, ...]:
    """The arguments of an oracle that KerasTuner's own keeps as attributes."""
    common = (
        *("objective", "hyperparameters", "tune_new_entries", "allow_new_entries", "seed"),
        *("max_retries_per_trial", "max_consecutive_failed_trials"),
    )
    if kind is HyperbandOracle:
        return (*common, *OF_HYPERBAND)
    more = OF_BAYESIAN if kind is BayesianOptimizationOracle else ()
    return (*common, *more, "max_trials")


def refuse_overridden(kind: type, base: type, names: tuple[str, ...], instead: str) -> None:
    """Refuse a subclass of `base` that overrides a method that this search does not call.

    Raises:
        ValueError: it names the methods, and what to do `instead`.
    """
    own = [name for name in names if getattr(kind, name) is not getattr(base, name)]
    if own:
        raise ValueError(f"{kind.__name__} overrides {', '.join(own)}, which cnnsearch does not call. {instead}")


def arguments_of(variables: dict[str, Any]) -> dict[str, Any]:
    """Of all local variables at the start of a tuner's `__init__`, the arguments of its oracle."""
    others = ("self", "hypermodel", "options", "__class__")
    return {name: value for name, value in variables.items() if name not in others}
