"""How long a worker may be silent and how much memory it may take: what is above that is taken for broken."""

from collections.abc import Iterable

from cnnsearch.core import host
from cnnsearch.core.host import memory
from cnnsearch.study.config import Settings
from cnnsearch.study.trial import Record
from cnnsearch.tuning.launchers.local import Child

PATIENCE = 20
"""A worker may be silent for that many times as long as an epoch should take."""

SHORTEST, UNKNOWN = 600.0, 3600.0
"""Seconds of silence that are always allowed, and those that are while nothing is known of an epoch's length."""


STARVED = 0.7
"""A worker that is killed from outside with this part of its allowance in use is taken for one out of memory."""


def broken(
    child: Child, running: Record, started: float, heard: float, now: float, settings: Settings, ended: list[Record]
) -> tuple[str, str] | None:
    """The type of failure and the reason, where a worker that trains `running` is to be given up.

    `started` and `heard` (from last) are moments of the clock that `now` is read from, in seconds.
    """
    limit, allowed = settings.trial_timeout, settings.memory
    if limit and now - started > limit:
        return "timeout", f"it took longer than {limit:g} s"
    if now - heard > SHORTEST:
        silence = silence_allowed(running, ended)
        if now - heard > silence:
            return "timeout", f"it ended no epoch for {silence:,.0f} s, far longer than others take"
    child.rss = held(child.process.pid) or child.rss
    if allowed and child.rss > allowed:
        taken, most = child.rss / 2**30, allowed / 2**30
        return "oom", f"its worker grew to {taken:.1f} GiB; {most:.1f} GiB are allowed (--memory)"
    return None


def death(child: Child, allowed: int, retried: bool) -> tuple[str, str]:
    """The type of failure and the reason of a trial whose worker ended; no type: it is given a second chance.

    `allowed` are the bytes of memory that the worker could hold, 0 for the machine's; `retried`: it had its chance.
    """
    code = child.process.returncode
    how = f"its worker process ended by {'signal' if code < 0 else 'exit code'} {abs(code)}"
    if child.nonsense:
        how = f"its worker sent an invalid message; see {child.log.name}"
    if code == -9 and child.rss > STARVED * (allowed or memory()):
        return "oom", f"{how}, at {child.rss / 2**30:.1f} GiB"
    return ("killed", f"{how}, for the second time") if retried else ("", how)


def silence_allowed(running: Record, ended: Iterable[Record]) -> float:
    """Seconds that may pass between two messages of a trial in training, going by the slowest trial so far."""
    slowest = [
        record.seconds / (record.epochs - record.resumed) * max(1.0, running.macs / record.macs if record.macs else 1.0)
        for record in ended
        if record.epochs > record.resumed and record.seconds
    ]
    return max(SHORTEST, PATIENCE * max(slowest)) if slowest else UNKNOWN


def held(pid: int) -> int:
    """Bytes of memory that a process holds; 0 for one that is gone."""
    import psutil

    try:
        return host.own_memory(psutil.Process(pid).memory_info())
    except psutil.Error:
        return 0
