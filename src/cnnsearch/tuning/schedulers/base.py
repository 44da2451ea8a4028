"""Which trials continue, pause or stop, and which paused trial resumes: the base class of schedulers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnsearch.core.messages import Decision

if TYPE_CHECKING:
    from cnnsearch.study.trial import Trial
    from cnnsearch.tuning.active_trial import ActiveTrial


@dataclass(frozen=True)
class SchedulerContext:
    """What a scheduler is made from.

    Attributes:
        name: the name that the user gave with `--scheduler`.
        epochs: the number of epochs of a trial at full length.
        batch_size: how many images make one update of the weights.
        metric: the metric that is the score; `maximize`: whether more of it is better.
        pruner: the name of the pruner, "none" if trials are not pruned.
        should_prune: asks the pruner whether a trial stops after its last epoch; False without a pruner.
        factor: each rung has this many times the epochs of the rung before it, as the user says; 0: the usual rungs.
    """

    name: str
    epochs: int
    batch_size: int
    metric: str
    maximize: bool
    pruner: str
    should_prune: Callable[[ActiveTrial], bool]
    factor: int = 0


class TrialScheduler:
    """Decides on trials after each epoch, in the shape of Ray Tune's TrialScheduler.

    This base class trains every trial to its end, if no pruner stops it. Write a subclass, override what you need,
    and mark a function that makes it with `@scheduler`.

    The tuner calls, in this order: `on_start` when the data are known; `on_trial_add` when a candidate is known and
    before it is trained; `fidelity` right after it; `on_trial_result` after each epoch; then one of `on_trial_pause`,
    `on_trial_complete` (trained to its end, or pruned) and `on_trial_error`. It calls `choose_trial_to_resume` when a
    worker is free, and `choose_trials_to_prune` when a trial was paused. All methods run in the parent's process. Any
    exception ends the search in order, with an error that names the scheduler.

    A trial has `number`, `history` (the metrics of each epoch, a list of dicts), `record` (the `Trial` as it is
    stored) and `resumable`. A PAUSE for a trial that is not resumable, or after the last epoch, counts as CONTINUE.
    So does a PAUSE at an epoch that a trial trains again, because its checkpoint was lost.

    Attributes:
        context: what the scheduler was made from.
        paused: the paused trials, by number. The tuner removes a trial that resumes.
    """

    def __init__(self, context: SchedulerContext) -> None:
        self.context = context
        self.paused: dict[int, ActiveTrial] = {}

    def on_start(self, images: int, low_fidelity: bool) -> None:
        """The data are known.

        `images`: how many are trained on; `low_fidelity`: whether trials can be evaluated on a part of them.
        """

    def on_trial_add(self, trial: ActiveTrial) -> None:
        """A candidate is about to be trained."""

    def fidelity(self, trial: ActiveTrial) -> float:
        """The part of the images that a trial is evaluated on before its training; 0: no such evaluation."""
        return 0.0

    def on_trial_result(self, trial: ActiveTrial) -> Decision:
        """What happens to a trial after an epoch, which is the last one in `trial.history`."""
        return Decision.STOP if self.context.should_prune(trial) else Decision.CONTINUE

    def on_trial_resumed(self, trial: ActiveTrial) -> Decision:
        """What happens to a trial after its earlier epochs were read from a checkpoint into `trial.history`."""
        return Decision.CONTINUE

    def on_trial_pause(self, trial: ActiveTrial) -> None:
        """A trial is paused, after an epoch or after its evaluation on a part of the images."""
        self.paused[trial.number] = trial

    def on_trial_complete(self, record: Trial) -> None:
        """A trial ended: complete or pruned. Called for the trials of earlier runs too, before `on_start`."""

    def on_trial_error(self, record: Trial) -> None:
        """A trial failed, or its worker was lost for good."""

    def choose_trial_to_resume(
        self, running: Iterable[ActiveTrial], more_to_come: bool, in_time: Callable[[ActiveTrial], bool]
    ) -> ActiveTrial | None:
        """The paused trial that resumes next; None: no paused trial resumes now.

        It only answers, and may be asked again: the tuner removes the trial from `paused` when it resumes.

        `running`: the trials that workers have; `more_to_come`: whether new trials will start; `in_time`: whether a
        trial reaches its next stop within the time limit.
        """
        return next(filter(in_time, self.paused.values()), None)

    def choose_trials_to_prune(self, running: Iterable[ActiveTrial]) -> list[ActiveTrial]:
        """Paused trials that will never resume. Remove them from `paused`. `running`: the trials that workers have."""
        return []

    def next_stop(self, trial: ActiveTrial, epochs: int) -> float:
        """The epoch at which a trial next pauses or ends, at most `epochs`; below 1: its low-fidelity evaluation."""
        return epochs

    def reason(self, trial: ActiveTrial) -> str:
        """Why a paused trial that never resumes ended."""
        return ""

    @property
    def described(self) -> str:
        """Where trials pause, in words; empty if they never do."""
        return ""
