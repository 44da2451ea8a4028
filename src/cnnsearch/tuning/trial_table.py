"""Trials on their way: what is known of one in a worker's hands, and those that wait at a rung to be trained on."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import optuna

from cnnsearch.spaces.recipes import ORIGIN
from cnnsearch.study.config import Settings
from cnnsearch.study.trial import TWIN, Record
from cnnsearch.tuning.schedulers.rungs import Scheduler, Stand

BY_NAME = (ORIGIN, TWIN)
"""The origins of trials that were asked for by name begin so: they have no limits, and are trained to their end."""


@dataclass
class Job:
    """A trial on its way through a worker; `spent` are the seconds of its earlier turns."""

    trial: optuna.Trial
    record: Record
    started: float
    state: Path
    heard: float
    history: list[dict[str, float]] = field(default_factory=list)
    reported: int = 0
    spent: float = 0.0
    resumable: bool = False

    def timed(self) -> Record:
        """What is measured of it by now; of one that was trained on, at its last rung."""
        if self.spent:
            return self.record
        return replace(self.record, epochs=len(self.history), seconds=self.heard - self.started)

    @property
    def since(self) -> float:
        """When it would have started, had it been trained without a pause."""
        return self.started - self.spent

    @property
    def by_name(self) -> bool:
        """Whether it was asked for by name."""
        return self.record.origin.startswith(BY_NAME)

    @property
    def curve(self) -> tuple[dict[str, float], ...]:
        """Its epochs; one that was just sent on has those that it waited with until its worker has taken them up."""
        return tuple(self.history) or self.record.history

    def stand(self, metric: str, waits: bool) -> Stand:
        """Where it stands by this metric."""
        return Stand(self.record.number, tuple(m[metric] for m in self.curve), waits, self.record.look)


class Waiting:
    """The trials that wait, by number, and where any of a search waits next."""

    def __init__(self, settings: Settings, maximize: bool) -> None:
        self._settings, self._maximize = settings, maximize
        self.jobs: dict[int, Job] = {}
        self._ended: list[Stand] = []
        self.know(0, looks=False)

    def know(self, images: int, looks: bool) -> None:
        """What rungs go by: how many images are trained on, 0 if that is not known yet, and if there may be looks."""
        settings = self._settings
        updates = max(1, math.ceil(images / settings.space.defaults["batch_size"]))
        self._scheduler = Scheduler(settings.scheduler, settings.epochs, updates, self._maximize, looks)
        for stand in self._ended:
            self._scheduler.ended(stand)

    def ended(self, record: Record) -> None:
        """Rank this trial, too, if it was trained."""
        if record.state in ("complete", "pruned"):
            values = tuple(metrics[self._settings.metric] for metrics in record.history)
            self._ended.append(Stand(record.number, values, False, record.look))
            self._scheduler.ended(self._ended[-1])

    def next(self, running: Iterable[Job], more_to_come: bool, in_time: Callable[[Job], bool]) -> Job | None:
        """The one that is to be trained on; one that would be too late waits for nothing."""
        if not self.jobs:
            return None
        number = self._scheduler.next(self._stands(running, in_time), more_to_come)
        return None if number is None else self.jobs[number]

    def left_behind(self, running: Iterable[Job]) -> list[Job]:
        """Those that will not be sent on any more, so that they need not wait."""
        return [self.jobs[number] for number in self._scheduler.left_behind(self._stands(running))]

    def _stands(self, running: Iterable[Job], waits: Callable[[Job], bool] = lambda job: True) -> list[Stand]:
        metric = self._settings.metric
        stands = [job.stand(metric, False) for job in running]
        return stands + [job.stand(metric, waits(job)) for job in self.jobs.values()]

    def asks_pruner(self, job: Job) -> bool:
        """Whether Optuna's pruner is asked: in its own right, or because nobody else judges the trial."""
        chosen, ranked = self._settings.scheduler == "auto", self._scheduler.has_rungs and job.resumable
        return self._settings.pruner != "none" and not job.by_name and not (chosen and ranked)

    @property
    def told(self) -> str:
        """Where trials wait, in words."""
        return f"Rungs: {self._scheduler.told}."

    def look(self, job: Job) -> float:
        """The part of the images that a trial is looked at with next; 0: it is trained."""
        new = job.record.look is None and not job.state.is_file()
        return self._scheduler.look if new and self._may(job) else 0.0

    def here(self, job: Job) -> bool:
        """Whether a trial waits where it is now."""
        return self._may(job) and self._scheduler.waits_at(len(job.history))

    def next_rung(self, job: Job, epochs: int) -> float:
        """The epoch at which a trial of so many waits next, or ends."""
        ahead = range(len(job.history) + 1, epochs) if self._may(job) else ()
        return self.look(job) or next(filter(self._scheduler.waits_at, ahead), epochs)

    def reason(self, job: Job) -> str:
        """Why one that was never sent on ended."""
        return "" if job.history else f"after a look at {self._scheduler.look:.0%} of the images"

    def _may(self, job: Job) -> bool:
        """Whether a trial waits at rungs: what was asked for by name never does, nor what cannot be gone on with."""
        return job.resumable and not job.by_name and job.record.origin != "default"
