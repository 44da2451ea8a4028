"""The parent: asks Optuna, feeds the workers, prunes, tells, logs. It never imports a Keras backend."""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

from cnnsearch.core import messages
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.messages import Decision, Message, Question, answer_without_trial
from cnnsearch.study import ranking, samplers, trial_queue
from cnnsearch.study import study as studies
from cnnsearch.study.config import Settings, trial_seed
from cnnsearch.study.confirmation import Repeat
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED, Record
from cnnsearch.tuning import confirmer, supervisor
from cnnsearch.tuning.callbacks.base import Display
from cnnsearch.tuning.callbacks.mlflow import Tracker
from cnnsearch.tuning.checkpoint_manager import Checkpoints
from cnnsearch.tuning.dispatch import UnknownTrialError, dispatch
from cnnsearch.tuning.launchers.local import Child, Pool
from cnnsearch.tuning.opening import Opening
from cnnsearch.tuning.progress import Progress, Running
from cnnsearch.tuning.runtime_model import Budget
from cnnsearch.tuning.schedulers.pruning import Pruning
from cnnsearch.tuning.signals import Stop
from cnnsearch.tuning.trial_recorder import Ledger
from cnnsearch.tuning.trial_table import Job, Waiting

SAME_FAILURES = 10
"""This many failures of one kind in a row stop the search: something is wrong that no trial will mend."""

UNUSABLE = 60
"""After this many known or too large plans in a row the space is taken to be exhausted."""

GROWTH = 1 << 30
"""A worker that has grown by this many bytes since its first trial is replaced: Keras does not give all back."""

QUIET = 0.02
"""Seconds without a message after which no worker waits for an answer, so that the storage may be written."""

SAVED = 60
"""Seconds that a worker may take to save a model when the search is over."""

FULL = "Free some space, and give the same command again."

RECENT = 200
"""The pace of trials goes by so many of the last."""


class Search:
    """One call of `cnnsearch run`: brings the study to the number of trials that `settings` ask for."""

    def __init__(
        self,
        settings: Settings,
        study: Study,
        tracker: Tracker,
        show: Display,
        stop: Stop,
        opening: Opening | None = None,
    ) -> None:
        """`opening` has workers that were started before the study began."""
        self.opening = opening
        self.settings, self.study, self.tracker, self.show, self.stop = settings, study, tracker, show, stop
        self.jobs: dict[Child, Job | None] = {}
        self.ledger = Ledger(study, tracker)
        self.checkpoints = Checkpoints(settings.folder / "checkpoints", settings.keep, study.maximize)
        self.leased = time.monotonic()
        self.began = opening.began if opening else self.leased
        self.unsaved = False
        self.budget = Budget(settings)
        self.start = 0.0
        self.had = Counter(repeat["trial"] for repeat in study.repeats())
        self.first_rss: dict[Child, int] = {}
        self.pruning = Pruning(study, settings.pruner, settings.epochs)
        self.leaders: list[Record] = []
        self.waiting = Waiting(settings, study.maximize)
        for record in self.ledger.records:
            self._note_end(record)
        self.rungs_told = False
        self.occupied: dict[Child, float] = {}
        self.unusable = 0
        self.logged: str | None = None
        self.ended = ""

    def run(self) -> str:
        """Search until the trials are done, the time is up, the space exhausted or an end asked for; says which.

        Raises:
            CnnsearchError: if nothing can be trained: dataset, plugin or every candidate fails.
        """
        with self.stop.deferred():
            self.ledger.put_back_stale()
            settings, left = self.settings, self._missing() + len(self._to_confirm())
            if not left and not self._unlogged():
                if self.study.fact("unsent"):
                    self.tracker.begin(self.study)
                return "complete"
            jobs = max(1, min(settings.jobs, left))
            self.pool = self.opening.pool if self.opening else Pool(settings, jobs)
            self.jobs = dict.fromkeys(self.pool.children)
            try:
                while not self._over():
                    self._step()
                self._settle()
            finally:
                self.pool.close()
                for job in (*filter(None, self.jobs.values()), *self.waiting.jobs.values()):
                    self.ledger.interrupt(job.record, job.trial)
        return self.ended

    # -- the loop ---------------------------------------------------------------------------------

    def _step(self) -> None:
        heard = self.pool.hear(QUIET)
        if heard is None:
            self.study.write()
            heard = self.pool.hear(0.5)
        self._check_clock()
        self.tracker.check()
        if heard is None:
            self._tell()
        elif heard.message is None:
            self._worker_gone(heard.child)
        elif heard.child in self.jobs:
            if job := self.jobs[heard.child]:
                job.heard = time.monotonic()
            if not dispatch(self.HANDLERS, self, heard.child, heard.message):
                self._answer_unknown(heard.child, heard.message)

    def _answer_unknown(self, child: Child, message: Message) -> None:
        """Answer a worker that sent a message about a trial which it does not have, or replace it."""
        if isinstance(message, Question):
            if answer := answer_without_trial(message):
                child.send(answer)
            else:
                self._replace(child)
        elif child.ready and self.jobs[child] is None:
            # it has ended the trial that it sent a message about
            self.occupied.pop(child, None)
            self._hand_out(child)

    def _over(self) -> bool:
        idle = not any(self.jobs.values()) and not self.occupied
        if self.stop.asked:
            self.ended = "interrupted"
        elif not self.ended and idle and not self._missing() and not self._sent_on():
            late = self.budget.closed or self._sent_on(in_time=lambda job: True) is not None
            self.ended = "timeout" if late else "exhausted" if self._exhausted() else "complete"
            if late:
                self.show.note("Nothing more would end in the time that is left.")
        return bool(self.ended)

    def _settle(self) -> None:
        """Let models be saved to their end, put back what runs, and log the best model."""
        self._wait(lambda: not self.occupied, 3 if self.stop.asked else SAVED)
        for child, job in list(self.jobs.items()):
            if job:
                self.ledger.interrupt(job.record, job.trial)
            if job or child in self.occupied:
                del self.jobs[child]
                self.pool.remove(child)
        if self.ended in ("complete", "exhausted", "timeout"):
            for job in list(self.waiting.jobs.values()):
                self._end_waiting(job)
            self._confirm()
            self._log_best()

    def _wait(self, reached: Callable[[], Any], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not reached() and time.monotonic() < deadline and not (self.stop.asked and seconds > 10):
            self._step()

    def _missing(self) -> int:
        """How many trials are still to be begun."""
        if self._exhausted() or self.budget.closed:
            return 0
        begun = self.ledger.standing.ended + len(self.waiting.jobs) + sum(job is not None for job in self.jobs.values())
        return max(0, self.settings.trials - begun)

    def _hand_out(self, child: Child) -> None:
        """Give `child` its next trial, or nothing if there is none to begin."""
        self.jobs[child] = None
        if self.ended:
            return
        if job := self._sent_on():
            self._go_on(child, job)
            return
        if self._missing() == 0:
            return
        trial = trial_queue.take(self.study, self.settings)
        if trial is None:
            return
        origin = str(trial.user_attrs.get("origin", "sampler"))
        seed, now = trial_queue.seed_of(self.study, trial), time.monotonic()
        earlier, folder = trial.user_attrs.get("state"), self.settings.folder.resolve()
        state = studies.state_of(folder, trial) if earlier else trial_queue.state_file(folder, trial.number)
        # what has not been trained since its look is looked at again: it waits there for its rank
        look = trial.user_attrs.get("look") if state.is_file() else None
        record = Record(number=trial.number, origin=origin, seed=seed, look=look)
        self._send(child, Job(trial, record, now, state, now), resume=earlier is not None)

    def _send(self, child: Child, job: Job, resume: bool) -> None:
        self.jobs[child] = job
        record = job.record
        child.send(
            messages.RunTrial(
                trial=record.number,
                seed=record.seed,
                limited=not job.by_name,
                state=str(job.state),
                resume=resume,
            )
        )

    # -- candidates that wait at a rung ------------------------------------------------------------

    def _sent_on(self, in_time: Callable[[Job], bool] | None = None) -> Job | None:
        """The waiting trial that is to be trained on now."""
        running = [job for job in self.jobs.values() if job]
        return self.waiting.next(running, self._missing() > 0, in_time or self._in_time)

    def _go_on(self, child: Child, job: Job) -> None:
        """Train a waiting trial on from where it was left."""
        del self.waiting.jobs[job.record.number]
        job.started = job.heard = time.monotonic()
        job.reported, job.history = len(job.history), []
        self._send(child, job, resume=True)

    def _on_evaluated(self, child: Child, message: messages.Evaluated) -> None:
        """A look ended; the candidate waits, to be trained from its beginning if it is sent on."""
        job = self._job_of(child, message)
        job.record = replace(job.record, look=message.score)
        self.pruning.report(job.trial, message.score, 0)
        self._on_paused(child, message)

    def _on_paused(self, child: Child, message: messages.Paused | messages.Evaluated) -> None:
        job = self._job_of(child, message)
        if job.history and not job.state.is_file():
            # it could not be gone on with; it is put back
            self.ended = f"{job.state} cannot be written. {FULL}"
            return
        job.spent += message.seconds
        job.record = replace(self._as_trained(job, message), state="waiting")
        self.ledger.wait(job.record, job.trial)
        # not before: of trials that never wait it would not be true
        if not self.rungs_told:
            self.rungs_told = True
            self.show.note(self.waiting.told)
        self.waiting.jobs[job.record.number] = job
        self._note_growth(child, message.rss)
        self.jobs[child] = None
        for last in self.waiting.left_behind(filter(None, self.jobs.values())):
            self._end_waiting(last)
        if self._outgrown(child):
            self._replace(child)
        for other in [each for each, busy in self.jobs.items() if busy is None and each.ready]:
            if other not in self.occupied:
                self._hand_out(other)
        self._tell()

    def _end_waiting(self, job: Job) -> None:
        """One that is not sent on ends as pruned."""
        del self.waiting.jobs[job.record.number]
        job.state.unlink(missing_ok=True)
        done = replace(job.record, state="pruned", reason=self.waiting.reason(job))
        kept = self.ledger.close(done, job.trial)
        self._note_end(kept)
        self._tell(kept)

    def _as_trained(self, job: Job, message: messages.Trained) -> Record:
        return replace(
            job.record,
            score=message.score,
            best_epoch=message.best_epoch,
            epochs=message.epochs,
            seconds=round(job.spent, 3),
            weights=message.params,
            reads=message.reads,
            history=tuple(job.history),
        )

    def _check_clock(self) -> None:
        now, settings = time.monotonic(), self.settings
        if settings.timeout and not self.ended:
            kept = confirmer.reserve(settings, self.leaders, self.study.maximize, self.start, self.had)
            until = self.began + settings.timeout - kept
            self.budget.note(until, self._known())
            if now > until:
                self.ended = "timeout"
        if now - self.leased > studies.LEASE / 4:
            self.leased = now
            studies.lease(self.study)
        for child, job in list(self.jobs.items()):
            if job is None:
                continue
            ended = self.ledger.records
            if found := supervisor.broken(child, job.record, job.since, job.heard, now, settings, ended):
                self._fail(child, *found)
                self._replace(child)
        for child, since in list(self.occupied.items()):
            if now - since > supervisor.UNKNOWN:
                self._replace(child)

    # -- what workers say -------------------------------------------------------------------------

    def _on_loading(self, child: Child, message: messages.Loading) -> None:
        self.show.loading(message.done, message.total)

    def _on_ready(self, child: Child, message: messages.Ready) -> None:
        self.pool.ready(child)
        if not self.start:
            for note in message.dataset.get("notes", ()):
                self.show.note(note)
        studies.check_same_data(self.study, message.dataset)
        machine = {
            "backend": message.backend,
            "keras": message.keras,
            "precision": message.precision,
            "lean": message.lean,
            "devices": message.devices,
            "python": message.python,
        }
        # their place may be new
        self.study.remember(data=message.dataset, machine=machine, dataset=list(self.settings.dataset))
        self.waiting.know(message.dataset["images"]["train"], message.low_fidelity)
        self.start = self.start or time.monotonic() - self.began
        self.tracker.begin(self.study)
        model = self.settings.space.model
        recipes = trial_queue.missing_recipes(self.study, self.settings) if model else []
        twins = {origin: values for origin, (values, _) in self.settings.twins.items()} if model else {}
        if "default" in self.study.info and not (recipes or twins):
            self._enqueue()
            self._hand_out(child)
        else:
            self.occupied[child] = time.monotonic()
            child.send(messages.Describe(recipes=recipes, twins=twins))

    def _on_described(self, child: Child, message: messages.Described) -> None:
        self.occupied.pop(child, None)
        # those of a space with a model are whole only now
        twins = {origin: (values, self.settings.twins[origin][1]) for origin, values in message.twins.items()}
        self.settings = replace(
            self.settings,
            recipes={**self.settings.recipes, **message.recipes},
            twins={**self.settings.twins, **twins},
        )
        if "default" not in self.study.info:
            self.study.remember(default=message.values)
        self._enqueue()
        self._hand_out(child)

    def _enqueue(self) -> None:
        """Queue what is trained before anything is drawn."""
        if self.settings.twins:
            trial_queue.enqueue_twins(self.study, self.settings)
            return
        if self.settings.default and not self.settings.only_recipes:
            trial_queue.enqueue_default(self.study, self.study.info["default"])
        trial_queue.enqueue_recipes(self.study, self.settings)

    def _on_draw(self, child: Child, message: messages.Draw) -> None:
        job = self._job_of(child, message)
        value = studies.suggest(job.trial, message.name, message.distribution)
        child.send(messages.Drawn(trial=message.trial, id=message.id, value=value))

    def _on_proposed(self, child: Child, message: messages.Proposed) -> None:
        job = self._job_of(child, message)
        job.record = replace(
            job.record,
            key=message.key,
            plan=message.plan,
            weights=message.params,
            macs=message.macs,
        )
        job.resumable = message.resumable
        others = [other.record for other in (*self.jobs.values(), *self.waiting.jobs.values()) if other]
        first = self.ledger.known(job.record, others)
        over = first is None and self._passes_over(job, message.epochs)
        train, fidelity = first is None and not over, self.waiting.look(job)
        child.send(messages.Verdict(trial=message.trial, id=message.id, train=train, fidelity=fidelity))
        if over:
            self._pass_over(child)
        elif first is None:
            # while it builds the model: an epoch that is kept can be gone on with only where the point is known
            self.study.write()
            self._use_own_sampler()
            self._tell()
        else:
            reason = f"the same plan as trial {first}"
            self._refuse(child, replace(job.record, state="duplicate", reason=reason))

    # -- what the clock and its cost speak against ------------------------------------------------

    def _passes_over(self, job: Job, epochs: int) -> bool:
        """Whether something else is to be drawn; never for what was queued, which would only come up again."""
        if job.record.origin != "sampler" or job.spent or "state" in job.trial.user_attrs:
            return False
        begun = self.ledger.standing.ended + len(self.waiting.jobs)
        return self.budget.passes_over(job.record, self.waiting.next_rung(job, epochs), self._known(), begun)

    def _pass_over(self, child: Child) -> None:
        """Draw again. The `grid` gives each point once, so that its point waits for the next run."""
        job = self._job(child)
        self.jobs[child] = None
        self.ledger.pass_over(job.record, job.trial, again=self.settings.sampler == "grid")
        self._hand_out(child)

    def _in_time(self, job: Job) -> bool:
        """Whether a waiting trial will be at its next rung before the time is up."""
        return self.budget.in_time(job.record, self.waiting.next_rung(job, self.settings.epochs))

    def _known(self) -> list[Record]:
        """What was drawn lately, with what was measured of it, in training too."""
        running = [job.timed() for job in self.jobs.values() if job]
        return [*self.ledger.records[-RECENT:], *(job.record for job in self.waiting.jobs.values()), *running]

    def _on_resumed(self, child: Child, message: messages.Resumed) -> None:
        """The epochs that were trained before a cut belong to this trial now."""
        job = self._job_of(child, message)
        going_on = job.reported > 0
        for metrics in message.history:
            job.history.append(metrics)
            self._note_epoch(job)
        if not going_on:
            job.record = replace(job.record, resumed=len(job.history))
        pauses = not going_on and self.waiting.here(job)
        self._decide(child, message, Decision.PAUSE if pauses else Decision.CONTINUE)

    def _note_epoch(self, job: Job) -> None:
        """Report the last epoch unless it was in an earlier turn."""
        epoch, metrics = len(job.history), job.history[-1]
        if epoch > job.reported:
            job.reported = epoch
            self.pruning.report(job.trial, metrics[self.settings.metric], epoch)
            self.tracker.epoch(job.record, epoch, metrics)

    def _on_epoch_ended(self, child: Child, message: messages.EpochEnded) -> None:
        job = self._job_of(child, message)
        metric = self.settings.metric
        if not isinstance(message.metrics.get(metric), int | float):
            self._fail(child, "plugin_error", f"epoch {message.epoch} reports no number as {metric}")
            self._replace(child)
            return
        job.history.append(message.metrics)
        waits = self.waiting.here(job)
        if waits or not self.waiting.asks_pruner(job) or message.epoch >= self.settings.epochs:
            # it need not wait until this epoch is written down
            self._decide(child, message, Decision.PAUSE if waits else Decision.CONTINUE)
            self._note_epoch(job)
        else:
            self._note_epoch(job)
            self._decide(child, message, Decision.STOP if self._hopeless(job) else Decision.CONTINUE)
        self._tell()

    def _decide(self, child: Child, question: messages.Resumed | messages.EpochEnded, decision: Decision) -> None:
        child.send(messages.Go(trial=question.trial, id=question.id, decision=decision))

    def _hopeless(self, job: Job) -> bool:
        seen = [metrics[self.settings.metric] for metrics in job.history]
        return self.pruning.hopeless(job.trial, job.record, seen)

    def _on_completed(self, child: Child, message: messages.Completed) -> None:
        job = self._job_of(child, message)
        job.spent += message.seconds
        done = replace(self._as_trained(job, message), state="pruned" if message.stopped else "complete")
        path = self.checkpoints.offer(done, self.ledger.saved, message.format)
        # relative to the study's folder, which may be moved
        done = replace(done, checkpoint=f"checkpoints/{path.name}" if path else "")
        child.send(messages.Keep(trial=message.trial, id=message.id, path=str(path or "")))
        self.occupied[child] = time.monotonic()
        self._close(child, done)
        self._note_growth(child, message.rss)

    def _on_saved(self, child: Child, message: messages.Saved) -> None:
        self.occupied.pop(child, None)
        if message.problem:
            self.ended = f"{message.problem}. {FULL}"
        if message.unsaved and not self.unsaved:
            self.unsaved = True
            self.show.note(f"The models of this space are not kept, as they cannot be saved: {message.unsaved}")
        self.checkpoints.tidy(self.ledger.saved)
        if self._outgrown(child):
            self._replace(child)
        else:
            self._hand_out(child)

    def _on_failed(self, child: Child, message: messages.Failed) -> None:
        kind, reason = message.kind, message.reason
        job = self._job_of(child, message)
        if kind == "too_large":
            self._refuse(child, replace(job.record, state="refused", failure=kind, reason=reason))
            return
        self._fail(child, kind, reason, message.seconds)
        self._note_growth(child, message.rss)
        if kind == "oom" or self._outgrown(child):
            self._replace(child)
        else:
            self._hand_out(child)

    def _on_fatal(self, child: Child, message: messages.Fatal) -> None:
        raise CnnsearchError(message.message)

    def _on_logged(self, child: Child, message: messages.Logged) -> None:
        self.logged = message.problem

    HANDLERS: ClassVar[dict[type[Message], Callable[..., None]]] = {
        messages.Loading: _on_loading,
        messages.Ready: _on_ready,
        messages.Described: _on_described,
        messages.Draw: _on_draw,
        messages.Proposed: _on_proposed,
        messages.Resumed: _on_resumed,
        messages.EpochEnded: _on_epoch_ended,
        messages.Evaluated: _on_evaluated,
        messages.Paused: _on_paused,
        messages.Completed: _on_completed,
        messages.Saved: _on_saved,
        messages.Failed: _on_failed,
        messages.Fatal: _on_fatal,
        messages.Logged: _on_logged,
    }
    """The method for each type of message."""

    def _worker_gone(self, child: Child) -> None:
        if child.stopping or child not in self.jobs:
            return
        self.pool.check_start(child)
        if job := self.jobs[child]:
            kind, reason = supervisor.death(child, self.settings.memory, "retried" in job.trial.user_attrs)
            if kind:
                self._fail(child, kind, reason)
            else:
                self.jobs[child] = None
                self.ledger.interrupt(job.record, job.trial, f"{reason}; put back", retried=True)
        self._replace(child)

    # -- trials that end --------------------------------------------------------------------------

    def _fail(self, child: Child, kind: str, reason: str, seconds: float = 0) -> None:
        job = self._job(child)
        seconds = job.spent + seconds if seconds else time.monotonic() - job.since
        history = job.curve
        done = replace(
            job.record,
            state="failed",
            failure=kind,
            reason=reason,
            seconds=round(seconds, 3),
            epochs=len(history),
            history=history,
        )
        self._close(child, done)
        counted = (record for record in reversed(self.ledger.records) if record.state in COUNTED)
        last = list(islice(counted, SAME_FAILURES))
        if len(last) == SAME_FAILURES and all(r.failure == kind for r in last):
            self.ended = f"{SAME_FAILURES} trials in a row failed as '{kind}'; the last: {reason}"

    def _refuse(self, child: Child, done: Record) -> None:
        """End a trial that is not to be trained. It does not count: the next one takes its place."""
        self._close(child, done)
        if self.settings.only_recipes:
            # nothing can take the place of what was asked for by name
            self.ended = f"{done.origin} is not trained: {done.reason}"
            return
        if self.settings.twins:
            # nor of a twin, but the others are wanted all the same
            self.settings = replace(self.settings, trials=self.settings.trials - 1)
            self._hand_out(child)
            return
        self.unusable += 1
        if self.unusable == 3:
            # a sampler that keeps to its favourites is helped out of them by chance
            self.study.use(samplers.sampler("random", trial_seed(self.settings.seed, done.number)))
        self._hand_out(child)

    def _close(self, child: Child, done: Record) -> None:
        job = self._job(child)
        self.jobs[child] = None
        job.state.unlink(missing_ok=True)
        kept = self.ledger.close(done, job.trial)
        self._note_end(kept)
        if kept.state in COUNTED:
            self._tell(kept)

    def _note_end(self, kept: Record) -> None:
        """What is asked of all ended trials again and again, brought up to this one."""
        self.pruning.ended(kept)
        self.waiting.ended(kept)
        best = [*self.leaders, kept]
        top = confirmer.leaders(best, self.settings.confirm[0], self.study.maximize)
        self.leaders = [record for record in best if record.number in top]

    # -- the top, on fresh seeds ------------------------------------------------------------------

    def _to_confirm(self) -> list[Repeat]:
        """The repeats that are asked for and missing, as the ranking stands."""
        top, seeds = self.settings.confirm
        chosen = confirmer.leaders(self.leaders, top, self.study.maximize)
        return confirmer.missing(self.study, self.leaders, chosen, seeds)

    def _confirm(self) -> None:
        waiting = self._to_confirm()
        if not waiting:
            return
        trials, trainings = len({repeat.trial for repeat in waiting}), len(waiting)
        plurals = "s" * (trials > 1), "s" * (trainings > 1)
        until = self.began + self.settings.timeout if self.settings.timeout else math.inf
        records = {record.number: record for record in self.leaders}
        if not any(confirmer.in_time(records[repeat.trial], self.settings.epochs, until) for repeat in waiting):
            late = f"No training on a fresh seed would end in time, {trainings} would be due"
            self.show.note(f"{late}: `cnnsearch confirm {self.study.name}`.")
            return
        self.show.note(
            f"Confirming the best: {trials} trial{plurals[0]} on fresh seeds, {trainings} training{plurals[1]}."
        )
        round_ = confirmer.Repeats(self.settings, self.study, self.pool, self.tracker, self.stop, self.show)
        left = round_.run(waiting, until)
        self.jobs = dict.fromkeys(self.pool.children)
        if self.stop.asked:
            self.ended = "interrupted"
        elif left:
            self.show.note(f"{len(left)} of them did not fit into the time: `cnnsearch confirm {self.study.name}`.")

    # -- small helpers ----------------------------------------------------------------------------

    def _job(self, child: Child) -> Job:
        job = self.jobs[child]
        if job is None:
            raise UnknownTrialError
        return job

    def _job_of(self, child: Child, message: Message) -> Job:
        """The trial that this message of the worker is about.

        Raises:
            UnknownTrialError: if the worker does not have that trial.
        """
        job = self._job(child)
        if job.record.number != message.trial:
            raise UnknownTrialError
        return job

    def _exhausted(self) -> bool:
        """Whether there is nothing new to be had from the space."""
        return self.unusable >= UNUSABLE or getattr(self.study.optuna.sampler, "exhausted", False)

    def _use_own_sampler(self) -> None:
        if self.unusable >= 3:
            seed = self.settings.seed + 7919 * len(self.ledger.records)
            self.study.use(samplers.sampler(self.settings.sampler, seed))
        self.unusable = 0

    def _note_growth(self, child: Child, rss: int) -> None:
        child.rss = rss
        self.first_rss.setdefault(child, rss)

    def _outgrown(self, child: Child) -> bool:
        return child.rss - self.first_rss[child] > GROWTH

    def _replace(self, child: Child) -> None:
        self.occupied.pop(child, None)
        del self.jobs[child]
        self.jobs[self.pool.replace(child)] = None

    def _tell(self, done: Record | None = None) -> None:
        now = time.monotonic()
        running = tuple(
            Running(job.record.number, len(job.history), self.settings.epochs, now - job.since)
            for job in self.jobs.values()
            if job
        )
        self.show(
            Progress(
                self.settings.trials,
                self.ledger.standing,
                running,
                now - self.began,
                self.settings.jobs,
                self.study.info.get("default", {}),
                done,
            )
        )

    def _unlogged(self) -> bool:
        """Whether there is a best model that MLflow does not have yet."""
        best = self._best()
        return best is not None and self.study.checkpoint(best) is not None and self.study.fact("logged") != best.number

    def _best(self) -> Record | None:
        """The leaderboard's first, whose model MLflow shall have."""
        return next((record for record in ranking.ranked(self.study) if record.state == "complete"), None)

    def _log_best(self) -> None:
        """Log the best model as an MLflow model, in a worker: this process knows no Keras."""
        if not self._unlogged():
            return
        best = self._best()
        assert best is not None
        child = self.pool.any()
        self.jobs.setdefault(child, None)
        self._wait(lambda: child.ready or child not in self.jobs, 120)
        self.tracker.models((record, self.study.checkpoint(record)) for record in self.ledger.saved)
        order = self.tracker.model_order()
        if self.tracker.away:
            return  # the next run logs it
        if order is None or not child.ready:
            self.tracker.problem("the best model was not logged: no worker was there to do it")
            return
        child.send(messages.LogModel(path=str(self.study.checkpoint(best)), uri=order["uri"], run_id=order["run_id"]))
        self._wait(lambda: self.logged is not None or child not in self.jobs, 120)
        if self.logged == "":
            self.study.remember_fact("logged", best.number)
        else:
            self.tracker.problem(f"the best model could not be logged: {self.logged or 'its worker ended'}")
