"""The scheduler of a search: rungs at which trials are paused, and Optuna's pruner between them."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from cnnsearch.core.messages import Decision
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.active_trial import ActiveTrial
from cnnsearch.tuning.schedulers.base import SchedulerContext, TrialScheduler
from cnnsearch.tuning.schedulers.rungs import Rungs, RungTrial


class RungScheduler(TrialScheduler):
    """Pauses trials at rungs and resumes the best of each rung. Optuna's pruner decides on trials that have no rungs.

    See `TrialScheduler` for what each method does.
    """

    def __init__(self, context: SchedulerContext) -> None:
        super().__init__(context)
        self._ended: list[RungTrial] = []
        self.on_start(0, low_fidelity=False)

    def on_start(self, images: int, low_fidelity: bool) -> None:
        context = self.context
        updates = max(1, math.ceil(images / context.batch_size))
        self._rungs = Rungs(context.name, context.epochs, updates, context.maximize, low_fidelity, context.factor)
        for ended in self._ended:
            self._rungs.ended(ended)

    def fidelity(self, trial: ActiveTrial) -> float:
        fidelity = self._rungs.fidelity
        evaluated = not fidelity or trial.record.look is not None or not self._may_pause(trial)
        return 0.0 if evaluated or trial.has_checkpoint() else fidelity

    def on_trial_result(self, trial: ActiveTrial) -> Decision:
        if self._pauses_here(trial):
            return Decision.PAUSE
        stops = not self._rungs_judge(trial) and self.context.should_prune(trial)
        return Decision.STOP if stops else Decision.CONTINUE

    def on_trial_resumed(self, trial: ActiveTrial) -> Decision:
        return Decision.PAUSE if self._pauses_here(trial) else Decision.CONTINUE

    def on_trial_complete(self, record: Trial) -> None:
        values = tuple(metrics[self.context.metric] for metrics in record.history)
        self._ended.append(RungTrial(record.number, values, False, record.look))
        self._rungs.ended(self._ended[-1])

    def choose_trial_to_resume(
        self, running: Iterable[ActiveTrial], more_to_come: bool, in_time: Callable[[ActiveTrial], bool]
    ) -> ActiveTrial | None:
        if not self.paused:
            return None
        number = self._rungs.next(self._rung_trials(running, in_time), more_to_come)
        return None if number is None else self.paused[number]

    def choose_trials_to_prune(self, running: Iterable[ActiveTrial]) -> list[ActiveTrial]:
        return [self.paused.pop(number) for number in self._rungs.trials_to_prune(self._rung_trials(running))]

    def next_stop(self, trial: ActiveTrial, epochs: int) -> float:
        ahead = range(len(trial.history) + 1, epochs) if self._may_pause(trial) else ()
        return self.fidelity(trial) or next(filter(self._rungs.is_rung, ahead), epochs)

    def reason(self, trial: ActiveTrial) -> str:
        return "" if trial.history else f"after a low-fidelity evaluation on {self._rungs.fidelity:.0%} of the images"

    @property
    def described(self) -> str:
        return f"Rungs: {self._rungs.description}."

    def _rung_trials(
        self, running: Iterable[ActiveTrial], counts_as_paused: Callable[[ActiveTrial], Any] = lambda trial: True
    ) -> list[RungTrial]:
        return [self._rung_trial(trial, False) for trial in running] + [
            self._rung_trial(trial, bool(counts_as_paused(trial))) for trial in self.paused.values()
        ]

    def _rung_trial(self, trial: ActiveTrial, paused: bool) -> RungTrial:
        values = tuple(metrics[self.context.metric] for metrics in trial.curve)
        return RungTrial(trial.number, values, paused, trial.record.look)

    def _rungs_judge(self, trial: ActiveTrial) -> bool:
        """Whether the rungs alone decide on this trial. If the user named a pruner, it decides too."""
        return self.context.name == "auto" and self._rungs.has_rungs and trial.resumable

    def _pauses_here(self, trial: ActiveTrial) -> bool:
        return self._may_pause(trial) and self._rungs.is_rung(len(trial.history))

    def _may_pause(self, trial: ActiveTrial) -> bool:
        """Whether a trial may be paused. The default, recipes and controlled trials are never paused."""
        return trial.resumable and not trial.by_name and trial.record.origin != "default"
