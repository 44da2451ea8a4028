"""Callbacks of a search: each is called, and an error of one is told with its name."""

import pytest

from cnnsearch.core.errors import PluginError
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.callbacks.base import Callbacks, TunerCallback


class Counting(TunerCallback):
    """Remembers the trials that ended."""

    def __init__(self) -> None:
        self.ended: list[int] = []

    def on_trial_end(self, trial: Trial) -> None:
        self.ended.append(trial.number)


class Broken(TunerCallback):
    """Fails after an epoch."""

    def on_epoch_end(self, trial: Trial, epoch: int, metrics: dict[str, float]) -> None:
        raise ValueError("no disk")


def test_each_callback_is_called_and_a_failure_names_it() -> None:
    first, second = Counting(), Counting()
    callbacks = Callbacks([first, Broken(), second])
    callbacks.on_trial_end(Trial(3))
    assert first.ended == second.ended == [3]
    callbacks.on_step_end()
    with pytest.raises(PluginError, match=r"The callback Broken failed in on_epoch_end: .*no disk"):
        callbacks.on_epoch_end(Trial(3), 1, {"val_accuracy": 0.5})
