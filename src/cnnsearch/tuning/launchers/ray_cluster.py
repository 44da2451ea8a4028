"""The connection to a Ray cluster: the one of an address, the one that this machine belongs to, or a new local one."""

import atexit
import contextlib
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import ray
from ray._private import ray_constants, worker
from ray._private.utils import read_ray_address

from cnnsearch.core import host
from cnnsearch.core.errors import CnnsearchError, one_line

FOLLOW = 2.0
"""Seconds between two looks at the nodes of a cluster."""

LOST = 35.0
"""The search ends if the head of the cluster gives no answer for so many seconds. Ray ends the process after 60."""

LOCAL = "local"
"""The address that means a new Ray on this machine."""

PROBE = 10.0
"""Seconds that a cluster may take to accept a connection."""

TOGETHER = 8
"""The most workers that one actor carries. Each actor costs about a second of CPU to start, and they end together."""

GPU_PER_TRIAL = 0.25
"""The part of a GPU that a trial gets if the user names none."""


class RayCluster:
    """A connection to Ray.

    Attributes:
        cpus: how many cores a trial gets.
        gpus: how many GPUs a trial gets.
        local: whether Ray was started on this machine for this connection, and ends with it.
    """

    def __init__(self, address: str, jobs: int, cpus: float, gpus: float | None) -> None:
        """`jobs`: how many trials run at the same time; 0: as many as the cluster has room for.

        Raises:
            CnnsearchError: if no connection is possible.
        """
        self.cpus = cpus
        self._own = not ray.is_initialized()
        self.local = self._own and _connect(address, math.ceil(jobs * cpus))
        self._nodes: list[dict[str, Any]] = ray.nodes()
        self._answered = time.monotonic()
        self.gpus = gpus if gpus is not None else GPU_PER_TRIAL * bool(self._total("GPU"))
        self._closed = threading.Event()
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()

    @property
    def room(self) -> int:
        """How many trials fit on the nodes that are there now."""
        return sum(trials_that_fit(node["Resources"], self.cpus, self.gpus) for node in self._nodes if node["Alive"])

    def largest(self, workers: int, present: Iterable[tuple[int, str]]) -> int:
        """How many of these workers one new actor should carry: as many as a node has room for, at most TOGETHER.

        Workers with GPUs have an actor each, because Ray chooses their GPU. `present`: the size of each actor, and its
        node's id, empty for one that Ray has not placed yet.
        """
        if self.gpus:
            return 1
        fit = {
            node["NodeID"]: trials_that_fit(node["Resources"], self.cpus, 0) for node in self._nodes if node["Alive"]
        }
        return largest_group(workers, fit, present)

    @property
    def is_lost(self) -> bool:
        """Whether the cluster has not answered for LOST seconds."""
        return time.monotonic() - self._answered > LOST

    def check(self) -> None:
        """Check that the cluster answers.

        Raises:
            CnnsearchError: if it has not answered for LOST seconds.
        """
        if self.is_lost:
            raise connection_lost(f"it has not answered for {time.monotonic() - self._answered:.0f} s")

    def close(self) -> None:
        """Close the connection, if it was opened here. A local Ray that was started here ends."""
        self._closed.set()
        if self.is_lost:
            # Ray would wait for an answer without end, and a process that ends without its shutdown may crash
            atexit.unregister(ray.shutdown)
            atexit.register(_leave)
            return
        self._follower.join(timeout=FOLLOW)
        if self._own:
            with _own_signals():
                ray.shutdown()

    def _follow(self) -> None:
        while not self._closed.wait(FOLLOW):
            try:
                self._nodes = ray.nodes()
                self._answered = time.monotonic()
            # `check` reports it if it lasts
            except Exception:
                continue

    def _total(self, resource: str) -> float:
        return float(sum(node["Resources"].get(resource, 0) for node in self._nodes if node["Alive"]))


def last_line(text: str) -> str:
    """The last line of an error's text: Ray's errors hold whole tracebacks of other processes."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return one_line(lines[-1])[:300] if lines else ""


def connection_lost(reason: str) -> CnnsearchError:
    """The error of a search that cannot reach its cluster."""
    return CnnsearchError(
        f"The connection to the Ray cluster was lost: {reason}. Its trials are interrupted. When the cluster runs "
        "again, the same command resumes them."
    )


def trials_that_fit(resources: dict[str, float], cpus: float, gpus: float) -> int:
    """How many trials fit on a node with these resources."""
    shares = [resources.get(name, 0) / each for name, each in (("CPU", cpus), ("GPU", gpus)) if each]
    # a third of a GPU fits three times
    return int(min(shares, default=0) + 1e-6)


def largest_group(workers: int, fit: Mapping[str, int], present: Iterable[tuple[int, str]]) -> int:
    """See `RayCluster.largest`. `fit`: how many workers fit on each node."""
    room = dict(fit)
    # those without a node last, because they get what is left
    for size, node in sorted(present, key=lambda each: not each[1]):
        chosen = node or max(room, key=lambda each: room[each], default="")
        if chosen in room:
            room[chosen] -= size
    return max(1, min(workers, TOGETHER, max(room.values(), default=1)))


def _connect(address: str, cores: int) -> bool:
    """Connect to the cluster at `address`; without one, to this machine's, or start a local Ray with enough `cores`.

    The address LOCAL always starts one. Returns whether a local Ray was started.

    Raises:
        CnnsearchError: if it cannot be reached.
    """
    # lost workers are reported as failures of their trials
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    _silence()
    try:
        with _own_signals():
            found = address or _cluster_here()
            if found in ("", LOCAL):
                _start_local(max(cores, host.cores()), quiet)
                return True
            _probe(found)
            with _loopback_kept("127.0.0.1" in found or "localhost" in found):
                ray.init(found, **quiet)
            return False
    except (ConnectionError, OSError, RuntimeError, ValueError, TimeoutError) as error:
        reason = last_line(str(error)) or type(error).__name__
        where = f"Ray at {address} cannot be reached" if address else "Ray cannot be started on this machine"
        raise CnnsearchError(f"{where}: {reason}") from error


def _cluster_here() -> str:
    """The address of the cluster that this machine belongs to; empty if there is none that answers."""
    if given := os.environ.get("RAY_ADDRESS", ""):
        return given
    # `ray start` writes it to a file, which may be of a cluster that has ended
    found = str(read_ray_address() or "")
    try:
        if found:
            _probe(found)
        return found
    except (OSError, ValueError):
        return ""


def _leave() -> None:
    """End this process without Ray's shutdown."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(connection_lost("").exit_code)


def _silence() -> None:
    """Make Ray print nothing here. It would print pages about each lost node to stdout, where a search's events are."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    worker.print_to_stdstream = lambda *given, **named: None


def _start_local(cores: int, quiet: dict[str, Any]) -> None:
    """Start Ray on this machine. It listens on the loopback interface only."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with _loopback_kept(True):
        ray.init("local", num_cpus=cores, include_dashboard=False, **quiet)


def _probe(address: str) -> None:
    """Check that something listens at HOST:PORT or ray://HOST:PORT. Ray itself would try for minutes.

    Raises:
        OSError: if nothing does.
        ValueError: if it is no such address.
    """
    name, _, port = address.removeprefix("ray://").partition("/")[0].rpartition(":")
    if not name or not port.isdecimal():
        raise ValueError("expected HOST:PORT or ray://HOST:PORT")
    socket.create_connection((name.strip("[]"), int(port)), timeout=PROBE).close()


@contextlib.contextmanager
def _loopback_kept(kept: bool) -> Iterator[None]:
    """Inside, Ray uses 127.0.0.1. Else it replaces it by this machine's address and listens on every interface."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = before and not kept
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


class _own_signals:
    """Inside, Ray may set handlers of signals; after it, this process has its own again."""

    NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

    def __enter__(self) -> None:
        here = threading.current_thread() is threading.main_thread()
        self._before = {name: signal.getsignal(getattr(signal, name)) for name in self.NAMES if here}

    def __exit__(self, *error: object) -> None:
        for name, handler in self._before.items():
            if handler is not None:
                signal.signal(getattr(signal, name), handler)
