"""What a search tells while it runs: the base class of callbacks, and several callbacks as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces.parent_plugins import call

if TYPE_CHECKING:
    from cnnsearch.study.study import Study
    from cnnsearch.study.trial import Trial
    from cnnsearch.tuning.launchers.base import Launcher
    from cnnsearch.tuning.progress import RepeatResult, TuningStatus
    from cnnsearch.tuning.trial_source import End


class TunerCallback:
    """Told what happens in a search. Subclass it and override what you need.

    All methods are called in the parent's process, between two messages of workers: a slow one keeps workers waiting.
    The order is: `on_setup`; `on_loading` while a dataset is decoded; `on_study_begin`; for each trial
    `on_trial_start`, `on_epoch_end` after each epoch, then `on_trial_end` or `on_trial_interrupt`; `on_repeat_end` for
    each training on a new seed; `on_tuning_end`; `on_study_end`. `on_status`, `on_note` and `on_step_end` come between
    them, `on_step_end` at least every half second. A trial that pauses and resumes starts once.

    Any exception ends the search in order, with an error that names the callback.

    In all methods, `study` is the study that is searched, and `trial` is the trial as it is stored.
    """

    _others: TunerCallback | None = None

    def note(self, text: str) -> None:
        """Show the user one line, `text`. Call it from your own methods."""
        if self._others:
            self._others.note(text)
        else:
            self.on_note(text)

    def on_setup(self) -> None:
        """The first worker is about to start."""

    def on_loading(self, done: int, total: int) -> None:
        """A worker has decoded `done` of `total` images of the dataset."""

    def on_study_begin(self, study: Study) -> None:
        """The first worker has loaded the data. What is known of it is in `study.info`."""

    def on_trial_start(self, trial: Trial) -> None:
        """The candidate of a trial is known, and its training starts."""

    def on_epoch_end(self, trial: Trial, epoch: int, metrics: dict[str, float]) -> None:
        """A trial was trained for an epoch. `epoch` counts from 1; `metrics` are by name, such as `val_loss`."""

    def on_trial_end(self, trial: Trial) -> None:
        """A trial ended: complete, pruned or failed, or it was not trained (`trial.state`)."""

    def on_trial_interrupt(self, trial: Trial) -> None:
        """A trial was interrupted. A later trial resumes it."""

    def on_repeat_end(self, result: RepeatResult) -> None:
        """A trial was trained again on a new seed. `result` has the trial, the seed and the score."""

    def on_status(self, status: TuningStatus) -> None:
        """The state of the search after a change; `status.done` is the trial that just ended, if one did."""

    def on_note(self, text: str) -> None:
        """One line for the user: `text`. It may be called from a thread of another callback."""

    def on_step_end(self) -> None:
        """The tuner has handled one message, or none came for half a second."""

    def needs_workers(self, study: Study) -> bool:
        """Whether `on_tuning_end` has to be called although no trial is left to train."""
        return False

    def on_tuning_end(self, study: Study, launcher: Launcher, stopped: Callable[[], bool]) -> None:
        """All trials of this run ended, and the workers of `launcher` still run.

        `stopped` tells whether the user asked for the end.
        """

    def on_study_end(self, study: Study, end: End) -> None:
        """The run is over, and the workers have ended. `end` says why. Called after errors, too.

        If nothing was left to train, it is called without `on_study_begin`.
        """


class Callbacks(TunerCallback):
    """Several callbacks as one.

    Raises:
        PluginError: if a method of a callback fails, from each method; it names callback and method.
    """

    def __init__(self, callbacks: Iterable[TunerCallback]) -> None:
        self._callbacks = tuple(callbacks)
        self._set_up = self._begun = False
        for each in self._callbacks:
            each._others = self

    def on_setup(self) -> None:
        # a search whose metric is not known starts its workers before the study is made
        if not self._set_up:
            self._set_up = True
            self._each("on_setup")

    def on_loading(self, done: int, total: int) -> None:
        self._each("on_loading", done, total)

    def on_study_begin(self, study: Study) -> None:
        # called for each worker that has started
        if not self._begun:
            self._begun = True
            self._each("on_study_begin", study)

    def on_trial_start(self, trial: Trial) -> None:
        self._each("on_trial_start", trial)

    def on_epoch_end(self, trial: Trial, epoch: int, metrics: dict[str, float]) -> None:
        self._each("on_epoch_end", trial, epoch, metrics)

    def on_trial_end(self, trial: Trial) -> None:
        self._each("on_trial_end", trial)

    def on_trial_interrupt(self, trial: Trial) -> None:
        self._each("on_trial_interrupt", trial)

    def on_repeat_end(self, result: RepeatResult) -> None:
        self._each("on_repeat_end", result)

    def on_status(self, status: TuningStatus) -> None:
        self._each("on_status", status)

    def on_note(self, text: str) -> None:
        self._each("on_note", text)

    def on_step_end(self) -> None:
        self._each("on_step_end")

    def needs_workers(self, study: Study) -> bool:
        return any(self._each("needs_workers", study))

    def on_tuning_end(self, study: Study, launcher: Launcher, stopped: Callable[[], bool]) -> None:
        self._each("on_tuning_end", study, launcher, stopped)

    def on_study_end(self, study: Study, end: End) -> None:
        failures = []
        for callback in self._callbacks:
            try:
                _call(callback, "on_study_end", study, end)
            except CnnsearchError as failure:
                failures.append(failure)
        # every callback is called before the first failure is raised
        if failures:
            raise failures[0]

    def _each(self, method: str, *what: object) -> list[object]:
        return [_call(callback, method, *what) for callback in self._callbacks]


def _call(callback: TunerCallback, method: str, *what: object) -> object:
    return call(f"callback {type(callback).__name__}", f"in {method}", getattr(callback, method), what, {})
