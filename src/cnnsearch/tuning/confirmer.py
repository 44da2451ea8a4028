"""Confirmation: the best trials of a study trained again on new seeds."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from cnnsearch.core.messages import (
    Decision,
    Described,
    EpochEnded,
    Failed,
    Go,
    Message,
    Ready,
    Repeated,
    RepeatTrial,
    Saved,
)
from cnnsearch.study import opening
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.confirmation import Repeat, repeat_seed
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.launchers.base import LostWorker
from cnnsearch.tuning.progress import RepeatResult
from cnnsearch.tuning.trial_source import End, EndReason, Reaction, WorkerAction

SHARE = 0.2
"""Of a limited time may be left for confirming; more is missed where time is short (docs/benchmarks/confirming.md)."""


def missing(study: Study, records: Iterable[Trial], chosen: Iterable[int], seeds: int) -> list[Repeat]:
    """What is not trained yet of `seeds` repeats of each chosen trial: one of each first, then a second of each."""
    done = {(found["trial"], found["seed"]) for found in study.repeats()}
    trained = {record.number for record in records if record.state == "complete"}
    every = [
        Repeat(number, repeat_seed(study, number, turn), None)
        for turn in range(seeds)
        for number in chosen
        if number in trained
    ]
    return [repeat for repeat in every if (repeat.trial, repeat.seed) not in done]


def leaders(records: Iterable[Trial], top: int, maximize: bool) -> list[int]:
    """The numbers of the `top` complete trials by the scores that they were first given."""
    complete = [record for record in records if record.state == "complete" and record.score is not None]
    sign = -1 if maximize else 1
    return [record.number for record in sorted(complete, key=lambda r: (sign * (r.score or 0.0), r.number))[:top]]


def reserve(config: SearchConfig, records: list[Trial], maximize: bool, start: float, had: Mapping[int, int]) -> float:
    """Seconds of a limited time to be left for confirming: what it may take, but no more than SHARE.

    0 if that is too short for one new seed of each: a short search gains more by searching on. `start`: seconds
    that a worker takes to start, since those that are busy when the time is up are ended. `had`: how many repeats each
    trial has by now.
    """
    top, seeds = config.tuner.confirm
    chosen = set(leaders(records, top, maximize))
    short = [(record, seeds - had.get(record.number, 0)) for record in records if record.number in chosen]
    each = [(expected_seconds(record, config.study.epochs), count) for record, count in short if count > 0]
    if not each:
        return 0.0
    most, jobs, longest = (
        config.tuner.timeout * SHARE,
        max(1, config.resources.jobs),
        max(seconds for seconds, _ in each),
    )
    # one training is not shared between workers
    once = start + max(longest, sum(seconds for seconds, _ in each) / jobs)
    whole = start + max(longest, sum(seconds * count for seconds, count in each) / jobs)
    return min(most, whole) if once <= most else 0.0


def expected_seconds(record: Trial, epochs: int) -> float:
    """How long a trial takes at full length, going by how long it took."""
    # epochs of before a cut were not timed
    return record.seconds * max(1.0, epochs / max(1, record.epochs - record.resumed))


def in_time(record: Trial, epochs: int, until: float) -> bool:
    """Whether a repeat of this trial that is begun now ends by the moment `until`."""
    return time.monotonic() + expected_seconds(record, epochs) <= until


@dataclass
class ActiveRepeat:
    """A trial that a worker trains again on a new seed."""

    repeat: Repeat
    record: Trial
    started: float
    last_message: float

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.repeat.trial

    @property
    def since(self) -> float:
        """When the worker got it."""
        return self.started

    def assignment(self) -> Message:
        """What a worker is sent."""
        record = self.record
        return RepeatTrial(trial=self.number, seed=self.repeat.seed, plan=record.plan, values=record.params)


class Confirmer:
    """Gives repeats of the best trials to the tuner and keeps their scores in the study.

    See `TrialSource` for what each method does.

    Attributes:
        waiting: the repeats that are not trained yet.
    """

    def __init__(
        self, study: Study, waiting: list[Repeat], epochs: int, until: float, callbacks: TunerCallback
    ) -> None:
        """None is begun that would not end by `until`, as `time.monotonic` tells time; a trial has `epochs` at most."""
        self._study, self._callbacks = study, callbacks
        self._epochs, self._until = epochs, until
        self._records = {record.number: record for record in study.trials()}
        self._asked, self._ended = len(waiting), 0
        self._retried: set[tuple[int, int]] = set()
        self.waiting = list(waiting)

    def attach(self, active: Mapping[int, ActiveRepeat]) -> None:
        pass

    def on_ready(self, message: Ready) -> Message | None:
        opening.check_same_data(self._study, message.dataset)
        self._callbacks.on_study_begin(self._study)
        return None

    def on_described(self, message: Described) -> None:
        pass

    def next(self) -> ActiveRepeat | None:
        repeat = next(filter(self._in_time, self.waiting), None)
        if repeat is None:
            return None
        self.waiting.remove(repeat)
        now = time.monotonic()
        return ActiveRepeat(repeat, self._records[repeat.trial], now, now)

    def on_message(self, trial: ActiveRepeat, message: Message) -> Reaction:
        if handler := self.HANDLERS.get(type(message)):
            return handler(self, trial, message)
        reason = f"plugin_error: its worker sent {type(message).__name__}, which no confirmation asks for"
        return Reaction(WorkerAction.RESTART, after=lambda: self._keep(trial, reason=reason))

    def _on_epoch(self, trial: ActiveRepeat, message: EpochEnded) -> Reaction:
        return Reaction(WorkerAction.CONTINUE, Go(trial=trial.number, id=message.id, decision=Decision.CONTINUE))

    def _on_repeated(self, trial: ActiveRepeat, message: Repeated) -> Reaction:
        return Reaction(WorkerAction.NEW_TRIAL, after=lambda: self._keep(trial, message))

    def _on_failed(self, trial: ActiveRepeat, message: Failed) -> Reaction:
        reason = f"{message.kind}: {message.reason}"
        return Reaction(WorkerAction.RESTART, after=lambda: self._keep(trial, reason=reason, seconds=message.seconds))

    def on_saved(self, message: Saved) -> None:
        pass

    def on_failure(self, trial: ActiveRepeat, kind: str, reason: str) -> None:
        self._keep(trial, reason=f"{kind}: {reason}")

    def on_lost(self, trial: ActiveRepeat, lost: LostWorker) -> None:
        again = (trial.number, trial.repeat.seed)
        if again in self._retried:
            self._keep(trial, reason=f"killed: its worker ended twice (code {lost.code})")
        else:
            self._retried.add(again)
            self.waiting.insert(0, trial.repeat)

    def interrupt(self, trial: ActiveRepeat) -> None:
        self.waiting.insert(0, trial.repeat)

    def ended(self) -> list[Trial]:
        return list(self._records.values())

    def check_time(self) -> None:
        pass

    def show_status(self) -> None:
        pass

    def end(self, idle: bool) -> End | None:
        if time.monotonic() >= self._until:
            return End(EndReason.TIMEOUT)
        return End(EndReason.COMPLETE) if idle and not any(map(self._in_time, self.waiting)) else None

    def _in_time(self, repeat: Repeat) -> bool:
        return in_time(self._records[repeat.trial], self._epochs, self._until)

    def _keep(self, trial: ActiveRepeat, done: Repeated | None = None, reason: str = "", seconds: float = 0.0) -> None:
        """Keep the score of a repeat, or why it has none."""
        if done:
            kept = trial.repeat._replace(score=done.score, epochs=len(done.history), seconds=round(done.seconds, 3))
        else:
            kept = trial.repeat._replace(reason=reason, seconds=round(seconds, 3))
        self._study.add_repeat(kept._asdict())
        self._ended += 1
        history = tuple(done.history) if done else ()
        self._callbacks.on_repeat_end(RepeatResult(trial.record, kept, history, self._ended, self._asked))

    HANDLERS: ClassVar[dict[type[Message], Callable[..., Reaction]]] = {
        EpochEnded: _on_epoch,
        Repeated: _on_repeated,
        Failed: _on_failed,
    }
