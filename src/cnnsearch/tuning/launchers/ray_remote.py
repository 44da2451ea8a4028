"""Workers on a Ray cluster as the parent sees them, and the actors that carry them."""

import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import ray

from cnnsearch.tuning.launchers.log_reader import LogReader
from cnnsearch.tuning.launchers.ray_worker import NodeFacts, RayWorkers

PLACED = 60.0
"""An actor for several workers that has no node after so many seconds is replaced by actors for one worker each."""


class RemoteWorker:
    """The worker in a slot.

    Attributes:
        life: the number of its present process, -1 before the first. Messages of an earlier one are dropped.
        ready: whether the process has loaded data and backend.
        started: whether the process was started.
        memory: bytes that the process held at the last answer.
    """

    def __init__(self, slot: int, actor: "RemoteActor", logs: Path) -> None:
        self.slot, self.actor, self.log = slot, actor, logs / f"worker-{slot}.log"
        self.reader = LogReader(self.log)
        self.life, self.memory = -1, 0
        self.ready = self.started = False

    def append_log(self, content: bytes) -> None:
        """Add what the process printed to the log in the study's folder."""
        if content:
            with self.log.open("ab") as log:
                log.write(content)


class RemoteActor:
    """An actor, which reserves the cores of `size` workers on a node and carries them.

    Attributes:
        node: where it is; None while it waits for room.
        workers: those that it carries.
        lost: whether it has ended, for example with its node.
    """

    def __init__(self, size: int, cpus: float, gpus: float, search: str) -> None:
        """`cpus` and `gpus` are those of one worker."""
        self.size = size
        self.node: NodeFacts | None = None
        self.workers: list[RemoteWorker] = []
        self.lost = False
        self._created = time.monotonic()
        actor_class: Any = ray.remote(concurrency_groups={"receive": 1})(RayWorkers)
        options = {"num_cpus": size * cpus, "num_gpus": size * gpus, "max_restarts": 0}
        self.handle = actor_class.options(**options).remote(search)

    @property
    def free(self) -> bool:
        """Whether it can carry one more worker."""
        return not self.lost and len(self.workers) < self.size

    @property
    def is_too_large(self) -> bool:
        """Whether no node had room for so many workers for PLACED seconds."""
        return self.node is None and self.size > 1 and time.monotonic() - self._created > PLACED

    def end(self) -> None:
        """End it at once."""
        self.lost = True
        ray.kill(self.handle)


class Arrival(NamedTuple):
    """The answer of an actor to a call: `what` was called, for which worker, and its future result."""

    actor: RemoteActor
    worker: RemoteWorker | None
    what: str
    future: "Future[Any]"
