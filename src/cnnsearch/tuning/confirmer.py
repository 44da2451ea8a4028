"""Trains the top of a study again on fresh seeds, on the workers that its search left warm."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from cnnsearch.core import messages
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.messages import Decision, Message, Question, answer_without_trial
from cnnsearch.study import study as studies
from cnnsearch.study.config import Settings
from cnnsearch.study.confirmation import Repeat, repeat_seed
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Record
from cnnsearch.tuning import supervisor
from cnnsearch.tuning.callbacks.base import Display
from cnnsearch.tuning.callbacks.mlflow import Tracker
from cnnsearch.tuning.dispatch import UnknownTrialError, dispatch
from cnnsearch.tuning.launchers.local import Child, Pool
from cnnsearch.tuning.progress import Repeated
from cnnsearch.tuning.signals import Stop

SHARE = 0.2
"""Of a limited time may be left for confirming; more is missed where time is short (docs/confirming.md)."""


@dataclass
class Turn:
    """A repeat in training."""

    repeat: Repeat
    started: float
    heard: float


def missing(study: Study, records: Iterable[Record], chosen: Iterable[int], seeds: int) -> list[Repeat]:
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


def leaders(records: Iterable[Record], top: int, maximize: bool) -> list[int]:
    """The numbers of the `top` complete trials by the scores that they were first given."""
    complete = [record for record in records if record.state == "complete" and record.score is not None]
    sign = -1 if maximize else 1
    return [record.number for record in sorted(complete, key=lambda r: (sign * (r.score or 0.0), r.number))[:top]]


def reserve(settings: Settings, records: list[Record], maximize: bool, start: float, had: Mapping[int, int]) -> float:
    """Seconds of a limited time to be left for confirming: what it may take, but no more than SHARE.

    Nothing where that would not do for one fresh seed of each: a short search gains more by going on. `start`: seconds
    that a worker takes to start, since those that are busy when the time is up are ended. `had`: how many repeats each
    trial has by now.
    """
    top, seeds = settings.confirm
    chosen = set(leaders(records, top, maximize))
    short = [(record, seeds - had.get(record.number, 0)) for record in records if record.number in chosen]
    each = [(expected_seconds(record, settings.epochs), count) for record, count in short if count > 0]
    if not each:
        return 0.0
    most, jobs, longest = settings.timeout * SHARE, max(1, settings.jobs), max(seconds for seconds, _ in each)
    # one training is not shared between workers
    once = start + max(longest, sum(seconds for seconds, _ in each) / jobs)
    whole = start + max(longest, sum(seconds * count for seconds, count in each) / jobs)
    return min(most, whole) if once <= most else 0.0


def expected_seconds(record: Record, epochs: int) -> float:
    """How long a trial takes at full length, going by how long it took."""
    # epochs of before a cut were not timed
    return record.seconds * max(1.0, epochs / max(1, record.epochs - record.resumed))


def in_time(record: Record, epochs: int, until: float) -> bool:
    """Whether a repeat of this trial that is begun now ends by the moment `until`."""
    return time.monotonic() + expected_seconds(record, epochs) <= until


def on_a_pool(
    settings: Settings, study: Study, waiting: list[Repeat], tracker: Tracker, stop: Stop, show: Display
) -> list[Repeat]:
    """Train these on workers of their own; gives back those that were not."""
    if not waiting:
        return []
    jobs = min(settings.jobs, len(waiting))
    until = time.monotonic() + settings.timeout if settings.timeout else math.inf
    with stop.deferred():
        pool = Pool(settings, jobs)
        try:
            return Repeats(settings, study, pool, tracker, stop, show).run(waiting, until)
        finally:
            pool.close()


class Repeats:
    """One round through what is `waiting`: each repeat is trained at full length and kept in the study."""

    def __init__(
        self,
        settings: Settings,
        study: Study,
        pool: Pool,
        tracker: Tracker,
        stop: Stop,
        show: Display,
    ) -> None:
        self.settings, self.study, self.pool, self.tracker = settings, study, pool, tracker
        self.stop, self.show = stop, show
        self.records = {record.number: record for record in study.records()}
        self.waiting: list[Repeat] = []
        self.turns: dict[Child, Turn | None] = {}
        self.until, self.leased = math.inf, time.monotonic()
        self.asked = self.ended = 0
        self.retried: set[tuple[int, int]] = set()

    def run(self, waiting: list[Repeat], until: float = math.inf) -> list[Repeat]:
        """Train these until the moment `until`; gives back those that were not. None is begun that would end later.

        Raises:
            CnnsearchError: if the dataset has changed, or no worker can be started.
        """
        self.waiting, self.until, self.asked = list(waiting), until, len(waiting)
        # a search whose time was up has ended the workers that were busy
        self.pool.fill()
        self.turns = dict.fromkeys(self.pool.children)
        for child in list(self.turns):
            if child.ready:
                self._hand_out(child)
        while (self._left() or any(self.turns.values())) and not self.stop.asked and time.monotonic() < until:
            self._step()
        unfinished = [turn.repeat for turn in self.turns.values() if turn]
        for child, turn in self.turns.items():
            if turn:
                self.pool.remove(child)
        return [*unfinished, *self.waiting]

    def _left(self) -> bool:
        """Whether there is something waiting that can still be trained in time."""
        return any(self._in_time(repeat) for repeat in self.waiting)

    def _in_time(self, repeat: Repeat) -> bool:
        return in_time(self.records[repeat.trial], self.settings.epochs, self.until)

    def _step(self) -> None:
        heard = self.pool.hear(0.5)
        self.tracker.check()
        self._supervise()
        if time.monotonic() - self.leased > studies.LEASE / 4:
            self.leased = time.monotonic()
            studies.lease(self.study)
        if heard is None or heard.child not in self.turns:
            return
        if heard.message is None:
            self._gone(heard.child)
            return
        if turn := self.turns[heard.child]:
            turn.heard = time.monotonic()
        if not dispatch(self.HANDLERS, self, heard.child, heard.message):
            self._answer_unknown(heard.child, heard.message)

    def _answer_unknown(self, child: Child, message: Message) -> None:
        """Answer a worker that asked about a trial which it does not have, or replace it."""
        if not isinstance(message, Question):
            return
        if answer := answer_without_trial(message):
            child.send(answer)
        else:
            self._replace(child)

    def _hand_out(self, child: Child) -> None:
        self.turns[child] = None
        repeat = next(filter(self._in_time, self.waiting), None)
        if repeat is None:
            return
        self.waiting.remove(repeat)
        now, record = time.monotonic(), self.records[repeat.trial]
        self.turns[child] = Turn(repeat, now, now)
        child.send(messages.RepeatTrial(trial=record.number, seed=repeat.seed, plan=record.plan, values=record.params))

    def _supervise(self) -> None:
        now, ended = time.monotonic(), list(self.records.values())
        for child, turn in list(self.turns.items()):
            if turn is None:
                continue
            record = self.records[turn.repeat.trial]
            found = supervisor.broken(child, record, turn.started, turn.heard, now, self.settings, ended)
            if found:
                self._keep(turn.repeat._replace(reason=": ".join(found)), [])
                self._replace(child)

    def _on_loading(self, child: Child, message: messages.Loading) -> None:
        self.show.loading(message.done, message.total)

    def _on_ready(self, child: Child, message: messages.Ready) -> None:
        self.pool.ready(child)
        studies.check_same_data(self.study, message.dataset)
        self.tracker.begin(self.study)
        self._hand_out(child)

    def _on_epoch_ended(self, child: Child, message: messages.EpochEnded) -> None:
        self._turn(child, message)
        child.send(messages.Go(trial=message.trial, id=message.id, decision=Decision.CONTINUE))

    def _on_repeated(self, child: Child, message: messages.Repeated) -> None:
        turn, history = self._turn(child, message), message.history
        seconds = round(message.seconds, 3)
        self._keep(turn.repeat._replace(score=message.score, epochs=len(history), seconds=seconds), history)
        child.rss = message.rss
        self._hand_out(child)

    def _on_failed(self, child: Child, message: messages.Failed) -> None:
        reason = f"{message.kind}: {message.reason}"
        repeat = self._turn(child, message).repeat
        self._keep(repeat._replace(reason=reason, seconds=round(message.seconds, 3)), [])
        self._replace(child)

    def _on_fatal(self, child: Child, message: messages.Fatal) -> None:
        raise CnnsearchError(message.message)

    HANDLERS: ClassVar[dict[type[Message], Callable[..., None]]] = {
        messages.Loading: _on_loading,
        messages.Ready: _on_ready,
        messages.EpochEnded: _on_epoch_ended,
        messages.Repeated: _on_repeated,
        messages.Failed: _on_failed,
        messages.Fatal: _on_fatal,
    }
    """The method for each type of message."""

    def _gone(self, child: Child) -> None:
        """A worker ended: what it trained is tried once more."""
        self.pool.check_start(child)
        code = child.process.returncode
        if turn := self.turns[child]:
            again = (turn.repeat.trial, turn.repeat.seed)
            if again in self.retried:
                self._keep(turn.repeat._replace(reason=f"killed: its worker ended twice (code {code})"), [])
            else:
                self.retried.add(again)
                self.waiting.insert(0, turn.repeat)
        self._replace(child)

    def _keep(self, repeat: Repeat, history: list[dict[str, float]]) -> None:
        self.study.add_repeat(repeat._asdict())
        self.tracker.repeat(self.records[repeat.trial], repeat, history)
        self.ended += 1
        first = self.records[repeat.trial].score or 0.0
        self.show.repeated(Repeated(repeat, first, self.ended, self.asked))

    def _replace(self, child: Child) -> None:
        del self.turns[child]
        self.turns[self.pool.replace(child)] = None

    def _turn(self, child: Child, message: Message) -> Turn:
        """The repeat that this message of the worker is about.

        Raises:
            UnknownTrialError: if the worker does not train that trial.
        """
        turn = self.turns[child]
        if turn is None or turn.repeat.trial != message.trial:
            raise UnknownTrialError
        return turn
