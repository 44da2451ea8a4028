"""Which trials continue, pause or stop, and which paused one resumes: what the tuner asks of a scheduler."""

from collections.abc import Callable, Iterable
from typing import Protocol

from cnnsearch.core.messages import Decision
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.active_trial import ActiveTrial


class TrialScheduler(Protocol):
    """Decides on trials after each epoch, in the shape of Ray Tune's TrialScheduler.

    The tuner calls, in this order: `on_start` once the data are known; `on_trial_add` when a candidate is known and
    before it is trained; `fidelity` right after it; `on_trial_result` after each epoch; then one of `on_trial_pause`,
    `on_trial_complete` (to its end or pruned) and `on_trial_error`. `choose_trial_to_resume` is asked whenever a worker
    is free.

    Attributes:
        paused: the paused trials, by number.
    """

    paused: dict[int, ActiveTrial]

    def on_start(self, images: int, low_fidelity: bool) -> None:
        """Training has so many images; `low_fidelity`: trials can be evaluated on a part of them first."""

    def on_trial_add(self, trial: ActiveTrial) -> None:
        """A candidate is to be trained."""

    def fidelity(self, trial: ActiveTrial) -> float:
        """The part of the images that a trial is evaluated on before it is trained; 0: it is trained at once."""

    def on_trial_result(self, trial: ActiveTrial) -> Decision:
        """An epoch ended; it is the last one in `trial.history`."""

    def on_trial_resumed(self, trial: ActiveTrial) -> Decision:
        """Earlier epochs were read from the checkpoint; they are in `trial.history`."""

    def on_trial_pause(self, trial: ActiveTrial) -> None:
        """A trial is paused, after an epoch or after its evaluation on a part of the images."""

    def on_trial_complete(self, record: Trial) -> None:
        """A trial ended: complete or pruned. Called for the trials of earlier runs too."""

    def on_trial_error(self, record: Trial) -> None:
        """A trial failed, or its worker was lost for good."""

    def choose_trial_to_resume(
        self, running: Iterable[ActiveTrial], more_to_come: bool, in_time: Callable[[ActiveTrial], bool]
    ) -> ActiveTrial | None:
        """The paused trial to be resumed next, None if there is none; the tuner takes it out of `paused`."""

    def choose_trials_to_prune(self, running: Iterable[ActiveTrial]) -> list[ActiveTrial]:
        """Paused trials that will not be resumed any more; they are no longer in `paused`."""

    def next_stop(self, trial: ActiveTrial, epochs: int) -> float:
        """The epoch at which a trial of so many is next paused, or ends; a part of one: its evaluation."""

    def reason(self, trial: ActiveTrial) -> str:
        """Why a paused trial that is never resumed ended."""

    @property
    def described(self) -> str:
        """Where trials pause, in words; empty if nowhere."""
