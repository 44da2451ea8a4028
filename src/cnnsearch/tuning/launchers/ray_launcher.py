"""Workers on a Ray cluster. Actors start their processes on the nodes and carry their messages."""

import contextlib
import itertools
import math
import os
import queue
import secrets
import tempfile
import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import ray

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.messages import Answer, Keep, LogModel, Message, Paused, Ready, RunTrial, Saved, UseMetric
from cnnsearch.data import shared_memory
from cnnsearch.study.config import SearchConfig, worker_environment
from cnnsearch.tuning.launchers import worker_files
from cnnsearch.tuning.launchers.base import LostWorker, WorkerEvent
from cnnsearch.tuning.launchers.node_folder import write_file
from cnnsearch.tuning.launchers.ray_cluster import FOLLOW, RayCluster, connection_lost, last_line
from cnnsearch.tuning.launchers.ray_remote import Arrival, RemoteActor, RemoteWorker
from cnnsearch.tuning.launchers.ray_worker import Assignment, NodeFacts, Received, versions
from cnnsearch.tuning.launchers.worker_process import WORKER, StartCheck, WorkerProcess
from cnnsearch.tuning.launchers.written_files import OWN

FORWARDED = ("KERAS_BACKEND", "KERAS_HOME", "TF_ENABLE_ONEDNN_OPTS", "TF_DETERMINISTIC_OPS")
"""The environment variables of the parent that workers get, too."""

DATA_PROCESS = "cnnsearch.training.data_process"
"""The module that loads the data on the parent's machine."""

CLOSING = 5.0
"""Seconds that actors may take to end their workers, and then to remove their files."""

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
        self._config, self._most = config, jobs
        self._follows = not resources.jobs
        self._folder = config.study.folder.resolve()
        self._logs = self._folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._arrivals: queue.Queue[Arrival | tuple[WorkerProcess, Message | None]] = queue.Queue()
        self._events: deque[tuple[RemoteWorker, int, Message | LostWorker]] = deque()
        self._workers: dict[int, RemoteWorker] = {}
        self._actors: list[RemoteActor] = []
        self._lives = itertools.count()
        self._stops: list[Any] = []
        self._starts, self._followed, self._lost, self._closed = StartCheck(), 0.0, 0, False
        self._files: list[Any] = []
        self._data: list[Any] = []
        self._logger: tuple[WorkerProcess, RemoteWorker, LogModel] | None = None
        self._search, self._versions = secrets.token_hex(6), versions()
        shared_memory.sweep(self._folder)
        self._settings, self._contents = worker_files.for_nodes(config)
        self._shared = tempfile.TemporaryDirectory(
            prefix=shared_memory.PREFIX, dir=self._folder, ignore_cleanup_errors=True
        )
        # while Ray starts, the data is loaded
        self._loader: WorkerProcess | None = self._local_process("data", DATA_PROCESS)
        try:
            self._cluster = RayCluster(resources.address, 0 if self._follows else jobs, resources.cpus, resources.gpus)
        except BaseException:
            self._end_local()
            raise
        self.fill()

    # -- slots ------------------------------------------------------------------------------------

    @property
    def slots(self) -> list[int]:
        return sorted(self._workers)

    def fill(self, most: int = 0) -> None:
        self._place([slot for slot in range(most or self._wanted()) if slot not in self._workers])

    def ready(self, slot: int) -> bool:
        return slot in self._workers and self._workers[slot].ready

    def memory(self, slot: int) -> int:
        return self._workers[slot].memory

    def restart(self, slot: int) -> None:
        worker = self._workers.get(slot)
        if worker and worker.actor.node and not worker.actor.lost:
            self._start(worker)
        else:
            self.stop(slot)
            self._place([slot])

    def stop(self, slot: int) -> None:
        worker = self._workers.pop(slot, None)
        if worker is None:
            return
        actor = worker.actor
        actor.workers.remove(worker)
        if actor.node and not actor.lost:
            # it stays for other workers, and removes its node's folder in the end
            self._stops.append(actor.handle.stop.remote(worker.life))
        elif not actor.workers:
            self._end(actor)

    def _end(self, actor: RemoteActor) -> None:
        """End an actor that carries no worker."""
        if not actor.lost:
            actor.end()
        if actor in self._actors:
            self._actors.remove(actor)

    def close(self) -> None:
        if self._closed:
            # a call of Ray would start a new local Ray
            return
        self._closed = True
        self._end_local()
        # in a thread: Ray waits without end for the answer of a lost head
        ending = threading.Thread(target=self._end_actors, daemon=True)
        ending.start()
        ending.join(3 * CLOSING)
        self._cluster.close()

    def _end_actors(self) -> None:
        """End the actors and their workers, and remove the folders of their nodes."""
        # the cluster may be gone, and its actors with it
        with contextlib.suppress(Exception):
            for slot in self.slots:
                self.stop(slot)
            _wait(self._stops)
            # the workers of a node have one folder
            nodes = {actor.node.id: actor for actor in self._actors if actor.node}
            _wait([actor.handle.remove.remote() for actor in nodes.values()])
            for actor in list(self._actors):
                self._end(actor)

    def _wanted(self) -> int:
        """The number of slots: with `--jobs auto` as many as there is room for."""
        return max(1, min(self._most, self._cluster.room)) if self._follows else self._most

    def _follow(self) -> None:
        """Fill the room of nodes that joined, and give up what waits for nodes that left."""
        now = time.monotonic()
        if now - self._followed < FOLLOW:
            return
        self._followed = now
        self._cluster.check()
        for actor in [actor for actor in self._actors if actor.is_too_large]:
            self._split(actor)
        if not self._follows:
            return
        self.fill()
        waiting = [slot for slot in self.slots if not self._workers[slot].actor.node]
        for slot in waiting[: max(0, len(self._workers) - self._wanted())]:
            self.stop(slot)

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
            worker = self._workers[slot] = RemoteWorker(slot, actor, self._logs)
            actor.workers.append(worker)
            if actor.node:
                self._start(worker)

    def _new_actor(self, size: int) -> RemoteActor:
        actor = RemoteActor(size, self._cluster.cpus, self._cluster.gpus, self._search)
        self._actors.append(actor)
        self._call(actor, None, "facts")
        self._call(actor, None, "receive")
        return actor

    def _start(self, worker: RemoteWorker) -> None:
        """Start a process in a placed actor, as soon as the data is loaded."""
        before, worker.life = worker.life, next(self._lives)
        worker.ready, worker.started = False, bool(self._data)
        if self._data:
            resources = self._config.resources
            assignment = Assignment(
                life=worker.life,
                replaces=before,
                settings=self._settings,
                threads=max(1, math.floor(self._cluster.cpus)),
                environment={name: os.environ[name] for name in FORWARDED if name in os.environ},
                gpus=self._cluster.gpus,
                memory=resources.memory,
                cpus=self._cluster.cpus,
                workers=len(self._workers),
            )
            self._call(worker.actor, worker, "start", assignment, self._files, self._data)

    # -- messages -----------------------------------------------------------------------------------

    def submit(self, slot: int, assignment: Message) -> None:
        worker = self._workers[slot]
        if isinstance(assignment, LogModel) and not self._cluster.local:
            # only this machine surely reaches MLflow's store
            self._logger = self._local_process("mlflow"), worker, assignment
            return
        files: dict[str, bytes] = {}
        if isinstance(assignment, RunTrial):
            for path in (assignment.state, assignment.earlier):
                if assignment.resume and (own := self._own(path)) and Path(path).is_file():
                    files[own] = Path(path).read_bytes()
            state, earlier = self._on_node(assignment.state), self._on_node(assignment.earlier)
            assignment = replace(assignment, state=state, earlier=earlier)
        # if it fails, the trial would wait for ever
        self._call(worker.actor, worker, "send", worker.life, assignment, files)

    def reply(self, slot: int, answer: Answer) -> None:
        worker = self._workers[slot]
        if isinstance(answer, Keep):
            answer = replace(answer, path=self._on_node(answer.path))
        worker.actor.handle.send.remote(worker.life, answer, {})

    def printed(self, slot: int) -> bytes:
        return self._workers[slot].reader.new() if slot in self._workers else b""

    def note(self, slot: int, text: str) -> None:
        self._workers[slot].append_log(f"cnnsearch: {text}\n".encode())

    def use_metric(self, metric: str) -> None:
        self._config = self._config.changed(metric=metric)
        self._settings |= {"metric": metric}
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
            self._follow()
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
            elif event := self._on_local(*arrival):
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
                actor.node = result
                for each in actor.workers:
                    self._start(each)
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
            self._put_data()
            self._start(arrival.worker)
            return
        where = arrival.actor.node.name if arrival.actor.node else "a node"
        raise CnnsearchError(f"A worker on {where} {what}: {last_line(str(error.cause or error))}") from error

    def _on_gone(self, actor: RemoteActor, error: Exception) -> None:
        """An actor has ended with its workers: its node was lost, or Ray ended it."""
        reason = last_line(str(error))
        if "creation task" in str(error):
            raise CnnsearchError(f"A worker cannot start on a node of the cluster: {reason}") from error
        actor.lost = True
        self._actors.remove(actor)
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
                problems[life] = self._write(report.files)
        for life, what in received.messages:
            if worker := workers.get(life):
                self._events.append((worker, life, unsaved(what, problems[life])))

    def _write(self, files: dict[str, bytes]) -> str:
        """Write files to the study's folder; why one cannot be written, or an empty text."""
        problem = ""
        for name, content in files.items():
            try:
                write_file(self._folder / name, content)
            except OSError as error:
                problem = f"{self._folder / name} cannot be written: {error.strerror or error}"
        return problem

    def _on_node(self, path: str) -> str:
        """A path as a worker gets it: one in the study's folder begins with OWN."""
        own = self._own(path)
        return f"{OWN}{own}" if own else path

    def _own(self, path: str) -> str:
        """The path in the study's folder; empty for an address, and for a path elsewhere."""
        if not path or "://" in path or not Path(path).is_relative_to(self._folder):
            return ""
        return Path(path).relative_to(self._folder).as_posix()

    def _check_versions(self, facts: NodeFacts) -> None:
        for name, here in self._versions.items():
            there = facts.versions.get(name, "")
            if there != here:
                raise CnnsearchError(
                    f"Node {facts.name} has {f'{name} {there}' if there else f'no {name}'}, and this machine has "
                    f"{name} {here}. Install the same version on all machines."
                )

    # -- processes of this machine --------------------------------------------------------------------

    def _local_process(self, name: str, module: str = WORKER) -> WorkerProcess:
        settings, inbox = self._config.for_worker(Path(self._shared.name)), cast(Any, self._arrivals)
        return WorkerProcess(-1, inbox, worker_environment(1, None), self._logs / f"{name}.log", settings, module)

    def _on_local(self, process: WorkerProcess, message: Message | None) -> WorkerEvent | None:
        if process is self._loader:
            return self._on_loading(message)
        if self._logger is None or process is not self._logger[0]:
            return None
        _, worker, assignment = self._logger
        if isinstance(message, Ready):
            process.send(assignment)
            return None
        what = process.lost() if message is None else message
        return WorkerEvent(worker.slot, what)

    def _on_loading(self, message: Message | None) -> WorkerEvent | None:
        """Handle what the process says that loads the data; when it has ended, the workers start."""
        if message is not None:
            return WorkerEvent(-1, message)
        process, self._loader = self._loader, None
        self._put_data(process.reader.last_lines() if process else "")
        for worker in self._workers.values():
            if worker.actor.node and not worker.started:
                self._start(worker)
        return None

    def _put_data(self, lines: str = "") -> None:
        """Give the data and the workers' files to Ray. `lines`: what the process printed that loaded the data.

        Raises:
            CnnsearchError: if it did not load them.
        """
        loaded = shared_memory.read(Path(self._shared.name))
        if loaded is None:
            raise CnnsearchError(f"The data cannot be loaded: {lines or 'the process that loads them was ended'}")
        self._files, self._data = [ray.put(self._contents)], [ray.put(loaded)]

    def _end_local(self) -> None:
        """End the processes of this machine, and remove the data."""
        for process in (self._loader, self._logger[0] if self._logger else None):
            if process:
                process.end()
                process.process.wait()
        self._shared.cleanup()


def unsaved(what: Message | LostWorker, problem: str) -> Message | LostWorker:
    """A worker's message; if its files could not be written here, one that says so. `problem`: why not, or empty."""
    if problem and isinstance(what, Saved):
        return replace(what, problem=problem)
    if problem and isinstance(what, Paused):
        return replace(what, saved=False)
    return what


def _wait(calls: list[Any]) -> None:
    """Wait until calls of actors are done, or CLOSING seconds."""
    if calls:
        ray.wait(calls, num_returns=len(calls), timeout=CLOSING)
