"""The trials of a search: interrupted ones first, then queued points, then what the sampler draws."""

import functools
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cnnsearch.core.errors import PluginError
from cnnsearch.core.messages import Describe, Described, Draw, Evaluated, Message, Paused, Proposed, Ready, Saved, Used
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.spaces.prior import ORIGIN as PRIOR
from cnnsearch.spaces.prior import PriorPoint
from cnnsearch.study import opening, samplers, trial_queue
from cnnsearch.study.config import SearchConfig, trial_seed
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED, Trial
from cnnsearch.tuning import confirmer, supervisor
from cnnsearch.tuning.active_trial import ActiveTrial
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.launchers.base import LostWorker
from cnnsearch.tuning.progress import Running, TuningStatus
from cnnsearch.tuning.trial_lifecycle import FULL, TrialLifecycle
from cnnsearch.tuning.trial_recorder import TrialRecorder
from cnnsearch.tuning.trial_source import End, EndReason, Reaction, TrialSource, WorkerAction

SAME_FAILURES = 10
"""This many failures of one kind in a row end the search: further trials would fail, too."""

INFEASIBLE = 60
"""After this many duplicate or too large candidates in a row, the space counts as exhausted."""

HELP_SAMPLER = 3
"""After this many of them, candidates are drawn at random, because the sampler may repeat its best candidates."""

FEW_UPDATES = 100
"""A trial with fewer updates of its weights gets a note: docs/benchmarks/few-images.md."""

ENOUGH_UPDATES = 250
"""The updates of the number of epochs that the note suggests."""


class SearchSource(TrialSource[ActiveTrial]):
    """Gives the trials of one `cnnsearch run`, until the study has as many as `config` asks for.

    Attributes:
        leaders: the best trials, which are to be confirmed.
        config: with complete points of the recipes and controlled trials, once a worker has drawn them.
    """

    def __init__(
        self,
        config: SearchConfig,
        known: Catalog,
        study: Study,
        recorder: TrialRecorder,
        callbacks: TunerCallback,
        began: float,
    ) -> None:
        self.config, self._study, self._recorder, self._callbacks = config, study, recorder, callbacks
        self._known, self._began = known, began
        self._start, self._infeasible, self._problem = 0.0, 0, ""
        self._noted_rungs = self._noted_unsaved = False
        self._last_failures: deque[str] = deque(maxlen=max(SAME_FAILURES, config.tuner.failures))
        self._active: Mapping[int, ActiveTrial] = {}
        self._repeats = Counter(repeat["trial"] for repeat in study.repeats())
        self.leaders: list[Trial] = []
        self._lifecycle = TrialLifecycle(
            config,
            known,
            study,
            recorder,
            callbacks,
            lambda: self._active.values(),
            self._on_ended,
            self._on_infeasible,
        )
        self._time_limit = self._lifecycle.time_limit
        for record in recorder.trials:
            self._note_leader(record)

    def attach(self, active: Mapping[int, ActiveTrial]) -> None:
        self._active = active
        self._lifecycle.delete_left_checkpoints()

    # -- before the first trial -------------------------------------------------------------------

    def on_ready(self, message: Ready) -> Message | None:
        first = not self._start
        if first:
            for note in message.dataset.get("notes", ()):
                self._callbacks.on_note(note)
        opening.check_same_data(self._study, message.dataset)
        names = ("backend", "keras", "precision", "lean", "devices", "python")
        machine = {name: getattr(message, name) for name in names}
        # the first worker decides: all trials have one precision
        machine["precision"] = self._study.precision or message.precision
        if not message.keras:
            # an earlier worker may have imported it later
            machine |= {name: known for name, known in self._study.info.get("machine", {}).items() if known}
        # the folder of the data may have changed
        self._study.remember(data=message.dataset, machine=machine, dataset=list(self.config.study.dataset))
        if first:
            self._lifecycle.scheduler.on_start(message.dataset["images"]["train"], message.low_fidelity)
            if line := trial_queue.left_out_prior(self._study, self.config.tuner):
                self._callbacks.on_note(line)
        self._start = self._start or time.monotonic() - self._began
        self._callbacks.on_study_begin(self._study)
        tuner, model = self.config.tuner, self.config.study.space.model
        recipes = {name: tuner.recipes[name] for name in trial_queue.missing_recipes(self._study, tuner)}
        controlled = {origin: values for origin, (values, _) in tuner.controlled.items()} if model else {}
        prior = [point.values for point in self._prior_points()]
        if "default" in self._study.info and not (recipes or controlled or prior):
            self._enqueue([])
            return None
        return Describe(recipes=recipes, controlled=controlled, prior=prior)

    def _prior_points(self) -> tuple[PriorPoint, ...]:
        """The points of the prior, if this run queues them."""
        tuner = self.config.tuner
        alone = tuner.only_recipes or tuner.controlled
        return () if alone or not tuner.prior.points or trial_queue.has_prior(self._study) else tuner.prior.points

    def on_described(self, message: Described) -> None:
        # only now are they complete
        controlled = {
            origin: (values, self.config.tuner.controlled[origin][1]) for origin, values in message.controlled.items()
        }
        recipes = {**self.config.tuner.recipes, **message.recipes}
        self.config = self.config.changed(recipes=recipes, controlled={**self.config.tuner.controlled, **controlled})
        if "default" not in self._study.info:
            machine = {**self._study.info["machine"], **message.machine}
            self._study.remember(default=message.values, machine=machine)
            self._note_few_updates(message.batch_size)
        self._enqueue(message.prior)

    def _note_few_updates(self, batch_size: int) -> None:
        study = self.config.study
        # who asked for fewer epochs than the space has knows that they are few
        if batch_size and study.epochs >= study.space.defaults["epochs"]:
            images = self._study.info["data"]["images"]["train"]
            if line := few_updates(images, batch_size, study.epochs):
                self._callbacks.on_note(line)

    def _enqueue(self, prior: list[dict[str, Any]]) -> None:
        """Queue the trials that come before those of the sampler; `prior` has the points of the prior in this space."""
        if self.config.tuner.controlled:
            trial_queue.enqueue_controlled(self._study, self.config.tuner)
            return
        if self.config.tuner.default and not self.config.tuner.only_recipes:
            trial_queue.enqueue_default(self._study, self._study.info["default"])
        trial_queue.enqueue_recipes(self._study, self.config.tuner)
        # each worker that was ready before the first answer has sent them
        if prior and not trial_queue.has_prior(self._study):
            self._callbacks.on_note(trial_queue.enqueue_prior(self._study, self.config.tuner, prior))

    # -- the next trial ---------------------------------------------------------------------------

    def next(self) -> ActiveTrial | None:
        if self._problem:
            return None
        if self._time_limit.reached:
            best = self._time_limit.best
            return self._resumed(best) if best and best.number in self._lifecycle.scheduler.paused else None
        if paused := self._to_resume():
            return self._resumed(paused)
        return self._new() if self.missing() else None

    def _to_resume(self, in_time: Callable[[ActiveTrial], bool] | None = None) -> ActiveTrial | None:
        scheduler = self._lifecycle.scheduler
        wanted = in_time or self._lifecycle.in_time
        return scheduler.choose_trial_to_resume(self._active.values(), self.missing() > 0, wanted)

    def _resumed(self, trial: ActiveTrial) -> ActiveTrial:
        """Resume a paused trial from its checkpoint.

        Raises:
            PluginError: if the scheduler chose a trial that is not paused.
        """
        if trial.number not in self._lifecycle.scheduler.paused:
            raise PluginError(f"The scheduler '{self.config.tuner.scheduler}' resumed a trial that is not paused.")
        del self._lifecycle.scheduler.paused[trial.number]
        trial.started = trial.last_message = time.monotonic()
        trial.reported, trial.history, trial.resume = len(trial.history), [], True
        return trial

    def _new(self) -> ActiveTrial | None:
        """An interrupted trial, a queued point, or a trial for the sampler to draw."""
        trial = trial_queue.take(self._study, self.config.tuner)
        if trial is None:
            return None
        origin = str(trial.user_attrs.get("origin", "sampler"))
        seed, now = trial_queue.seed_of(self._study, trial), time.monotonic()
        state, earlier = trial_queue.checkpoint_addresses(self._study, trial)
        record = Trial(number=trial.number, origin=origin, seed=seed, look=trial.user_attrs.get("look"))
        started = ActiveTrial(trial, record, state, now, now, earlier=earlier)
        if "state" in trial.user_attrs:
            places = self._study.training_checkpoints
            started.resume = True
            started.has_checkpoint = functools.cache(lambda: bool(places.existing(filter(None, (state, earlier)))))
        if record.look is not None and not started.has_checkpoint():
            # without a checkpoint the low-fidelity evaluation is repeated, so that the trial has a rank there
            started.record = replace(record, look=None)
        return started

    def missing(self) -> int:
        """How many trials have not started yet."""
        if self._exhausted() or self._lifecycle.budget.closed:
            return 0
        begun = self._recorder.statistics.ended + len(self._lifecycle.scheduler.paused) + len(self._active)
        return max(0, self.config.tuner.trials - begun)

    def _exhausted(self) -> bool:
        """Whether the space has no new candidates."""
        return self._infeasible >= INFEASIBLE or getattr(self._study.optuna.sampler, "exhausted", False)

    # -- messages of workers -------------------------------------------------------------------------

    def on_message(self, trial: ActiveTrial, message: Message) -> Reaction:
        reaction = self._lifecycle.handle(trial, message)
        return replace(reaction, after=lambda: self._after(reaction, message))

    def _after(self, reaction: Reaction, message: Message) -> None:
        if reaction.after:
            reaction.after()
        self._problem = self._problem or self._lifecycle.problem
        if isinstance(message, Proposed) and reaction.action is WorkerAction.CONTINUE:
            self._use_own_sampler()
        if isinstance(message, Evaluated | Paused) and not self._noted_rungs:
            # only now: in some spaces no trial can be paused
            self._noted_rungs = True
            if described := self._lifecycle.scheduler.described:
                self._callbacks.on_note(described)
        if not isinstance(message, Draw | Used):
            self.show_status()

    def on_saved(self, message: Saved) -> None:
        if message.problem:
            self._problem = f"{message.problem}. {FULL}"
        if message.unsaved and not self._noted_unsaved:
            self._noted_unsaved = True
            self._callbacks.on_note(
                f"The models of this space are not stored, because they cannot be saved: {message.unsaved}"
            )
        if message.problem or message.unsaved:
            self._lifecycle.checkpoints.note_unsaved(message.trial)
        self._lifecycle.checkpoints.tidy(self._recorder.saved)

    def on_failure(self, trial: ActiveTrial, kind: str, reason: str) -> None:
        self._lifecycle.fail(trial, kind, reason)

    def on_lost(self, trial: ActiveTrial, lost: LostWorker) -> None:
        known = trial.trial.user_attrs
        moves = trial_queue.moves(known, trial.record.resumed)
        kind, reason = supervisor.failure_of_lost_worker(lost, self.config.resources.memory, "retried" in known, moves)
        if kind:
            self._lifecycle.fail(trial, kind, reason)
        else:
            again = {"moved": True} if lost.machine else {"retried": True}
            self._recorder.interrupt(trial.record, trial.trial, f"{reason}; it is requeued", **again)

    def interrupt(self, trial: ActiveTrial) -> None:
        self._recorder.interrupt(trial.record, trial.trial)

    # -- trials that ended ------------------------------------------------------------------------

    def ended(self) -> list[Trial]:
        return self._recorder.trials

    def _on_ended(self, record: Trial) -> None:
        self._note_leader(record)
        if record.state in COUNTED:
            self._last_failures.append(record.failure)
            self.show_status(record)
        if record.failure and record.state == "failed":
            self._problem = self._problem or self._many_failures(record)

    def _many_failures(self, record: Trial) -> str:
        """The reason to end the search if too many trials failed in a row, of which `record` is the last; or empty."""
        # those of earlier runs do not count: the user may have corrected the cause
        last, most = list(self._last_failures), self.config.tuner.failures
        if most and len(last) >= most and all(last[-most:]):
            return f"{most} trials in a row failed; the last: {record.reason}"
        if len(last) >= SAME_FAILURES and set(last[-SAME_FAILURES:]) == {record.failure}:
            return f"{SAME_FAILURES} trials in a row failed as '{record.failure}'; the last: {record.reason}"
        return ""

    def _note_leader(self, record: Trial) -> None:
        best = [*self.leaders, record]
        top = confirmer.leaders(best, self.config.tuner.confirm[0], self._study.maximize)
        self.leaders = [each for each in best if each.number in top]

    def _on_infeasible(self, record: Trial) -> None:
        if record.origin.startswith(PRIOR):
            # it says nothing about the sampler
            return
        if self.config.tuner.only_recipes:
            # no other candidate can replace a recipe
            self._problem = f"{record.origin} is not trained: {record.reason}"
            return
        if self.config.tuner.controlled:
            # nor a controlled trial, but the other ones are still trained
            self.config = self.config.changed(trials=self.config.tuner.trials - 1)
            return
        self._infeasible += 1
        if self._infeasible == HELP_SAMPLER:
            self._study.use_sampler(samplers.sampler("random", trial_seed(self.config.study.seed, record.number)))

    def _use_own_sampler(self) -> None:
        if self._infeasible >= HELP_SAMPLER:
            seed = self.config.study.seed + 7919 * len(self._recorder.trials)
            weights = self.config.tuner.prior.weights
            self._study.use_sampler(samplers.sampler(self.config.tuner.sampler, seed, self._known, weights))
        self._infeasible = 0

    # -- time, status and end -------------------------------------------------------------------

    def check_time(self) -> None:
        config, now = self.config, time.monotonic()
        if config.tuner.timeout and not self._time_limit.reached:
            begun = self._start, self._repeats, self._workers()
            kept = confirmer.reserve(config, self.leaders, self._study.maximize, *begun)
            until = self._began + config.tuner.timeout - kept
            self._lifecycle.budget.note(until, self._lifecycle.known())
            if now > until:
                self._time_limit.reach(self._unfinished(), self._recorder.trials)

    def _unfinished(self) -> list[ActiveTrial]:
        """The running and the paused trials."""
        return [*self._active.values(), *self._lifecycle.scheduler.paused.values()]

    def _workers(self) -> int:
        """How many trials train at the same time."""
        return self.config.resources.jobs or max(1, len(self._active))

    def show_status(self, done: Trial | None = None) -> None:
        now, config = time.monotonic(), self.config
        running = tuple(
            Running(trial.number, len(trial.history), config.study.epochs, now - trial.since)
            for trial in self._active.values()
        )
        default = self._study.info.get("default", {})
        statistics, seconds = self._recorder.statistics, now - self._began
        self._callbacks.on_status(
            TuningStatus(
                config.tuner.trials,
                statistics,
                running,
                seconds,
                self._workers(),
                default,
                done,
                tuple(self._study.more),
            )
        )

    def end(self, idle: bool) -> End | None:
        if self._problem:
            return End(EndReason.FAILED, self._problem)
        if self._time_limit.reached:
            return End(EndReason.TIMEOUT) if self._time_limit.is_over(self._unfinished()) else None
        if not idle or self.missing() or self._to_resume():
            return None
        if self._lifecycle.budget.closed or self._to_resume(in_time=lambda trial: True):
            self._callbacks.on_note("No further trial would end in the time that is left.")
            self._time_limit.reach(self._unfinished(), self._recorder.trials)
            return self.end(idle)
        return End(EndReason.EXHAUSTED if self._exhausted() else EndReason.COMPLETE)

    def finish(self, end: End) -> None:
        """End the paused trials: as pruned if the search is done, else as interrupted."""
        for trial in list(self._lifecycle.scheduler.paused.values()):
            if end.reason in (EndReason.COMPLETE, EndReason.EXHAUSTED, EndReason.TIMEOUT):
                self._lifecycle.end_paused(trial)
            else:
                del self._lifecycle.scheduler.paused[trial.number]
                self.interrupt(trial)
        self._lifecycle.close()


def few_updates(images: int, batch_size: int, epochs: int) -> str:
    """A note if a trial of so many `epochs` updates the weights fewer than FEW_UPDATES times; else empty."""
    batches = math.ceil(images / batch_size)
    if batches * epochs >= FEW_UPDATES:
        return ""
    enough = math.ceil(ENOUGH_UPDATES / batches)
    return (
        f"{images} images are few: a trial of {epochs} epochs updates its weights only {batches * epochs} times. It "
        f"may learn more with '--epochs {enough}'."
    )
