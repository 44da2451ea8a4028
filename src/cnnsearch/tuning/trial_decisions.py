"""Asks the scheduler and the pruner about a trial, and tells them what becomes of it."""

from cnnsearch.core.errors import PluginError
from cnnsearch.core.messages import Decision
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.tuning import registry
from cnnsearch.tuning.active_trial import ActiveTrial
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.schedulers.base import SchedulerContext
from cnnsearch.tuning.schedulers.pruning import Pruning


class TrialDecisions:
    """Decides whether trials continue, pause or stop.

    Attributes:
        scheduler: the scheduler of the search.
    """

    def __init__(self, config: SearchConfig, known: Catalog, study: Study, callbacks: TunerCallback) -> None:
        self._config, self._callbacks = config, callbacks
        self._pruning = Pruning(study, config.tuner.pruner, config.study.epochs, known)
        context = SchedulerContext(
            name=config.tuner.scheduler,
            epochs=config.study.epochs,
            batch_size=config.study.space.defaults["batch_size"],
            metric=config.study.metric,
            maximize=study.maximize,
            pruner=config.tuner.pruner,
            should_prune=self.should_prune,
            factor=config.tuner.factor,
        )
        self.scheduler = registry.scheduler(context, known)

    def start(self, trial: ActiveTrial) -> float | None:
        """Tell the scheduler of a new trial; returns its fidelity, None for a trial that resumes."""
        if trial.added:
            return None
        trial.added = True
        self.scheduler.on_trial_add(trial)
        return self.scheduler.fidelity(trial)

    def after_epoch(self, trial: ActiveTrial) -> Decision:
        """What happens to a trial after an epoch, which is the last one in `trial.history`.

        A promoted trial that lost its checkpoint trains its epochs again. It is not paused at the rungs that it passed.
        """
        again = len(trial.history) <= trial.reported
        decision = self._checked(trial, self.scheduler.on_trial_result(trial))
        return Decision.CONTINUE if again and decision is Decision.PAUSE else decision

    def after_resume(self, trial: ActiveTrial) -> Decision:
        """What happens to a trial after its earlier epochs were read from its checkpoint."""
        return self._checked(trial, self.scheduler.on_trial_resumed(trial))

    def should_prune(self, trial: ActiveTrial) -> bool:
        """Whether the pruner stops a trial after its last epoch. Recipes and controlled trials are not pruned."""
        if self._config.tuner.pruner == "none" or trial.by_name or self._is_full(trial):
            return False
        self.record_epoch(trial)
        seen = [metrics[self._config.study.metric] for metrics in trial.history]
        return self._pruning.should_prune(trial.trial, trial.record, seen)

    def record_epoch(self, trial: ActiveTrial) -> None:
        """Report the last epoch to Optuna and the callbacks, unless they have it."""
        epoch, metrics = len(trial.history), trial.history[-1]
        if epoch > trial.reported:
            trial.reported = epoch
            self._pruning.report(trial.trial, metrics[self._config.study.metric], epoch)
            self._callbacks.on_epoch_end(trial.record, epoch, metrics)

    def record_evaluation(self, trial: ActiveTrial, score: float) -> None:
        """Report the score of a low-fidelity evaluation to Optuna."""
        self._pruning.report(trial.trial, score, 0)

    def note_ended(self, trial: Trial) -> None:
        """Let scheduler and pruner compare with a trial that ended."""
        self._pruning.ended(trial)
        if trial.state in ("complete", "pruned"):
            self.scheduler.on_trial_complete(trial)
        elif trial.state == "failed":
            self.scheduler.on_trial_error(trial)

    def _checked(self, trial: ActiveTrial, decision: Decision) -> Decision:
        """Check a scheduler's decision. A trial that cannot be resumed, or that has all its epochs, is not paused.

        Raises:
            PluginError: if it is not a Decision.
        """
        if not isinstance(decision, Decision):
            name = self._config.tuner.scheduler
            raise PluginError(f"The scheduler '{name}' returned {decision!r}. Expected a cnnsearch.Decision.")
        ends = not trial.resumable or self._is_full(trial)
        return Decision.CONTINUE if decision is Decision.PAUSE and ends else decision

    def _is_full(self, trial: ActiveTrial) -> bool:
        """Whether a trial has all its epochs. An objective's number of reports may not be known: then it is 0."""
        return 0 < self._config.study.epochs <= len(trial.history)
