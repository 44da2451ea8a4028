"""The cores, the memory and the backend of this machine, and how many workers it can run."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from cnnsearch.core import gpus


def rss() -> int:
    """Bytes of memory of this process, without mapped files."""
    return own_memory(psutil.Process().memory_info())


def own_memory(info: Any) -> int:
    """Bytes of memory of a process without mapped files; `info` is what psutil's `memory_info` gives.

    The system frees pages of mapped files when memory is short, so images may be mapped from a file that is larger than
    the memory. Systems that do not tell these pages apart count them.
    """
    return int(info.rss - getattr(info, "shared", 0))


def backend_to_come(environment: Mapping[str, str] = os.environ) -> str:
    """The backend that Keras will choose in a process with this environment; empty if it is not known before."""
    if "KERAS_BACKEND" in environment:
        return environment["KERAS_BACKEND"]
    folder = Path(environment.get("KERAS_HOME") or "~/.keras").expanduser()
    try:
        return str(json.loads((folder / "keras.json").read_text("utf-8"))["backend"])
    except (OSError, ValueError, LookupError):
        return ""


def free_memory() -> int:
    """Bytes of main memory that are free."""
    return int(psutil.virtual_memory().available)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def stderr_to(log: Path) -> Iterator[None]:
    """Inside, everything that is printed to stderr, also by native code, goes to the file `log`."""
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


@contextlib.contextmanager
def process_restored() -> Iterator[None]:
    """Restore the current folder, and a recursion limit that was lowered inside, as plugin code may do."""
    limit, folder = sys.getrecursionlimit(), ""
    # the folder may have been deleted
    with contextlib.suppress(OSError):
        folder = os.getcwd()  # noqa: PTH109
    try:
        yield
    finally:
        if sys.getrecursionlimit() < limit:
            sys.setrecursionlimit(limit)
        with contextlib.suppress(OSError):
            os.chdir(folder)


LEAST_WORKER_MEMORY = 512 << 20
"""The smallest limit of a worker's memory, in bytes. A started worker has 0.4 GiB with JAX, 0.8 GiB with TensorFlow."""

WORKERS_SHARE = 0.9
"""The share of the machine's memory that all workers together may use."""


def memory_allowed(jobs: int) -> int:
    """The default limit of the memory of each of `jobs` workers, in bytes."""
    return int(WORKERS_SHARE * memory() / max(1, jobs))


def memory() -> int:
    """Bytes of main memory of the machine, or of the container if that has less."""
    total = int(psutil.virtual_memory().total)
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return min(total, int(Path(name).read_text()))
        except (OSError, ValueError):
            continue
    return total


MOST_JOBS = 4
"""The most workers on a CPU, unless the user asks for more."""

WORKER_MEMORY = 1 << 30
"""About how many bytes a worker needs; most of it is for its backend."""


def workers_and_threads(jobs: int | None) -> tuple[int, int]:
    """The number of workers, and of threads for each; `jobs` is the number that the user asks for.

    On GPUs `gpus.workers` decides. On a CPU there is one worker for each core, MOST_JOBS at most, and no more than
    memory allows. Two workers of one thread gave 1.5 times the trials of one worker of two threads (two cores,
    networks of 1 to 2 million multiply-adds on MNIST).
    """
    count, total = cores(), memory()
    on_cpu = min(count, MOST_JOBS, max(1, total // WORKER_MEMORY - 1))
    workers = jobs or gpus.workers(gpus.gpus(), count, total) or on_cpu
    return workers, max(1, count // workers)


def held_by(pid: int) -> int:
    """Bytes of memory that a process holds, without mapped files; 0 for a process that has ended."""
    try:
        return own_memory(psutil.Process(pid).memory_info())
    except psutil.Error:
        return 0
