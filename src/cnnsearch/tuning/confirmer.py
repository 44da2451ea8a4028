"""Confirmation: the best trials of a study trained again on new seeds."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from cnnsearch.core.messages import (
    Decision,
    EpochEnded,
    Failed,
    Go,
    Message,
    Ready,
    Repeated,
    RepeatTrial,
)
from cnnsearch.study import opening
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.confirmation import Repeat, repeat_seed, split_seed
from cnnsearch.study.ranking import best_first
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.tuning import supervisor
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.launchers.base import LostWorker
from cnnsearch.tuning.progress import RepeatResult
from cnnsearch.tuning.trial_source import End, EndReason, Reaction, TrialSource, WorkerAction

SHARE = 0.2
"""The largest part of the time limit that is kept for confirmation (docs/benchmarks/confirming.md)."""


def missing(study: Study, trials: Iterable[Trial], chosen: Iterable[int], seeds: int) -> list[Repeat]:
    """The missing repeats if each chosen trial has `seeds` repeats: the first of each trial, then the second, …"""
    done = {(found["trial"], found["seed"]) for found in study.repeats()}
    trained = {trial.number for trial in trials if trial.state == "complete"}
    every = [
        Repeat(number, repeat_seed(study, number, turn), None, split=split_seed(study, turn))
        for turn in range(seeds)
        for number in chosen
        if number in trained
    ]
    return [repeat for repeat in every if (repeat.trial, repeat.seed) not in done]


def leaders(trials: Iterable[Trial], top: int, maximize: bool) -> list[int]:
    """The numbers of the `top` complete trials with the best search scores."""
    complete = (trial for trial in trials if trial.state == "complete")
    return [trial.number for trial in best_first(complete, maximize)[:top]]


def reserve(
    config: SearchConfig, trials: list[Trial], maximize: bool, start: float, had: Mapping[int, int], workers: int
) -> float:
    """The seconds of the time limit to keep for confirmation: its expected time, at most SHARE.

    0 if that is too short for one new seed of each trial: then more trials are better than a confirmation.

    `start`: seconds that a worker takes to start, because busy workers are ended at the time limit and new ones start.
    `had`: the number of repeats of each trial so far; `workers`: how many train at the same time.
    """
    top, seeds = config.tuner.confirm
    chosen = set(leaders(trials, top, maximize))
    short = [(trial, seeds - had.get(trial.number, 0)) for trial in trials if trial.number in chosen]
    each = [(expected_seconds(trial, config.study.epochs), count) for trial, count in short if count > 0]
    if not each:
        return 0.0
    most, jobs, longest = (
        config.tuner.timeout * SHARE,
        max(1, workers),
        max(seconds for seconds, _ in each),
    )
    # one training is not shared between workers
    once = start + max(longest, sum(seconds for seconds, _ in each) / jobs)
    whole = start + max(longest, sum(seconds * count for seconds, count in each) / jobs)
    return min(most, whole) if once <= most else 0.0


def expected_seconds(trial: Trial, epochs: int) -> float:
    """The seconds of a trial with all of its epochs, estimated from its own training."""
    # `seconds` does not include the epochs before an interruption
    whole = trial.epochs if trial.cut else epochs
    return trial.seconds * max(1.0, whole / max(1, trial.epochs - trial.resumed))


def in_time(trial: Trial, epochs: int, until: float) -> bool:
    """Whether a repeat of this trial that starts now ends before `until`."""
    return time.monotonic() + expected_seconds(trial, epochs) <= until


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
        """When the worker got it; repeats are not paused."""
        return self.started

    def assignment(self) -> RepeatTrial:
        """The message that makes a worker train it."""
        record, repeat = self.record, self.repeat
        return RepeatTrial(
            trial=self.number, seed=repeat.seed, plan=record.plan, values=record.params, split=repeat.split
        )


class Confirmer(TrialSource[ActiveRepeat]):
    """Gives repeats of the best trials to the tuner and keeps their scores in the study.

    Attributes:
        waiting: the repeats that are not trained yet.
    """

    def __init__(
        self,
        study: Study,
        waiting: list[Repeat],
        epochs: int,
        until: float,
        callbacks: TunerCallback,
        memory: int = 0,
    ) -> None:
        """`waiting`: the repeats to train; `epochs`: of a trial at full length; `memory`: bytes that a worker may hold.

        A repeat that would not end before `until`, a time of `time.monotonic`, does not start.
        """
        self._study, self._callbacks, self._memory = study, callbacks, memory
        self._epochs, self._until = epochs, until
        self._records = {record.number: record for record in study.trials()}
        self._asked, self._ended = len(waiting), 0
        self._retried: set[tuple[int, int]] = set()
        self._moves: Counter[tuple[int, int]] = Counter()
        """How often each repeat, a trial's number and a seed, has lost its machine."""
        self.waiting = list(waiting)

    def on_ready(self, message: Ready) -> Message | None:
        opening.check_same_data(self._study, message.dataset)
        self._callbacks.on_study_begin(self._study)
        return None

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
        # the model that is confirmed has no more epochs
        ends = trial.record.cut and message.epoch >= trial.record.epochs
        decision = Decision.STOP if ends else Decision.CONTINUE
        return Reaction(WorkerAction.CONTINUE, Go(trial=trial.number, id=message.id, decision=decision))

    def _on_repeated(self, trial: ActiveRepeat, message: Repeated) -> Reaction:
        return Reaction(WorkerAction.NEW_TRIAL, after=lambda: self._keep(trial, message))

    def _on_failed(self, trial: ActiveRepeat, message: Failed) -> Reaction:
        reason = f"{message.kind}: {message.reason}"
        return Reaction(WorkerAction.RESTART, after=lambda: self._keep(trial, reason=reason, seconds=message.seconds))

    def on_failure(self, trial: ActiveRepeat, kind: str, reason: str) -> None:
        self._keep(trial, reason=f"{kind}: {reason}")

    def on_lost(self, trial: ActiveRepeat, lost: LostWorker) -> None:
        again = (trial.number, trial.repeat.seed)
        kind, reason = supervisor.failure_of_lost_worker(lost, self._memory, again in self._retried, self._moves[again])
        if kind:
            self.on_failure(trial, kind, reason)
            return
        if lost.machine:
            self._moves[again] += 1
        else:
            self._retried.add(again)
        self.waiting.insert(0, trial.repeat)

    def interrupt(self, trial: ActiveRepeat) -> None:
        self.waiting.insert(0, trial.repeat)

    def ended(self) -> list[Trial]:
        return list(self._records.values())

    def end(self, idle: bool) -> End | None:
        if time.monotonic() >= self._until:
            return End(EndReason.TIMEOUT)
        return End(EndReason.COMPLETE) if idle and not any(map(self._in_time, self.waiting)) else None

    def _in_time(self, repeat: Repeat) -> bool:
        return in_time(self._records[repeat.trial], self._epochs, self._until)

    def _keep(self, trial: ActiveRepeat, done: Repeated | None = None, reason: str = "", seconds: float = 0.0) -> None:
        """Store a repeat with its score, or with the reason why it has none."""
        if done:
            kept = trial.repeat._replace(
                score=done.score,
                epochs=len(done.history),
                seconds=round(done.seconds, 3),
                split=trial.repeat.split if done.fresh else None,
                images=done.images,
                right=done.right,
            )
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
