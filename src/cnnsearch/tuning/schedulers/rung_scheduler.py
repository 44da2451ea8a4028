"""The scheduler of a search: rungs at which trials are paused, and Optuna's pruner between them."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from cnnsearch.core.messages import Decision
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.active_trial import ActiveTrial
from cnnsearch.tuning.schedulers.base import SchedulerContext, TrialScheduler
from cnnsearch.tuning.schedulers.rungs import Rungs, Stand


class RungScheduler(TrialScheduler):
    """Pauses trials at rungs, resumes the best of each rung, and asks Optuna's pruner where no rung judges a trial.

    See `TrialScheduler` for what each method does.
    """

    def __init__(self, context: SchedulerContext) -> None:
        super().__init__(context)
        self._ended: list[Stand] = []
        self.on_start(0, low_fidelity=False)

    def on_start(self, images: int, low_fidelity: bool) -> None:
        context = self.context
        updates = max(1, math.ceil(images / context.batch_size))
        self._rungs = Rungs(context.name, context.epochs, updates, context.maximize, low_fidelity)
        for stand in self._ended:
            self._rungs.ended(stand)

    def fidelity(self, trial: ActiveTrial) -> float:
        new = trial.record.look is None and not trial.state.is_file()
        return self._rungs.look if new and self._may_pause(trial) else 0.0

    def on_trial_result(self, trial: ActiveTrial) -> Decision:
        if self._pauses_here(trial):
            return Decision.PAUSE
        stops = not self._rungs_judge(trial) and self.context.should_prune(trial)
        return Decision.STOP if stops else Decision.CONTINUE

    def on_trial_resumed(self, trial: ActiveTrial) -> Decision:
        return Decision.PAUSE if self._pauses_here(trial) else Decision.CONTINUE

    def on_trial_complete(self, record: Trial) -> None:
        values = tuple(metrics[self.context.metric] for metrics in record.history)
        self._ended.append(Stand(record.number, values, False, record.look))
        self._rungs.ended(self._ended[-1])

    def choose_trial_to_resume(
        self, running: Iterable[ActiveTrial], more_to_come: bool, in_time: Callable[[ActiveTrial], bool]
    ) -> ActiveTrial | None:
        if not self.paused:
            return None
        number = self._rungs.next(self._stands(running, in_time), more_to_come)
        return None if number is None else self.paused[number]

    def choose_trials_to_prune(self, running: Iterable[ActiveTrial]) -> list[ActiveTrial]:
        return [self.paused.pop(number) for number in self._rungs.left_behind(self._stands(running))]

    def next_stop(self, trial: ActiveTrial, epochs: int) -> float:
        ahead = range(len(trial.history) + 1, epochs) if self._may_pause(trial) else ()
        return self.fidelity(trial) or next(filter(self._rungs.waits_at, ahead), epochs)

    def reason(self, trial: ActiveTrial) -> str:
        return "" if trial.history else f"after a low-fidelity evaluation on {self._rungs.look:.0%} of the images"

    @property
    def described(self) -> str:
        return f"Rungs: {self._rungs.told}."

    def _stands(
        self, running: Iterable[ActiveTrial], waits: Callable[[ActiveTrial], Any] = lambda trial: True
    ) -> list[Stand]:
        return [self._stand(trial, False) for trial in running] + [
            self._stand(trial, bool(waits(trial))) for trial in self.paused.values()
        ]

    def _stand(self, trial: ActiveTrial, waits: bool) -> Stand:
        values = tuple(metrics[self.context.metric] for metrics in trial.curve)
        return Stand(trial.number, values, waits, trial.record.look)

    def _rungs_judge(self, trial: ActiveTrial) -> bool:
        """Whether the rungs decide alone how long this trial is trained. A pruner that was named is asked too."""
        return self.context.name == "auto" and self._rungs.has_rungs and trial.resumable

    def _pauses_here(self, trial: ActiveTrial) -> bool:
        return self._may_pause(trial) and self._rungs.waits_at(len(trial.history))

    def _may_pause(self, trial: ActiveTrial) -> bool:
        """What was asked for by name is never paused, nor what cannot be resumed."""
        return trial.resumable and not trial.by_name and trial.record.origin != "default"
