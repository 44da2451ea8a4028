"""`Hyperband` and its oracle, in the module that KerasTuner has them in."""

from typing import Any

from cnnsearch.keras_tuner.engine.tuner import Tuner
from cnnsearch.keras_tuner.oracles import HyperbandOracle, arguments_of

__all__ = ["Hyperband", "HyperbandOracle"]


class Hyperband(Tuner):
    """KerasTuner's `Hyperband`: pauses trials at rungs, and resumes the best ones.

    Args:
        hypermodel: a HyperModel, or a function `build(hp)`; None if `run_trial` is overridden.
        objective: a metric's name, an `Objective`, or a list of them, which are summed.
        max_epochs: the epochs of a trial at full length.
        factor: each rung has this many times the epochs of the rung before it.
        hyperband_iterations: multiplies the number of trials.
        seed: the random seed; None: 0.
        hyperparameters: hyperparameters whose values come before those of the hypermodel.
        tune_new_entries: whether other hyperparameters are searched; else they have their default.
        allow_new_entries: whether there may be other hyperparameters.
        max_retries_per_trial: how many more times a trial is tried that failed.
        max_consecutive_failed_trials: the search ends when so many trials in a row failed.
        options: arguments of `Tuner`.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: float = 1,
        seed: int | None = None,
        hyperparameters: Any = None,
        tune_new_entries: bool = True,
        allow_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
        **options: Any,
    ) -> None:
        super().__init__(HyperbandOracle(**arguments_of(locals())), hypermodel, **options)
