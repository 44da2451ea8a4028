"""How long a worker may be silent and how much memory it may take: what is above that is taken for broken."""

from collections.abc import Iterable
from pathlib import Path

from cnnsearch.record import Record

PATIENCE = 20
"""A worker may be silent for that many times as long as an epoch should take."""

SHORTEST, UNKNOWN = 600.0, 3600.0
"""Seconds of silence that are always allowed, and those that are while nothing is known of an epoch's length."""

SHARE = 0.9
"""Of the machine's memory that all workers together may take."""

STARVED = 0.7
"""A worker that is killed from outside with this part of its allowance in use is taken for one out of memory."""


def silence_allowed(running: Record, ended: Iterable[Record]) -> float:
    """Seconds that may pass between two messages of a trial in training, going by the slowest trial so far."""
    slowest = [
        record.seconds / record.epochs * max(1.0, running.macs / record.macs if record.macs else 1.0)
        for record in ended
        if record.epochs and record.seconds
    ]
    return max(SHORTEST, PATIENCE * max(slowest)) if slowest else UNKNOWN


def memory_allowed(jobs: int) -> int:
    """Bytes that each of `jobs` workers may hold, unless a user says otherwise."""
    return int(SHARE * memory() / max(1, jobs))


def memory() -> int:
    """Bytes of main memory: the machine's, or a container's if that has less."""
    import psutil

    total = int(psutil.virtual_memory().total)
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return min(total, int(Path(name).read_text()))
        except (OSError, ValueError):
            continue
    return total


def rss(pid: int) -> int:
    """Bytes of memory that a process holds; 0 for one that is gone."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
