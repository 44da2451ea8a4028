"""Workers on a Ray cluster. Actors start their processes on the nodes and carry their messages."""

import queue
import secrets
import time
from collections import deque
from dataclasses import replace
from typing import Any

import ray

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.messages import Answer, LogModel, Message, Ready, UseMetric
from cnnsearch.study.config import SearchConfig
from cnnsearch.tuning.launchers import worker_files
from cnnsearch.tuning.launchers.base import LostWorker, WorkerEvent
from cnnsearch.tuning.launchers.ray_cluster import FOLLOW, RayCluster, connection_lost, last_line
from cnnsearch.tuning.launchers.ray_local import LocalProcesses
from cnnsearch.tuning.launchers.ray_pool import RayPool
from cnnsearch.tuning.launchers.ray_remote import Arrival, RemoteActor, RemoteWorker
from cnnsearch.tuning.launchers.ray_worker import NodeFacts, Received, versions
from cnnsearch.tuning.launchers.study_files import StudyFiles, unsaved
from cnnsearch.tuning.launchers.worker_process import StartCheck, WorkerProcess

GONE = (
    ray.exceptions.RayActorError,
    ray.exceptions.ObjectLostError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
)
"""The errors of an actor that is not there any more, or whose answer was lost with its node."""

DATA_LOST = 5
"""The search ends if Ray loses the data more often than this."""


class RayLauncher:
    """Starts workers on a Ray cluster; see `Launcher` for what each method does.

    A process on this machine loads the data. They go to Ray's object store, and each node writes them once to a file
    that its workers map. Checkpoints and models come back to the study's folder, unless they have an address.
    """

    def __init__(self, config: SearchConfig, jobs: int) -> None:
        resources = config.resources
        self._arrivals: queue.Queue[Arrival | tuple[WorkerProcess, Message | None]] = queue.Queue()
        self._events: deque[tuple[RemoteWorker, int, Message | LostWorker]] = deque()
        self._starts, self._lost, self._closed = StartCheck(), 0, False
        self._versions = versions()
        self._files = StudyFiles(config.study.folder.resolve())
        self._settings, self._contents = worker_files.for_nodes(config)
        fixed = jobs if resources.jobs else 0
        # while Ray starts, the data is loaded
        self._local = LocalProcesses(config, self._arrivals, self._give_data)
        try:
            self._cluster = RayCluster(resources.address, fixed, resources.cpus, resources.gpus)
        except BaseException:
            self._local.close()
            raise
        self._pool = RayPool(config, jobs, self._cluster, secrets.token_hex(6), self._call)
        if config.study.space.trains_itself:
            self._give_data()
        self.fill()

    @property
    def _workers(self) -> dict[int, RemoteWorker]:
        return self._pool.workers

    # -- slots ------------------------------------------------------------------------------------

    @property
    def slots(self) -> list[int]:
        return sorted(self._workers)

    def fill(self, most: int = 0) -> None:
        self._pool.fill(most)

    def ready(self, slot: int) -> bool:
        return slot in self._workers and self._workers[slot].ready

    def memory(self, slot: int) -> int:
        return self._workers[slot].memory

    def restart(self, slot: int) -> None:
        self._pool.restart(slot)

    def stop(self, slot: int) -> None:
        self._pool.stop(slot)

    def close(self) -> None:
        if self._closed:
            # a call of Ray would start a new local Ray
            return
        self._closed = True
        self._local.close()
        self._pool.close()
        self._cluster.close()

    # -- messages -----------------------------------------------------------------------------------

    def submit(self, slot: int, assignment: Message) -> None:
        if isinstance(assignment, LogModel) and not self._cluster.local:
            # only this machine surely reaches MLflow's store
            self._local.log_model(slot, assignment)
            return
        worker = self._workers[slot]
        message, files = self._files.sent(assignment)
        # if it fails, the trial would wait for ever
        self._call(worker.actor, worker, "send", worker.life, message, files)

    def reply(self, slot: int, answer: Answer) -> None:
        worker = self._workers[slot]
        message, files = self._files.sent(answer)
        worker.actor.handle.send.remote(worker.life, message, files)

    def printed(self, slot: int) -> bytes:
        return self._workers[slot].reader.new() if slot in self._workers else b""

    def note(self, slot: int, text: str) -> None:
        self._workers[slot].append_log(f"cnnsearch: {text}\n".encode())

    def use_metric(self, metric: str) -> None:
        self._settings = {**self._settings, "metric": metric}
        self._pool.use_settings(self._settings)
        for worker in self._workers.values():
            if worker.started:
                worker.actor.handle.send.remote(worker.life, UseMetric(metric=metric), {})

    def requeue(self, events: list[WorkerEvent]) -> None:
        back = []
        for event in events:
            worker = self._workers[event.slot]
            worker.ready &= not isinstance(event.what, Ready)
            back.append((worker, worker.life, event.what))
        self._events.extendleft(reversed(back))

    def poll(self, timeout: float) -> WorkerEvent | None:
        until = time.monotonic() + timeout
        while True:
            self._pool.follow()
            while self._events:
                if event := self._event(*self._events.popleft()):
                    return event
            left = until - time.monotonic()
            try:
                arrival = self._arrivals.get(timeout=max(0.0, min(left, FOLLOW)))
            except queue.Empty:
                if left <= 0:
                    return None
                continue
            if isinstance(arrival, Arrival):
                self._on_call(arrival)
            elif event := self._local.event(*arrival):
                return event

    def _event(self, worker: RemoteWorker, life: int, what: Message | LostWorker) -> WorkerEvent | None:
        """The event of a worker; None if it was stopped or restarted meanwhile."""
        if self._workers.get(worker.slot) is not worker or worker.life != life:
            return None
        if isinstance(what, LostWorker):
            if not worker.ready and not what.machine:
                self._starts.failed(what, worker.log, worker.reader.last_lines())
            what = replace(what, log=worker.log.name)
        if isinstance(what, Ready):
            worker.ready = True
            self._starts.started()
        return WorkerEvent(worker.slot, what)

    def _give_data(self, lines: str = "") -> None:
        """Give the data and the workers' files to Ray. `lines`: what the process printed that loaded the data.

        Raises:
            CnnsearchError: if it did not load them.
        """
        self._pool.give(self._settings, self._contents, self._local.data(lines))

    # -- calls of actors ------------------------------------------------------------------------------

    def _call(self, actor: RemoteActor, worker: RemoteWorker | None, what: str, *arguments: Any) -> None:
        """Call a method of an actor. Its result arrives in `poll`."""
        future = getattr(actor.handle, what).remote(*arguments).future()
        future.add_done_callback(lambda done: self._arrivals.put(Arrival(actor, worker, what, done)))

    def _on_call(self, arrival: Arrival) -> None:
        actor, worker = arrival.actor, arrival.worker
        if actor.lost:
            return
        try:
            result = arrival.future.result()
        except GONE as error:
            self._on_gone(actor, error)
        except ray.exceptions.RayTaskError as error:
            if worker is None or self._workers.get(worker.slot) is worker:
                self._on_task_error(arrival, error)
        except Exception as error:
            raise connection_lost(last_line(str(error)) or type(error).__name__) from error
        else:
            if isinstance(result, NodeFacts):
                self._check_versions(result)
                self._pool.placed(actor, result)
            elif isinstance(result, Received):
                self._call(actor, None, "receive")
                self._take(actor, result)

    def _on_task_error(self, arrival: Arrival, error: Any) -> None:
        """A method of an actor raised an error. If Ray has lost the data, they are given to it once more.

        Raises:
            CnnsearchError: if it was another error, or if that does not help.
        """
        what = "cannot start" if arrival.what == "start" else "failed"
        if isinstance(error.cause, ray.exceptions.ObjectLostError) and self._lost < DATA_LOST and arrival.worker:
            self._lost += 1
            self._give_data()
            self._pool.start(arrival.worker)
            return
        where = arrival.actor.node.name if arrival.actor.node else "a node"
        raise CnnsearchError(f"A worker on {where} {what}: {last_line(str(error.cause or error))}") from error

    def _on_gone(self, actor: RemoteActor, error: Exception) -> None:
        """An actor has ended with its workers: its node was lost, or Ray ended it."""
        reason = last_line(str(error))
        if "creation task" in str(error):
            raise CnnsearchError(f"A worker cannot start on a node of the cluster: {reason}") from error
        self._pool.lost(actor)
        for worker in actor.workers:
            worker.append_log(f"cnnsearch: {reason}\n".encode())
            lost = LostWorker(-9, False, worker.log.name, 0, machine=True)
            self._events.append((worker, worker.life, lost))

    def _take(self, actor: RemoteActor, received: Received) -> None:
        """Take what an actor tells about its workers."""
        workers = {worker.life: worker for worker in actor.workers}
        problems = {}
        for life, report in received.reports.items():
            if worker := workers.get(life):
                worker.memory = report.memory
                worker.append_log(report.log)
                problems[life] = self._files.write(report.files)
        for life, what in received.messages:
            if worker := workers.get(life):
                self._events.append((worker, life, unsaved(what, problems[life])))

    def _check_versions(self, facts: NodeFacts) -> None:
        for name, here in self._versions.items():
            there = facts.versions.get(name, "")
            if there != here:
                raise CnnsearchError(
                    f"Node {facts.name} has {f'{name} {there}' if there else f'no {name}'}, and this machine has "
                    f"{name} {here}. Install the same version on all machines."
                )
