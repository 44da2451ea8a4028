"""The parent: asks Optuna, feeds the workers, prunes, tells, logs. It never imports a Keras backend."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna

from cnnsearch import strategies, watchdog
from cnnsearch import study as studies
from cnnsearch.checkpoints import Checkpoints
from cnnsearch.errors import CnnsearchError
from cnnsearch.ledger import Ledger
from cnnsearch.pool import Child, Pool, gpus
from cnnsearch.progress import Progress, Running
from cnnsearch.recipes import ORIGIN
from cnnsearch.record import COUNTED, TWIN, Record
from cnnsearch.settings import Settings, trial_seed
from cnnsearch.stopping import Stop
from cnnsearch.study import Study
from cnnsearch.tracking import Tracker

SAME_FAILURES = 10
"""This many failures of one kind in a row stop the search: something is wrong that no trial will mend."""

UNUSABLE = 60
"""After this many known or too large plans in a row the space is taken to be exhausted."""

GROWTH = 1 << 30
"""A worker that has grown by this many bytes since its first trial is replaced: Keras does not give all back."""

BAD_STARTS = 3
"""So many workers may be killed while they start before the search gives up."""

BY_NAME = (ORIGIN, TWIN)
"""The origins of trials that were asked for by name begin so: they have no limits, and are trained to their end."""

Show = Callable[[Progress, str], None]
"""Shown the progress, and in words what just happened ('' for a mere change of numbers)."""


@dataclass
class Job:
    """A trial on its way through a worker."""

    trial: optuna.Trial
    record: Record
    started: float
    state: Path
    heard: float
    history: list[dict[str, float]] = field(default_factory=list)


class Search:
    """One call of `cnnsearch run`: brings the study to the number of trials that `settings` ask for."""

    def __init__(self, settings: Settings, study: Study, tracker: Tracker, show: Show, stop: Stop) -> None:
        self.settings, self.study, self.tracker, self.show, self.stop = settings, study, tracker, show, stop
        self.jobs: dict[Child, Job | None] = {}
        self.ledger = Ledger(study, tracker)
        self.checkpoints = Checkpoints(settings.folder / "checkpoints", settings.keep, study.maximize)
        self.began = self.leased = time.monotonic()
        self.first_rss: dict[Child, int] = {}
        self.saving: set[Child] = set()
        self.unusable = self.bad_starts = 0
        self.logged: str | None = None
        self.ended = ""

    def run(self) -> str:
        """Search until the trials are done, the time is up, the space exhausted or an end asked for; says which.

        Raises:
            CnnsearchError: if nothing can be trained: dataset, plugin or every candidate fails.
        """
        with self.stop.deferred():
            self.ledger.put_back_stale()
            if not self._missing() and not self._unlogged():
                return "complete"
            settings, jobs = self.settings, max(1, min(self.settings.jobs, self._missing()))
            self.pool = Pool(settings.for_worker(), jobs, settings.threads, gpus(), settings.folder / "logs")
            self.jobs = dict.fromkeys(self.pool.children)
            try:
                while not self._over():
                    self._step()
                self._settle()
            finally:
                self.pool.close()
                for job in filter(None, self.jobs.values()):
                    self.ledger.interrupt(job.record, job.trial)
        return self.ended

    # -- the loop ---------------------------------------------------------------------------------

    def _step(self) -> None:
        heard = self.pool.hear(0.5)
        self._check_clock()
        self.tracker.check()
        if heard is None:
            self._tell("")
        elif heard.message is None:
            self._worker_gone(heard.child)
        elif heard.child in self.jobs:
            if job := self.jobs[heard.child]:
                job.heard = time.monotonic()
            getattr(self, f"_on_{heard.message['say']}")(heard.child, heard.message)

    def _over(self) -> bool:
        idle = not any(self.jobs.values()) and not self.saving
        if self.stop.asked:
            self.ended = "interrupted"
        elif not self.ended and idle and not self._missing():
            self.ended = "exhausted" if self._exhausted() else "complete"
        return bool(self.ended)

    def _settle(self) -> None:
        """Let models be saved to their end, put back what runs, and log the best model."""
        self._wait(lambda: not self.saving, 3)
        for child, job in list(self.jobs.items()):
            if job:
                self.ledger.interrupt(job.record, job.trial)
                del self.jobs[child]
                self.pool.remove(child)
        if self.ended in ("complete", "exhausted", "timeout"):
            self._log_best()

    def _wait(self, reached: Callable[[], Any], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not reached() and time.monotonic() < deadline and not (self.stop.asked and seconds > 10):
            self._step()

    def _missing(self) -> int:
        """How many trials are still to be begun."""
        if self._exhausted():
            return 0
        return max(0, self.settings.trials - self.ledger.counted() - sum(job is not None for job in self.jobs.values()))

    def _hand_out(self, child: Child) -> None:
        """Give `child` its next trial, or nothing if there is none to begin."""
        self.jobs[child] = None
        if self._missing() == 0 or self.ended:
            return
        trial = studies.take(self.study, self.settings)
        if trial is None:
            return
        origin = str(trial.user_attrs.get("origin", "sampler"))
        seed, now = studies.seed_of(self.study, trial), time.monotonic()
        record = Record(number=trial.number, origin=origin, seed=seed)
        earlier = trial.user_attrs.get("state")
        state = Path(earlier or studies.state_file(self.settings.folder.resolve(), trial.number))
        self.jobs[child] = Job(trial, record, now, state, now)
        resume, limited = earlier is not None, not origin.startswith(BY_NAME)
        order = {"number": trial.number, "seed": seed, "limited": limited, "state": str(state), "resume": resume}
        child.send({"do": "trial", **order})

    def _check_clock(self) -> None:
        now, settings = time.monotonic(), self.settings
        if settings.timeout and now - self.began > settings.timeout and not self.ended:
            self.ended = "timeout"
        if now - self.leased > studies.LEASE / 4:
            self.leased = now
            studies.lease(self.study)
        for child, job in list(self.jobs.items()):
            found = self._broken(child, job, now) if job else None
            if found:
                self._fail(child, *found)
                self._replace(child)

    def _broken(self, child: Child, job: Job, now: float) -> tuple[str, str] | None:
        """The type of failure and the reason, where a worker is to be given up."""
        limit, memory = self.settings.trial_timeout, self.settings.memory
        if limit and now - job.started > limit:
            return "timeout", f"it took longer than {limit:g} s"
        if now - job.heard > watchdog.SHORTEST:
            silence = watchdog.silence_allowed(job.record, self.ledger.in_order())
            if now - job.heard > silence:
                return "timeout", f"it ended no epoch for {silence:,.0f} s, far longer than others take"
        child.rss = watchdog.rss(child.process.pid) or child.rss
        if memory and child.rss > memory:
            return (
                "oom",
                f"its worker grew to {child.rss / 2**30:.1f} GiB; {memory / 2**30:.1f} GiB are allowed (--memory)",
            )
        return None

    # -- what workers say -------------------------------------------------------------------------

    def _on_ready(self, child: Child, message: dict[str, Any]) -> None:
        child.ready = True
        known = self.study.info.get("data")
        if known and known["fingerprint"] != message["dataset"]["fingerprint"]:
            raise CnnsearchError(
                f"Study '{self.study.name}' was made on other images: the dataset {known['name']} has changed. "
                "Begin anew with --study NAME."
            )
        machine = {key: message[key] for key in ("backend", "keras", "precision", "devices", "python")}
        self.study.remember(data=message["dataset"], machine=machine)
        self.first_rss.setdefault(child, message["rss"])
        self.tracker.begin(self.study)
        model = self.settings.space.model
        recipes = studies.missing_recipes(self.study, self.settings) if model else []
        twins = {origin: values for origin, (values, _) in self.settings.twins.items()} if model else {}
        if "default" in self.study.info and not (recipes or twins):
            self._enqueue()
            self._hand_out(child)
        else:
            child.send({"do": "describe", "recipes": recipes, "twins": twins})

    def _on_described(self, child: Child, message: dict[str, Any]) -> None:
        # those of a space with a model are whole only now
        twins = {origin: (values, self.settings.twins[origin][1]) for origin, values in message["twins"].items()}
        self.settings = replace(
            self.settings,
            recipes={**self.settings.recipes, **message["recipes"]},
            twins={**self.settings.twins, **twins},
        )
        if "default" not in self.study.info:
            self.study.remember(default=message["values"])
        self._enqueue()
        self._hand_out(child)

    def _enqueue(self) -> None:
        """Queue what is trained before anything is drawn."""
        if self.settings.twins:
            studies.enqueue_twins(self.study, self.settings)
            return
        if not self.settings.only_recipes:
            studies.enqueue_default(self.study, self.study.info["default"])
        studies.enqueue_recipes(self.study, self.settings)

    def _on_draw(self, child: Child, message: dict[str, Any]) -> None:
        job = self._job(child)
        child.send({"value": studies.suggest(job.trial, message["name"], message["distribution"])})

    def _on_plan(self, child: Child, message: dict[str, Any]) -> None:
        job = self._job(child)
        job.record = replace(
            job.record,
            key=message["key"],
            plan=message["plan"],
            weights=message["params"],
            macs=message["macs"],
        )
        others = [other.record for other in self.jobs.values() if other and other is not job]
        first = self.ledger.known(job.record, others)
        child.send({"go": first is None})
        if first is None:
            self._use_own_sampler()
            self._tell("")
        else:
            reason = f"the same plan as trial {first}"
            self._refuse(child, replace(job.record, state="duplicate", reason=reason))

    def _on_resumed(self, child: Child, message: dict[str, Any]) -> None:
        """The epochs that were trained before a cut belong to this trial now."""
        job = self._job(child)
        for epoch, metrics in enumerate(message["history"], 1):
            job.trial.report(metrics[self.settings.metric], epoch)
            self.tracker.epoch(job.record, epoch, metrics)
        job.history = list(message["history"])
        job.record = replace(job.record, resumed=len(job.history))
        child.send({})

    def _on_epoch(self, child: Child, message: dict[str, Any]) -> None:
        job = self._job(child)
        job.history.append(message["metrics"])
        job.trial.report(message["metrics"][self.settings.metric], message["epoch"])
        kept = job.record.origin.startswith(BY_NAME) or message["epoch"] >= self.settings.epochs
        child.send({"go": kept or not job.trial.should_prune()})
        self.tracker.epoch(job.record, message["epoch"], message["metrics"])
        self._tell("")

    def _on_done(self, child: Child, message: dict[str, Any]) -> None:
        job = self._job(child)
        done = replace(
            job.record,
            state="pruned" if message["stopped"] else "complete",
            score=message["score"],
            best_epoch=message["best_epoch"],
            epochs=message["epochs"],
            seconds=round(message["seconds"], 3),
            weights=message["params"],
            history=tuple(job.history),
        )
        path = self.checkpoints.offer(done, self.ledger.in_order(), message["format"])
        done = replace(done, checkpoint=str(path) if path else "")
        child.send({"keep": done.checkpoint})
        self.saving.add(child)
        self._close(child, done)
        self._note_growth(child, message["rss"])

    def _on_finished(self, child: Child, message: dict[str, Any]) -> None:
        self.saving.discard(child)
        if message["problem"]:
            self.ended = f"{message['problem']}. Free some space, and give the same command again."
        self.checkpoints.tidy(self.ledger.in_order())
        if self._outgrown(child):
            self._replace(child)
        else:
            self._hand_out(child)

    def _on_failed(self, child: Child, message: dict[str, Any]) -> None:
        kind, reason = message["kind"], message["reason"]
        if kind == "too_large":
            self._refuse(child, replace(self._job(child).record, state="refused", failure=kind, reason=reason))
            return
        self._fail(child, kind, reason, message["seconds"])
        self._note_growth(child, message["rss"])
        if kind == "oom" or self._outgrown(child):
            self._replace(child)
        else:
            self._hand_out(child)

    def _on_fatal(self, child: Child, message: dict[str, Any]) -> None:
        raise CnnsearchError(message["message"])

    def _worker_gone(self, child: Child) -> None:
        if child.stopping or child not in self.jobs:
            return
        code = child.process.returncode
        if not child.ready:
            self.bad_starts += 1
            # a signal comes from outside, such as the kernel short of memory; anything else will come again
            if code >= 0 or self.bad_starts > BAD_STARTS:
                raise CnnsearchError(f"A worker ended at its start (code {code}): {child.end_of_log() or child.log}")
        if job := self.jobs[child]:
            how = (
                f"its worker process ended by signal {-code}"
                if code < 0
                else f"its worker process ended by exit code {code}"
            )
            if code == -9 and child.rss > watchdog.STARVED * (self.settings.memory or watchdog.memory()):
                self._fail(child, "oom", f"{how}, at {child.rss / 2**30:.1f} GiB")
            elif job.trial.user_attrs.get("retried"):
                self._fail(child, "killed", f"{how}, for the second time")
            else:
                self.jobs[child] = None
                self.ledger.interrupt(job.record, job.trial, f"{how}; put back", retried=True)
        self._replace(child)

    # -- trials that end --------------------------------------------------------------------------

    def _fail(self, child: Child, kind: str, reason: str, seconds: float = 0) -> None:
        job = self._job(child)
        seconds = seconds or time.monotonic() - job.started
        history = tuple(job.history)
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
        last = [r for r in self.ledger.in_order() if r.state in COUNTED][-SAME_FAILURES:]
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
            self.study.optuna.sampler = strategies.sampler("random", trial_seed(self.settings.seed, done.number))
        self._hand_out(child)

    def _close(self, child: Child, done: Record) -> None:
        job = self._job(child)
        self.jobs[child] = None
        job.state.unlink(missing_ok=True)
        kept = self.ledger.close(done, job.trial)
        if kept.state in COUNTED:
            self._tell("ended", kept)

    # -- small helpers ----------------------------------------------------------------------------

    def _job(self, child: Child) -> Job:
        job = self.jobs[child]
        assert job is not None, "a worker spoke of a trial that it does not have"
        return job

    def _exhausted(self) -> bool:
        """Whether there is nothing new to be had from the space."""
        return self.unusable >= UNUSABLE or getattr(self.study.optuna.sampler, "exhausted", False)

    def _use_own_sampler(self) -> None:
        if self.unusable >= 3:
            seed = self.settings.seed + 7919 * len(self.ledger.in_order())
            self.study.optuna.sampler = strategies.sampler(self.settings.sampler, seed)
        self.unusable = 0

    def _note_growth(self, child: Child, rss: int) -> None:
        child.rss = rss
        self.first_rss.setdefault(child, rss)

    def _outgrown(self, child: Child) -> bool:
        return child.rss - self.first_rss[child] > GROWTH

    def _replace(self, child: Child) -> None:
        self.saving.discard(child)
        del self.jobs[child]
        self.jobs[self.pool.replace(child)] = None

    def _tell(self, what: str, done: Record | None = None) -> None:
        now = time.monotonic()
        running = tuple(
            Running(job.record.number, len(job.history), self.settings.epochs, now - job.started)
            for job in self.jobs.values()
            if job
        )
        self.show(
            Progress(
                self.settings.trials,
                tuple(self.ledger.in_order()),
                running,
                self.study.maximize,
                now - self.began,
                self.settings.jobs,
                self.study.info.get("default", {}),
                done,
            ),
            what,
        )

    def _unlogged(self) -> bool:
        """Whether there is a best model that MLflow does not have yet."""
        best = self.checkpoints.best(self.ledger.in_order())
        return best is not None and Path(best.checkpoint).is_file() and self.study.fact("logged") != best.number

    def _log_best(self) -> None:
        """Log the best model as an MLflow model, in a worker: this process knows no Keras."""
        if not self._unlogged():
            return
        best = self.checkpoints.best(self.ledger.in_order())
        assert best is not None
        child = self.pool.any()
        self.jobs.setdefault(child, None)
        self._wait(lambda: child.ready or child not in self.jobs, 120)
        self.tracker.models(self.ledger.in_order())
        order = self.tracker.model_order()
        if order is None or not child.ready:
            self.tracker.problem("the best model was not logged: no worker was there to do it")
            return
        child.send({"do": "log_model", "path": best.checkpoint, **order})
        self._wait(lambda: self.logged is not None or child not in self.jobs, 120)
        if self.logged == "":
            self.study.remember_fact("logged", best.number)
        else:
            self.tracker.problem(f"the best model could not be logged: {self.logged or 'its worker ended'}")

    def _on_logged(self, child: Child, message: dict[str, Any]) -> None:
        self.logged = message["problem"]
