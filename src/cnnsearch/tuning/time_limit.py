"""The end of a search at its time limit: the trial with the best score so far ends too, and its model is kept."""

import math
import time
from collections.abc import Iterable

from cnnsearch.core.messages import Decision
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.active_trial import ActiveTrial

LONGER = 10.0
"""The trial with the best score may end after the time limit, within so many seconds."""

PART = 0.05
"""Or within this part of the time limit, if that is longer."""

EPOCHS = 1.5
"""Or within so many epochs: its epoch must end, or another trial's, so that a worker is free for it if it is paused."""


class TimeLimit:
    """Ends the best trial of a search when the time is up.

    Without it a search would hand over the best of the complete trials, though an interrupted or paused one may have
    had a better epoch.

    Attributes:
        reached: whether the time is up.
        best: the trial that is to end with its best epoch so far; None if a complete trial is at least as good.
    """

    def __init__(self, config: SearchConfig, maximize: bool) -> None:
        self._config, self._sign = config, 1 if maximize else -1
        self._until = math.inf
        self.reached = False
        self.best: ActiveTrial | None = None

    def reach(self, unfinished: Iterable[ActiveTrial], ended: Iterable[Trial]) -> None:
        """The time is up. `unfinished`: the running and the paused trials; `ended`: those that ended."""
        self.reached = True
        waiting = list(unfinished)
        epoch = EPOCHS * max(map(_epoch_seconds, waiting), default=0.0)
        self._until = time.monotonic() + max(LONGER, PART * self._config.tuner.timeout, epoch)
        scores = (trial.score for trial in ended if trial.state == "complete")
        complete = [self._sign * score for score in scores if score is not None]
        best = max(waiting, key=self._score, default=None)
        if best and self._score(best) > max(complete, default=-math.inf):
            self.best = best

    def decide(self, trial: ActiveTrial, decision: Decision) -> Decision:
        """What happens to a trial after an epoch, if the scheduler decides `decision`."""
        epochs = self._config.study.epochs
        if not self.reached or decision is Decision.STOP or 0 < epochs <= len(trial.history):
            return decision
        if trial is self.best:
            # a promoted trial that lost its checkpoint trains the epochs again that it had
            return Decision.STOP if len(trial.history) >= trial.reported else Decision.CONTINUE
        # its worker is free then, and the next run resumes the trial
        return Decision.PAUSE if trial.resumable and epochs else decision

    def reason(self, trial: ActiveTrial, epochs: int) -> str:
        """Why a trial ended with so many epochs; empty if the time limit is not the reason."""
        if trial is not self.best:
            return ""
        # how many epochs a function trains may not be known
        whole = f" of {self._config.study.epochs}" if self._config.study.epochs else ""
        return f"the time limit ended it after {epochs}{whole} epochs"

    def is_over(self, unfinished: Iterable[ActiveTrial]) -> bool:
        """Whether nothing is left to wait for."""
        return not any(trial is self.best for trial in unfinished) or time.monotonic() > self._until

    def _score(self, trial: ActiveTrial) -> float:
        """The best score so far; minus infinity without an epoch."""
        metric = self._config.study.metric
        return max((self._sign * metrics[metric] for metrics in trial.curve if metric in metrics), default=-math.inf)


def _epoch_seconds(trial: ActiveTrial) -> float:
    """Seconds of one of its epochs so far; 0 before the first has ended."""
    timed = trial.timed()
    # those before an interruption are not in the seconds
    epochs = timed.epochs - timed.resumed
    return timed.seconds / epochs if epochs > 0 else 0.0
