"""The limits of workers: how long one may send nothing, and how much memory it may hold."""

from collections.abc import Iterable

from cnnsearch.core.host import memory
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.launchers.base import LostWorker
from cnnsearch.tuning.trial_source import Active

PATIENCE = 20
"""A worker may send nothing for this many times the expected length of an epoch."""

SHORTEST, UNKNOWN = 600.0, 3600.0
"""Seconds without a message that are always allowed, and that are allowed if the length of an epoch is not known."""


STARVED = 0.7
"""A worker that is killed while it holds more than this part of its memory limit counts as out of memory."""


class Limits:
    """What a worker may take, of time and of memory; what takes more is ended.

    Attributes:
        trial_timeout: seconds for one trial; 0 for no limit.
    """

    def __init__(self, trial_timeout: float, memory: int) -> None:
        """`trial_timeout` in seconds, `memory` in bytes of one worker; 0 for no limit."""
        self.trial_timeout, self._memory = trial_timeout, memory

    def broken(self, trial: Active, now: float, held: int, ended: Iterable[Trial]) -> tuple[str, str] | None:
        """The kind of failure and the reason, where the worker of this trial is to be ended.

        `now` by `time.monotonic`; `held`: bytes that the worker holds; `ended`: earlier trials.
        """
        if self.trial_timeout and now - trial.since > self.trial_timeout:
            return "timeout", f"it took longer than {self.trial_timeout:g} s"
        if now - trial.last_message > SHORTEST:
            silence = allowed_silence(trial.record, ended)
            if now - trial.last_message > silence:
                return "timeout", f"it ended no epoch for {silence:,.0f} s, much longer than the other trials"
        if self._memory and held > self._memory:
            taken, most = held / 2**30, self._memory / 2**30
            return "oom", f"its worker used {taken:.1f} GiB of memory; the limit is {most:.1f} GiB (--memory)"
        return None


MACHINES = 10
"""A trial fails if it loses its machine more often than this and ends no further epoch: it may be the cause."""


def failure_of_lost_worker(lost: LostWorker, allowed: int, retried: bool, moves: int = 0) -> tuple[str, str]:
    """The kind of failure and the reason of a trial whose worker ended; an empty kind: the trial is requeued.

    Args:
        lost: the worker.
        allowed: the bytes of memory that it could hold, 0 for the machine's.
        retried: whether its trial was requeued once already.
        moves: how often the trial has lost its machine before, since its last further epoch.
    """
    code = lost.code
    if lost.machine:
        lost_too = "its machine was lost, or no longer reached"
        return ("killed", f"{lost_too}, {moves + 1} times at the same epoch") if moves >= MACHINES else ("", lost_too)
    how = f"its worker process ended by {'signal' if code < 0 else 'exit code'} {abs(code)}"
    if lost.invalid:
        how = f"its worker sent an invalid message; see {lost.log}"
    if code == -9 and lost.memory > STARVED * (lost.allowed or allowed or memory()):
        return "oom", f"{how}, at {lost.memory / 2**30:.1f} GiB"
    return ("killed", f"{how}, for the second time") if retried else ("", how)


def allowed_silence(running: Trial, ended: Iterable[Trial]) -> float:
    """The seconds allowed between two messages of a trial in training, estimated from the slowest trial so far."""
    slowest = [
        record.seconds / (record.epochs - record.resumed) * max(1.0, running.macs / record.macs if record.macs else 1.0)
        for record in ended
        if record.epochs > record.resumed and record.seconds
    ]
    return max(SHORTEST, PATIENCE * max(slowest)) if slowest else UNKNOWN
