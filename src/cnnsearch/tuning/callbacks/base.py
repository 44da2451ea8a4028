"""What a running search tells: callbacks for whatever happens to trials, and the display for the terminal."""

from collections.abc import Iterable
from typing import Protocol

from cnnsearch.core.errors import CnnsearchError, PluginError, one_line
from cnnsearch.study.confirmation import Repeat
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.progress import Repeated, TuningStatus


class TunerCallback:
    """Told what happens in a search; subclass it and override what you need.

    All methods are called in the parent's process, between two messages of workers: what takes long keeps workers
    waiting. They are called in this order: `on_study_begin`; for each trial `on_epoch_end` after each epoch, then
    `on_trial_end` or `on_trial_interrupt`; `on_repeat_end` for each training on a new seed. `on_step_end` is called all
    the time, at least every half second.
    """

    def on_study_begin(self, study: Study) -> None:
        """The first worker has loaded the data."""

    def on_epoch_end(self, trial: Trial, epoch: int, metrics: dict[str, float]) -> None:
        """A trial was trained for an epoch, counted from 1."""

    def on_trial_end(self, trial: Trial) -> None:
        """A trial ended: complete, pruned or failed, or it was not trained (`trial.state`)."""

    def on_trial_interrupt(self, trial: Trial) -> None:
        """A trial was interrupted; a later one resumes it."""

    def on_repeat_end(self, trial: Trial, repeat: Repeat, history: list[dict[str, float]]) -> None:
        """A trial was trained again on a new seed; `history` has the metrics of each epoch."""

    def on_step_end(self) -> None:
        """The tuner has handled a message, or none came."""


class Callbacks(TunerCallback):
    """Several callbacks as one. An error of one is told with its name.

    Raises:
        PluginError: if a method of a callback fails, from each method.
    """

    def __init__(self, callbacks: Iterable[TunerCallback]) -> None:
        self._callbacks = tuple(callbacks)
        self._begun = False

    def on_study_begin(self, study: Study) -> None:
        # each worker that has started leads here
        if not self._begun:
            self._begun = True
            self._each("on_study_begin", study)

    def on_epoch_end(self, trial: Trial, epoch: int, metrics: dict[str, float]) -> None:
        self._each("on_epoch_end", trial, epoch, metrics)

    def on_trial_end(self, trial: Trial) -> None:
        self._each("on_trial_end", trial)

    def on_trial_interrupt(self, trial: Trial) -> None:
        self._each("on_trial_interrupt", trial)

    def on_repeat_end(self, trial: Trial, repeat: Repeat, history: list[dict[str, float]]) -> None:
        self._each("on_repeat_end", trial, repeat, history)

    def on_step_end(self) -> None:
        self._each("on_step_end")

    def _each(self, method: str, *what: object) -> None:
        for callback in self._callbacks:
            try:
                getattr(callback, method)(*what)
            except CnnsearchError:
                raise
            except Exception as error:
                name = type(callback).__name__
                raise PluginError(f"The callback {name} failed in {method}: {one_line(str(error))}") from error


class Display(Protocol):
    """Shows a search. A context manager; called with the progress at every change."""

    def __enter__(self) -> "Display": ...
    def __exit__(self, *error: object) -> None: ...
    def __call__(self, progress: TuningStatus) -> None: ...
    def loading(self, done: int, total: int) -> None:
        """So many images of the dataset are decoded, before the first trial."""

    def repeated(self, done: Repeated) -> None:
        """A training on a new seed ended."""

    def note(self, text: str) -> None:
        """Say one line."""
