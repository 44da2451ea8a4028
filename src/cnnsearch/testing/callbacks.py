"""The contracts of a callback: it gets through the calls of a small search."""

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from cnnsearch.testing.contracts import Contract, Subject, contract, has_a_summary
from cnnsearch.tuning.callbacks.base import TunerCallback

CONTRACTS = [Contract("has_a_summary", has_a_summary, False)]


class Callback(Subject):
    """A callback, or a function that makes it."""

    contracts = CONTRACTS

    def __init__(self, function: Callable[..., Any], given: dict[str, Any] | None = None) -> None:
        super().__init__(function, given or {}, "callback", ())

    @cached_property
    def made(self) -> Any:
        """What the function makes."""
        return self.function()


@contract(CONTRACTS, basis=True)
def makes_a_callback(callback: Callback) -> None:
    """Without arguments it makes a TunerCallback."""
    if not isinstance(callback.made, TunerCallback):
        found = type(callback.made).__name__
        raise callback.broken(f"it makes {found}, expected a TunerCallback", "Subclass cnnsearch.TunerCallback")


@contract(CONTRACTS)
def gets_through_a_search(callback: Callback) -> None:
    """It takes the calls of a search: two trials, one of them interrupted, and a training on a new seed."""
    # they import Optuna
    import optuna

    from cnnsearch.study.confirmation import Repeat
    from cnnsearch.study.study import Study
    from cnnsearch.study.trial import ATTRIBUTE, Trial
    from cnnsearch.tuning.progress import RepeatResult, StudyStatistics, TuningStatus
    from cnnsearch.tuning.trial_source import End, EndReason

    with tempfile.TemporaryDirectory() as folder:
        made, told = optuna.create_study(direction="maximize"), callback.made
        made.set_user_attr(ATTRIBUTE, {"metric": "val_accuracy", "seed": 0, "folder": folder})
        study = Study(made, Path(folder))
        told.on_setup()
        told.on_study_begin(study)
        first, second = Trial(0, score=0.9, epochs=1, history=({"val_accuracy": 0.9},)), Trial(1)
        for trial in (first, second):
            told.on_trial_start(trial)
            told.on_epoch_end(trial, 1, {"loss": 0.5, "val_accuracy": 0.9})
            told.on_step_end()
        told.on_trial_end(first)
        told.on_trial_interrupt(second)
        told.on_repeat_end(RepeatResult(first, Repeat(0, 1, 0.8), ({"val_accuracy": 0.8},), 1, 1))
        told.on_status(TuningStatus(2, StudyStatistics(True).plus(first), (), 1.0, 1, {}, first))
        told.on_note("One line.")
        told.on_study_end(study, End(EndReason.COMPLETE))
