"""Handles the messages about a trial of a search, from its proposal to its end."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, ClassVar

from cnnsearch.core.checkpoint_address import local_path, redacted
from cnnsearch.core.messages import (
    Completed,
    Decision,
    Draw,
    Drawn,
    EpochEnded,
    Evaluated,
    Failed,
    Go,
    Keep,
    Message,
    Paused,
    Proposed,
    Resumed,
    SetAttribute,
    Trained,
    Used,
    Verdict,
    own_key,
)
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.spaces.prior import ORIGIN as PRIOR
from cnnsearch.study import study as studies
from cnnsearch.study import trial_queue
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.study import Study
from cnnsearch.study.trial import OWN_ATTRIBUTES, Trial
from cnnsearch.tuning.active_trial import ActiveTrial
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.checkpoint_deleter import CheckpointDeleter
from cnnsearch.tuning.checkpoint_manager import CheckpointManager
from cnnsearch.tuning.runtime_model import Budget
from cnnsearch.tuning.time_limit import TimeLimit
from cnnsearch.tuning.trial_decisions import TrialDecisions
from cnnsearch.tuning.trial_recorder import TrialRecorder
from cnnsearch.tuning.trial_source import Reaction, WorkerAction

FULL = "Free some space, and run the same command again."

UNREACHABLE = "See that this address can be reached and written, and run the same command again."

RECENT = 200
"""The runtime model uses this many of the last trials."""


class TrialLifecycle:
    """Handles the messages of trials and records how they end.

    Attributes:
        scheduler: decides which trials pause, resume and stop.
        budget: decides which candidates are trained in the time that is left.
        time_limit: decides how the search ends when the time is up.
        problem: the reason to end the search; empty if there is none.
    """

    def __init__(
        self,
        config: SearchConfig,
        known: Catalog,
        study: Study,
        recorder: TrialRecorder,
        callbacks: TunerCallback,
        running: Callable[[], Iterable[ActiveTrial]],
        ended: Callable[[Trial], None],
        infeasible: Callable[[Trial], None],
    ) -> None:
        """`running` returns the trials that workers have; `ended` and `infeasible` are called with each such trial."""
        self._config, self._study, self._recorder, self._callbacks = config, study, recorder, callbacks
        self._running, self._ended, self._infeasible = running, ended, infeasible
        self._decisions = TrialDecisions(config, known, study, callbacks)
        self.scheduler = self._decisions.scheduler
        self.checkpoints = CheckpointManager(config.study.folder / "checkpoints", config.tuner.keep, study.maximize)
        self._deleter = CheckpointDeleter()
        self.time_limit = TimeLimit(config, study.maximize)
        self._asked: dict[str, dict[str, Any]] = {}
        self.budget = Budget(config)
        self.problem = ""
        for trial in recorder.trials:
            self._decisions.note_ended(trial)

    def handle(self, trial: ActiveTrial, message: Message) -> Reaction:
        """Handle a worker's message about its trial."""
        if handler := self.HANDLERS.get(type(message)):
            return handler(self, trial, message)
        return self._unfit(trial, f"its worker sent {type(message).__name__}, which no search asks for")

    # -- before the training ----------------------------------------------------------------------

    def _on_draw(self, trial: ActiveTrial, message: Draw) -> Reaction:
        # a worker that resumes a trial does not know what the trial used before
        first = not trial.certain or message.name in trial.trial.distributions
        value = studies.suggest(trial.trial, message.name, message.distribution)
        if first:
            found = studies.certain(trial.trial, self._asked)
            trial.certain = {name: [self._asked[name], each] for name, each in found.items()}
        self._asked[message.name] = message.distribution
        certain = trial.certain if first else {}
        return Reaction(WorkerAction.CONTINUE, Drawn(trial=trial.number, id=message.id, value=value, certain=certain))

    def _on_used(self, trial: ActiveTrial, message: Used) -> Reaction:
        unknown = set(message.names) - set(trial.certain)
        if unknown:
            return self._unfit(trial, f"its worker used a value of {min(unknown)}, which no answer had")
        for name in message.names:
            asked, told = trial.certain[name]
            if (value := studies.suggest(trial.trial, name, asked)) != told:
                reason = f"the sampler gave {name} the value {value!r} after its worker was told {told!r}"
                return self._unfit(trial, reason)
        return Reaction(WorkerAction.CONTINUE)

    def _on_attribute(self, trial: ActiveTrial, message: SetAttribute) -> Reaction:
        name = f"objective:{message.name}" if message.name in OWN_ATTRIBUTES else message.name
        trial.trial.set_user_attr(name, message.value)
        return Reaction(WorkerAction.CONTINUE)

    def _unfit(self, trial: ActiveTrial, reason: str) -> Reaction:
        """End a trial whose worker does something else than its record says; the worker is replaced."""
        return Reaction(WorkerAction.RESTART, after=lambda: self.fail(trial, "plugin_error", reason))

    def _on_proposed(self, trial: ActiveTrial, message: Proposed) -> Reaction:
        trial.record = replace(
            trial.record, key=message.key, plan=message.plan, weights=message.params, macs=message.macs
        )
        trial.resumable = message.resumable
        others = [other.record for other in (*self._running(), *self.scheduler.paused.values())]
        first = self._recorder.known(trial.record, others)
        if first is not None:
            done = replace(trial.record, state="duplicate", reason=f"the same plan as trial {first}")
            return self._do_not_train(trial, message, lambda: self._end_infeasible(trial, done))
        if not message.begun and self._over_budget(trial, message.epochs):
            # the grid proposes each point once, so this one is queued for the next run
            again = self._config.tuner.sampler == "grid"
            return self._do_not_train(trial, message, lambda: self._recorder.skip(trial.record, trial.trial, again))
        # a trial that resumes is proposed again
        fidelity = self._decisions.start(trial)
        answer = Verdict(trial=trial.number, id=message.id, train=True, fidelity=fidelity or 0.0)
        return Reaction(WorkerAction.CONTINUE, answer, lambda: self._on_start(trial, new=fidelity is not None))

    def _on_start(self, trial: ActiveTrial, new: bool) -> None:
        # now, while the worker builds the model: a checkpoint can be resumed only if the point is stored
        self._study.write()
        if new:
            self._callbacks.on_trial_start(trial.record)

    def _do_not_train(self, trial: ActiveTrial, message: Proposed, after: Callable[[], None]) -> Reaction:
        return Reaction(WorkerAction.NEW_TRIAL, Verdict(trial=trial.number, id=message.id, train=False), after)

    def _over_budget(self, trial: ActiveTrial, epochs: int) -> bool:
        """Whether this candidate is skipped. Points that the user asked for and resumed trials are never skipped."""
        asked = trial.record.origin != "sampler" and not trial.record.origin.startswith(PRIOR)
        if asked or trial.spent or "state" in trial.trial.user_attrs:
            return False
        begun = self._recorder.statistics.ended + len(self.scheduler.paused)
        return self.budget.should_skip(trial.record, self.scheduler.next_stop(trial, epochs), self.known(), begun)

    def in_time(self, trial: ActiveTrial) -> bool:
        """Whether a paused trial will reach its next rung before the time limit."""
        return self.budget.in_time(trial.record, self.scheduler.next_stop(trial, self._config.study.epochs))

    def known(self) -> list[Trial]:
        """The last trials, the paused ones and those in training, with their seconds and epochs so far."""
        paused = (trial.record for trial in self.scheduler.paused.values())
        return [*self._recorder.trials[-RECENT:], *paused, *(trial.timed() for trial in self._running())]

    # -- epochs -----------------------------------------------------------------------------------

    def _on_resumed(self, trial: ActiveTrial, message: Resumed) -> Reaction:
        """Add the epochs that were trained before an interruption to this trial."""
        paused_before = trial.reported > 0
        for metrics in message.history:
            trial.history.append(metrics)
            self._decisions.record_epoch(trial)
        if paused_before:
            decision = Decision.CONTINUE
        else:
            trial.record = replace(trial.record, resumed=len(trial.history))
            decision = self._decisions.after_resume(trial)
        decision = self.time_limit.decide(trial, decision)
        return Reaction(WorkerAction.CONTINUE, Go(trial=trial.number, id=message.id, decision=decision))

    def _on_epoch(self, trial: ActiveTrial, message: EpochEnded) -> Reaction:
        metric = self._config.study.metric
        if not isinstance(message.metrics.get(metric), int | float):
            return self._unfit(trial, f"epoch {message.epoch} reports no number as {metric}")
        if (trial.earlier or trial.reported) and not trial.history:
            place = redacted(trial.earlier or trial.state)
            self._callbacks.on_note(f"Trial {trial.number} starts from its first epoch: no checkpoint at {place}.")
        trial.history.append(message.metrics)
        decision = self.time_limit.decide(trial, self._decisions.after_epoch(trial))
        answer = Go(trial=trial.number, id=message.id, decision=decision)
        # the worker continues before this epoch is stored
        return Reaction(WorkerAction.CONTINUE, answer, lambda: self._decisions.record_epoch(trial))

    # -- pauses -----------------------------------------------------------------------------------

    def _on_evaluated(self, trial: ActiveTrial, message: Evaluated) -> Reaction:
        """The low-fidelity evaluation ended. If the trial is promoted, its training starts with new weights."""
        trial.record = replace(trial.record, look=message.score)
        self._decisions.record_evaluation(trial, message.score)
        return self._on_paused(trial, message)

    def _on_paused(self, trial: ActiveTrial, message: Trained) -> Reaction:
        unsaved = isinstance(message, Paused) and not message.saved
        if unsaved:
            # without a checkpoint it cannot be resumed; it is interrupted, and the next run trains it again
            mend = FULL if local_path(trial.state) else UNREACHABLE
            self.problem = f"{redacted(trial.state)} cannot be written. {mend}"
        # at the time limit it is no rung of the scheduler; only the best trial is resumed after it
        if unsaved or (self.time_limit.reached and trial is not self.time_limit.best):
            return Reaction(WorkerAction.NEW_TRIAL, after=lambda: self._recorder.interrupt(trial.record, trial.trial))
        trial.spent += message.seconds
        trial.record = replace(self._as_trained(trial, message), state="waiting")
        return Reaction(WorkerAction.NEW_TRIAL, after=lambda: self._pause(trial))

    def _pause(self, trial: ActiveTrial) -> None:
        self._recorder.pause(trial.record, trial.trial)
        self.scheduler.on_trial_pause(trial)
        for last in self.scheduler.choose_trials_to_prune(self._running()):
            self.end_paused(last)

    def end_paused(self, trial: ActiveTrial) -> None:
        """End a paused trial as pruned."""
        self.scheduler.paused.pop(trial.number, None)
        self._close(trial, replace(trial.record, state="pruned", reason=self.scheduler.reason(trial)))

    # -- the end of a trial -----------------------------------------------------------------------

    def _on_completed(self, trial: ActiveTrial, message: Completed) -> Reaction:
        trial.spent += message.seconds
        late = self._config.study.space.trains_itself or trial.record.key == own_key(trial.number)
        grid = self._config.tuner.sampler == "grid" and late
        if grid and (first := self._recorder.same_point(trial.trial)) is not None:
            done = replace(trial.record, state="duplicate", reason=f"the same hyperparameters as trial {first}")
            keep = Keep(trial=trial.number, id=message.id, path="")
            return Reaction(WorkerAction.SAVE_MODEL, keep, lambda: self._end_infeasible(trial, done))
        reason = self.time_limit.reason(trial, message.epochs) if message.stopped else ""
        state = "pruned" if message.stopped and not reason else "complete"
        done = replace(self._as_trained(trial, message), state=state, reason=reason)
        path = self.checkpoints.offer(done, self._recorder.saved, message.format) if message.format else None
        # relative to the study's folder, because the folder may be moved
        done = replace(done, checkpoint=f"checkpoints/{path.name}" if path else "")
        answer = Keep(trial=trial.number, id=message.id, path=str(path or ""))
        return Reaction(WorkerAction.SAVE_MODEL, answer, lambda: self._close(trial, done))

    def _on_failed(self, trial: ActiveTrial, message: Failed) -> Reaction:
        if message.kind == "too_large":
            done = replace(trial.record, state="refused", failure=message.kind, reason=message.reason)
            return Reaction(WorkerAction.NEW_TRIAL, after=lambda: self._end_infeasible(trial, done))
        action = WorkerAction.RESTART if message.kind == "oom" else WorkerAction.NEW_TRIAL
        return Reaction(action, after=lambda: self.fail(trial, message.kind, message.reason, message.seconds))

    def fail(self, trial: ActiveTrial, kind: str, reason: str, seconds: float = 0) -> None:
        """End a trial as failed; `seconds`: since its last pause, 0 if they are not known."""
        seconds = trial.spent + seconds if seconds else time.monotonic() - trial.since
        self._close(
            trial,
            replace(
                trial.record,
                state="failed",
                failure=kind,
                reason=reason,
                seconds=round(seconds, 3),
                epochs=len(trial.curve),
                history=trial.curve,
            ),
        )

    def _end_infeasible(self, trial: ActiveTrial, done: Trial) -> None:
        """End a trial that is not trained. It is not counted, so another one replaces it."""
        self._close(trial, done)
        self._infeasible(done)

    def _close(self, trial: ActiveTrial, done: Trial) -> None:
        self._delete_checkpoints(trial)
        kept = self._recorder.close(done, trial.trial)
        self._decisions.note_ended(kept)
        self._ended(kept)

    def _delete_checkpoints(self, trial: ActiveTrial) -> None:
        places = self._study.training_checkpoints
        if trial.resume or trial.history:
            # a copy of a study leaves the checkpoints of the original
            self._deleter.delete(filter(places.owns, filter(None, (trial.state, trial.earlier))))

    def delete_left_checkpoints(self) -> None:
        """Delete what a run that was killed left at the address of `--checkpoints`."""
        if self._study.training_checkpoints.folders:
            self._deleter.delete_all(self._study.training_checkpoints.folder, trial_queue.left_checkpoints(self._study))

    def close(self) -> None:
        """Wait until the checkpoints of ended trials are deleted, but not for long."""
        self._deleter.close()

    def _as_trained(self, trial: ActiveTrial, message: Trained) -> Trial:
        evaluated = isinstance(message, Evaluated)
        return replace(
            trial.record,
            score=message.score,
            best_epoch=0 if evaluated else message.best_epoch,
            epochs=0 if evaluated else message.epochs,
            seconds=round(trial.spent, 3),
            weights=message.params,
            reads=message.reads,
            history=tuple(trial.history),
        )

    HANDLERS: ClassVar[dict[type[Message], Callable[..., Reaction]]] = {
        Draw: _on_draw,
        Used: _on_used,
        SetAttribute: _on_attribute,
        Proposed: _on_proposed,
        Resumed: _on_resumed,
        EpochEnded: _on_epoch,
        Evaluated: _on_evaluated,
        Paused: _on_paused,
        Completed: _on_completed,
        Failed: _on_failed,
    }
