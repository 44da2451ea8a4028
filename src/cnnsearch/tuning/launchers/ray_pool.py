"""The actors and workers of a search on a Ray cluster: where they are placed, how they start, and how they end."""

import contextlib
import itertools
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import ray

from cnnsearch.study.config import SearchConfig
from cnnsearch.tuning.launchers.fork_server import SWITCH
from cnnsearch.tuning.launchers.ray_cluster import FOLLOW, RayCluster
from cnnsearch.tuning.launchers.ray_remote import RemoteActor, RemoteWorker
from cnnsearch.tuning.launchers.ray_worker import Assignment, NodeFacts

FORWARDED = ("KERAS_BACKEND", "KERAS_HOME", "TF_ENABLE_ONEDNN_OPTS", "TF_DETERMINISTIC_OPS", SWITCH)
"""The environment variables of the parent that workers get, too."""

CLOSING = 5.0
"""Seconds that actors may take to end their workers, and then to remove their files."""


class RayPool:
    """The workers of a search, each in its slot, and the actors that carry them.

    Attributes:
        workers: the worker in each slot. It may wait for an actor, and its process for the data.
    """

    def __init__(
        self, config: SearchConfig, jobs: int, cluster: RayCluster, search: str, call: Callable[..., None]
    ) -> None:
        """`call(actor, worker, method, *arguments)` calls a method of an actor; `search` is a name for this search."""
        self.workers: dict[int, RemoteWorker] = {}
        self._resources, self._most = config.resources, jobs
        self._plans = not config.study.space.model
        self._logs = config.study.folder.resolve() / "logs"
        self._cluster, self._search, self._call = cluster, search, call
        self._actors: list[RemoteActor] = []
        self._lives = itertools.count()
        self._stops: list[Any] = []
        self._followed = 0.0
        self._settings: dict[str, Any] = {}
        self._files: list[Any] = []
        self._data: list[Any] = []

    def fill(self, most: int = 0) -> None:
        """Start workers in the free slots: in `most` slots, or in as many as the search should have."""
        self._place([slot for slot in range(most or self._wanted()) if slot not in self.workers])

    def give(self, settings: dict[str, Any], files: Any, data: Any) -> None:
        """Start the workers that wait for the data. `files` and `data` are in Ray's object store from now on."""
        self._settings, self._files, self._data = settings, [ray.put(files)], [ray.put(data)]
        for worker in self.workers.values():
            if worker.actor.node and not worker.started:
                self.start(worker)

    def use_settings(self, settings: dict[str, Any]) -> None:
        """Start later workers with these settings."""
        self._settings = settings

    def placed(self, actor: RemoteActor, node: NodeFacts) -> None:
        """Ray has placed an actor on a node: its workers start."""
        actor.node = node
        for worker in actor.workers:
            self.start(worker)

    def start(self, worker: RemoteWorker) -> None:
        """Start a process in a placed actor, as soon as the data is loaded."""
        before, worker.life = worker.life, next(self._lives)
        worker.ready, worker.started = False, bool(self._data)
        if self._data:
            assignment = Assignment(
                life=worker.life,
                replaces=before,
                settings=self._settings,
                threads=max(1, math.floor(self._cluster.cpus)),
                environment={name: os.environ[name] for name in FORWARDED if name in os.environ},
                gpus=self._cluster.gpus,
                memory=self._resources.memory,
                cpus=self._cluster.cpus,
                workers=len(self.workers),
                actor_size=worker.actor.size,
                plans=self._plans,
            )
            self._call(worker.actor, worker, "start", assignment, self._files, self._data)

    def restart(self, slot: int) -> None:
        """Start a new process in a slot, on another node if its own was lost."""
        worker = self.workers.get(slot)
        if worker and worker.actor.node and not worker.actor.lost:
            self.start(worker)
        else:
            self.stop(slot)
            self._place([slot])

    def stop(self, slot: int) -> None:
        """End the worker in a slot."""
        worker = self.workers.pop(slot, None)
        if worker is None:
            return
        actor = worker.actor
        actor.workers.remove(worker)
        if actor.node and not actor.lost:
            # it stays for other workers, and removes its node's folder in the end
            self._stops.append(actor.handle.stop.remote(worker.life))
        elif not actor.workers:
            self._end(actor)

    def lost(self, actor: RemoteActor) -> None:
        """An actor has ended, for example with its node."""
        actor.lost = True
        self._actors.remove(actor)

    def follow(self) -> None:
        """Fill the room of nodes that joined, and give up what waits for nodes that left.

        Raises:
            CnnsearchError: if the cluster does not answer any more.
        """
        now = time.monotonic()
        if now - self._followed < FOLLOW:
            return
        self._followed = now
        self._cluster.check()
        for actor in [actor for actor in self._actors if actor.is_too_large]:
            self._split(actor)
        # with a number of jobs, the slots do not change
        if self._resources.jobs:
            return
        self.fill()
        waiting = [slot for slot in sorted(self.workers) if not self.workers[slot].actor.node]
        for slot in waiting[: max(0, len(self.workers) - self._wanted())]:
            self.stop(slot)

    def close(self) -> None:
        """End the actors and their workers, and remove the folders of their nodes."""
        # in a thread: Ray waits without end for the answer of a lost head
        ending = threading.Thread(target=self._end_all, daemon=True)
        ending.start()
        ending.join(3 * CLOSING)

    def _end_all(self) -> None:
        # the cluster may be gone, and its actors with it
        with contextlib.suppress(Exception):
            for slot in sorted(self.workers):
                self.stop(slot)
            _wait(self._stops)
            # the workers of a node have one folder
            nodes = {actor.node.id: actor for actor in self._actors if actor.node}
            _wait([actor.handle.remove.remote() for actor in nodes.values()])
            for actor in list(self._actors):
                self._end(actor)

    def _end(self, actor: RemoteActor) -> None:
        """End an actor that carries no worker."""
        if not actor.lost:
            actor.end()
        if actor in self._actors:
            self._actors.remove(actor)

    def _wanted(self) -> int:
        """The number of slots: with `--jobs auto` as many as there is room for."""
        return self._most if self._resources.jobs else max(1, min(self._most, self._cluster.room))

    def _split(self, actor: RemoteActor) -> None:
        """Replace an actor that waits for room by smaller ones."""
        slots = [worker.slot for worker in actor.workers]
        for slot in slots:
            self.stop(slot)
        self._place(slots, most=1)

    def _place(self, slots: list[int], most: int = 0) -> None:
        """Start workers in these slots: in actors that have room for more, else in new ones.

        Ray places a new actor as soon as a node has room. `most`: how many workers it may carry; 0: as many as fit.
        """
        for done, slot in enumerate(slots):
            actor = next((actor for actor in self._actors if actor.free), None)
            if actor is None:
                present = [(actor.size, actor.node.id if actor.node else "") for actor in self._actors]
                actor = self._new_actor(most or self._cluster.largest(len(slots) - done, present))
            worker = self.workers[slot] = RemoteWorker(slot, actor, self._logs)
            actor.workers.append(worker)
            if actor.node:
                self.start(worker)

    def _new_actor(self, size: int) -> RemoteActor:
        actor = RemoteActor(size, self._cluster.cpus, self._cluster.gpus, self._search)
        self._actors.append(actor)
        self._call(actor, None, "facts")
        self._call(actor, None, "receive")
        return actor


def _wait(calls: list[Any]) -> None:
    """Wait until calls of actors are done, or CLOSING seconds."""
    if calls:
        ray.wait(calls, num_returns=len(calls), timeout=CLOSING)
