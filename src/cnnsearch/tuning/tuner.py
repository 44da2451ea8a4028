"""The loop that runs trials on workers: one for searches, confirmations and controlled trials."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Generic

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.messages import Described, Fatal, Loading, Message, Question, Ready, Saved, answer_without_trial
from cnnsearch.study import lease
from cnnsearch.study.study import Study
from cnnsearch.tuning import supervisor
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.event_queue import EventQueue
from cnnsearch.tuning.launchers.base import Launcher, LostWorker, WorkerEvent
from cnnsearch.tuning.signals import SignalHandler
from cnnsearch.tuning.trial_source import A, End, EndReason, Reaction, TrialSource, WorkerAction

GROWTH = 1 << 30
"""A worker is restarted if it holds this many bytes more than in its first trial: Keras does not free all memory."""

CHECK = 0.5
"""Seconds between two checks of the time limit and of all workers."""

QUIET = 0.02
"""Seconds. If no message comes for this long, no worker waits for an answer, and the storage is written."""

DESCRIBING = (60.0, 600.0)
"""Seconds that a worker may always take to draw the default point, and those where trials have no limit."""

DESCRIBE_TRIES = 3
"""So many workers in a row may end while they draw the default point."""

SAVING = 60.0
"""Seconds that a worker may take to save a model when the tuner ends; 3 if the user stopped it."""


class Tuner(Generic[A]):
    """Runs the trials of a source on the workers of a launcher.

    Attributes:
        active: the trials that workers have, by slot.
        busy: by slot, the time since which a worker does something else, such as saving a model.
        describing: those of them that draw the default point.
    """

    def __init__(
        self,
        study: Study,
        source: TrialSource[A],
        launcher: Launcher,
        limits: supervisor.Limits,
        stop: SignalHandler,
        callbacks: TunerCallback,
    ) -> None:
        self.study, self.source, self.launcher, self.limits = study, source, launcher, limits
        self.stop, self.callbacks = stop, callbacks
        self._events = EventQueue(launcher)
        self.active: dict[int, A] = {}
        self.busy: dict[int, float] = {}
        self.describing: set[int] = set()
        self._not_described = 0
        self._memory: dict[int, tuple[int, int]] = {}
        self._leased, self._checked = time.monotonic(), 0.0
        self._ending = self._storage_away = False

    def run(self) -> End:
        """Run trials until the source ends. Trials that run then are interrupted.

        Raises:
            CnnsearchError: if nothing can be trained: the dataset, a plugin or every worker fails.
        """
        self.source.attach(self.active)
        self._assign_trials()
        try:
            while (end := self._end()) is None:
                self._step()
            self._settle()
        finally:
            self._ending = True
            for slot in list(self.active):
                self.source.interrupt(self.active.pop(slot))
                self._stop(slot)
            self._events.put_back()
        return end

    def _end(self) -> End | None:
        if self.stop.requested:
            return End(EndReason.INTERRUPTED)
        return self.source.end(idle=not self.active and not self.busy and not self._storage_away)

    def _step(self) -> None:
        """Wait for one event and handle it."""
        event = self._events.next(QUIET)
        if event is None:
            self.study.write()
            event = self._events.next(0.5)
        if time.monotonic() - self._checked > CHECK:
            self._checked = time.monotonic()
            self.source.check_time()
            self._supervise()
        self.callbacks.on_step_end()
        if event is None:
            self.source.show_status()
        else:
            self._handle(event)
        # at a time limit the source may have one trial more
        idle = event is None and not (self.active or self.busy)
        if self._storage_away or idle:
            self._assign_trials()

    def _settle(self) -> None:
        """Wait until workers have saved their models, and stop those that take too long."""
        self._ending = True
        until = time.monotonic() + (3 if self.stop.requested else SAVING)
        while self.busy and time.monotonic() < until:
            self._step()
        for slot in list(self.busy):
            del self.busy[slot]
            self._stop(slot)

    # -- events -----------------------------------------------------------------------------------

    def _handle(self, event: WorkerEvent) -> None:
        slot, what = event.slot, event.what
        trial = self.active.get(slot)
        if isinstance(what, LostWorker):
            self._on_lost(slot, what)
            return
        if trial:
            trial.last_message = time.monotonic()
        if own := self.HANDLERS.get(type(what)):
            own(self, slot, what)
        elif trial is None or trial.number != what.trial:
            self._on_unknown(slot, what)
        else:
            self._note_memory(slot, what)
            self._react(slot, self.source.on_message(trial, what))

    def _react(self, slot: int, reaction: Reaction) -> None:
        if reaction.answer:
            self.launcher.reply(slot, reaction.answer)
        if reaction.action is not WorkerAction.CONTINUE:
            self._take(slot)
        if reaction.after:
            reaction.after()
        if reaction.action is WorkerAction.SAVE_MODEL:
            self.busy[slot] = time.monotonic()
        elif reaction.action is WorkerAction.RESTART:
            self._restart(slot)
        elif reaction.action is WorkerAction.NEW_TRIAL:
            self._free(slot)

    def _on_loading(self, slot: int, message: Loading) -> None:
        self.callbacks.on_loading(message.done, message.total)

    def _on_ready(self, slot: int, message: Ready) -> None:
        assignment = self.source.on_ready(message)
        if assignment is None:
            self._assign_trials()
        else:
            self.busy[slot] = time.monotonic()
            self.describing.add(slot)
            self.launcher.submit(slot, assignment)

    def _on_described(self, slot: int, message: Described) -> None:
        self.busy.pop(slot, None)
        self.describing.discard(slot)
        self._not_described = 0
        self.source.on_described(message)
        self._assign_trials()

    def _on_saved(self, slot: int, message: Saved) -> None:
        if self.busy.pop(slot, None) is None:
            self._on_unknown(slot, message)
            return
        self.source.on_saved(message)
        self._free(slot)

    def _on_fatal(self, slot: int, message: Fatal) -> None:
        raise CnnsearchError(message.message)

    def _on_lost(self, slot: int, lost: LostWorker) -> None:
        if trial := self._take(slot):
            self.source.on_lost(trial, lost)
        if slot in self.describing:
            self._not_described += 1
            if self._not_described == DESCRIBE_TRIES:
                raise CnnsearchError(
                    f"{DESCRIBE_TRIES} workers ended (the last with code {lost.code}) while they drew the default "
                    f"point of the space; see {lost.log} in {self.study.folder / 'logs'}."
                )
        self._restart(slot)

    def _on_unknown(self, slot: int, message: Message) -> None:
        """Handle a message about a trial that the worker does not have: it ends that trial, or it is restarted."""
        self.launcher.note(
            slot, f"it sent {type(message).__name__} about a trial that it does not have: {message}"[:300]
        )
        answer = answer_without_trial(message) if isinstance(message, Question) else None
        if answer:
            self.launcher.reply(slot, answer)
        elif isinstance(message, Question):
            if trial := self._take(slot):
                self.source.interrupt(trial)
            self._restart(slot)
        elif slot not in self.active:
            # the worker has ended that trial
            self.busy.pop(slot, None)
            self._assign_trials()

    # -- workers ----------------------------------------------------------------------------------

    def _assign_trials(self) -> None:
        """Give a trial to each free worker while the source has one."""
        if self._ending or self.stop.requested:
            return
        self._storage_away = self.study.away
        if self._storage_away:
            return
        for slot in self.launcher.slots:
            taken = slot in self.active or slot in self.busy
            if taken or self._events.has(slot) or not self.launcher.ready(slot):
                continue
            trial = self.source.next()
            if trial is None:
                return
            self.active[slot] = trial
            self.launcher.printed(slot)
            # workers on other machines may have chosen another one
            self.launcher.submit(slot, replace(trial.assignment(), precision=self.study.precision))

    def _take(self, slot: int) -> A | None:
        """Take the trial from its worker; None if it has none. What the worker printed is the trial's log."""
        trial = self.active.pop(slot, None)
        if trial:
            self.study.add_to_log(trial.number, self.launcher.printed(slot))
        return trial

    def _free(self, slot: int) -> None:
        first, now = self._memory.get(slot, (0, 0))
        if now - first > GROWTH:
            self._restart(slot)
        self._assign_trials()

    def _restart(self, slot: int) -> None:
        self.busy.pop(slot, None)
        self.describing.discard(slot)
        self._memory.pop(slot, None)
        if self._ending:
            self._stop(slot)
        else:
            self._events.drop(slot)
            self.launcher.restart(slot)

    def _stop(self, slot: int) -> None:
        self._events.drop(slot)
        self.launcher.stop(slot)

    def _note_memory(self, slot: int, message: Message) -> None:
        held = getattr(message, "rss", 0)
        if held:
            self._memory[slot] = self._memory.get(slot, (held, held))[0], held

    def _supervise(self) -> None:
        """Restart workers that send nothing for too long or hold too much memory, and renew the study's lease."""
        now = time.monotonic()
        if now - self._leased > lease.SECONDS / 4:
            self._leased = now
            lease.renew(self.study)
        for slot, trial in list(self.active.items()):
            found = self.limits.broken(trial, now, self.launcher.memory(slot), self.source.ended())
            if found:
                self._take(slot)
                self.source.on_failure(trial, *found)
                self._restart(slot)
        for slot, since in list(self.busy.items()):
            if slot in self.describing and now - since > max(DESCRIBING[0], self.limits.trial_timeout or DESCRIBING[1]):
                seconds = now - since
                raise CnnsearchError(f"A worker did not draw the default point of the space within {seconds:.0f} s.")
            if now - since > supervisor.UNKNOWN:
                self._restart(slot)

    HANDLERS: ClassVar[dict[type[Message], Callable[..., None]]] = {
        Loading: _on_loading,
        Ready: _on_ready,
        Described: _on_described,
        Saved: _on_saved,
        Fatal: _on_fatal,
    }
    """The messages that the tuner handles itself. All others are about a trial and are passed to the source."""
