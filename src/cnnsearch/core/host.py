"""This machine's cores and memory, and the memory of its processes."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnnsearch.core import gpus, host


def rss() -> int:
    """Bytes of memory that this process holds."""
    import psutil

    return held(psutil.Process().memory_info())


def held(info: Any) -> int:
    """Bytes of memory that are a process's own, by what psutil tells of it.

    Pages of mapped files are not counted, where that is known: the system takes them back when memory is short, so
    that images mapped from a file larger than all memory do no harm.
    """
    return int(info.rss - getattr(info, "shared", 0))


def free_memory() -> int:
    """Bytes of main memory that are free."""
    import psutil

    return int(psutil.virtual_memory().available)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def noise_to(log: Path) -> Iterator[None]:
    """What a backend's native code prints to stderr goes to the file `log` meanwhile."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


LEAST = 512 << 20
"""Bytes of memory that a worker may be held to at the least: with JAX it holds 0.4 GiB when it has started, with
TensorFlow 0.8 GiB."""


SHARE = 0.9
"""Of the machine's memory that all workers together may take."""


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


MOST_JOBS = 4
"""Workers on a CPU unless asked for."""


EACH = 1 << 30
"""Bytes that a worker holds, about: most of it is its backend."""


def share(jobs: int | None) -> tuple[int, int]:
    """How many workers, and how many threads each: by the GPUs (`gpus.workers`); on a CPU one a core, up to MOST_JOBS
    and as far as memory goes.

    Small networks use one thread better than two: two workers of one thread gave 1.5 times the trials of one
    worker of two threads (two cores, networks of 1 to 2 million multiply-adds on MNIST).
    """
    cores, memory = host.cores(), host.memory()
    on_cpu = min(cores, MOST_JOBS, max(1, memory // EACH - 1))
    workers = jobs or gpus.workers(gpus.gpus(), cores, memory) or on_cpu
    return workers, max(1, cores // workers)
