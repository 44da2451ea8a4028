"""Workers on a Ray cluster. Each slot is an actor, which starts a worker's process on its node."""

import contextlib
import math
import os
import queue
import secrets
import tempfile
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import ray

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.messages import Answer, Keep, LogModel, Message, Paused, Ready, RunTrial, Saved, UseMetric
from cnnsearch.data import shared_memory
from cnnsearch.study.config import SearchConfig, worker_environment
from cnnsearch.tuning.launchers import worker_files
from cnnsearch.tuning.launchers.base import LostWorker, WorkerEvent
from cnnsearch.tuning.launchers.log_reader import LogReader
from cnnsearch.tuning.launchers.node_folder import write_file
from cnnsearch.tuning.launchers.ray_cluster import FOLLOW, RayCluster, connection_lost, last_line
from cnnsearch.tuning.launchers.ray_worker import OWN, Assignment, NodeFacts, RayWorker, Received, versions
from cnnsearch.tuning.launchers.worker_process import WORKER, StartCheck, WorkerProcess

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


class RemoteWorker:
    """The actor in a slot, as the parent sees it.

    Attributes:
        life: counts its processes. Messages of an earlier one are dropped.
        ready: whether the process has loaded data and backend.
        started: whether the process was started.
        receives: whether a call of `receive` has no answer yet.
        node: where the actor is; None while it waits for room, and if its node was lost.
        memory: bytes that the process held at the last answer.
    """

    def __init__(self, slot: int, actor: Any, logs: Path) -> None:
        self.actor = actor
        self.life, self.memory = -1, 0
        self.ready = self.started = self.receives = False
        self.node: NodeFacts | None = None
        self.use_slot(slot, logs)

    def use_slot(self, slot: int, logs: Path) -> None:
        """Be the worker of this slot."""
        self.slot, self.log = slot, logs / f"worker-{slot}.log"
        self.reader = LogReader(self.log)

    def append_log(self, content: bytes) -> None:
        """Add what the process printed to the log in the study's folder."""
        if content:
            with self.log.open("ab") as log:
                log.write(content)


class Arrival(NamedTuple):
    """The answer of an actor to a call: `what` was called, and its future result."""

    worker: RemoteWorker
    what: str
    future: "Future[Any]"


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
        self._stopped: list[RemoteWorker] = []
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
        for slot in range(most or self._wanted()):
            if slot not in self._workers:
                self._place(slot)

    def ready(self, slot: int) -> bool:
        return slot in self._workers and self._workers[slot].ready

    def memory(self, slot: int) -> int:
        return self._workers[slot].memory

    def restart(self, slot: int) -> None:
        worker = self._workers.get(slot)
        if worker and worker.node:
            self._start(worker)
        else:
            self.stop(slot)
            self._place(slot)

    def stop(self, slot: int) -> None:
        worker = self._workers.pop(slot, None)
        if worker and worker.node:
            # the actor keeps its place for another worker, and removes its node's folder in the end
            self._stopped.append(worker)
            self._stops.append(worker.actor.stop.remote())
        elif worker:
            ray.kill(worker.actor)

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
            nodes = {worker.node.id: worker for worker in self._stopped if worker.node}
            _wait([worker.actor.remove.remote() for worker in nodes.values()])
            for worker in self._stopped:
                ray.kill(worker.actor)

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
        if not self._follows:
            return
        self.fill()
        waiting = [slot for slot in self.slots if not self._workers[slot].node]
        for slot in waiting[: max(0, len(self._workers) - self._wanted())]:
            self.stop(slot)

    def _place(self, slot: int) -> None:
        """Use an actor whose worker was stopped, or ask Ray for one. Ray places it as soon as a node has room."""
        if spare := next((worker for worker in self._stopped if worker.node), None):
            self._stopped.remove(spare)
            spare.use_slot(slot, self._logs)
            self._workers[slot] = spare
            if not spare.receives:
                self._receive(spare)
            self._start(spare)
            return
        options = {"num_cpus": self._cluster.cpus, "num_gpus": self._cluster.gpus, "max_restarts": 0}
        actor_class: Any = ray.remote(concurrency_groups={"receive": 1})(RayWorker)
        actor = actor_class.options(**options).remote(self._search)
        worker = RemoteWorker(slot, actor, self._logs)
        self._workers[slot] = worker
        self._call(worker, "facts")
        self._receive(worker)

    def _start(self, worker: RemoteWorker) -> None:
        """Start a process in a placed actor, as soon as the data is loaded."""
        worker.life += 1
        worker.ready, worker.started = False, bool(self._data)
        if self._data:
            resources = self._config.resources
            assignment = Assignment(
                life=worker.life,
                settings=self._settings,
                threads=max(1, math.floor(self._cluster.cpus)),
                environment={name: os.environ[name] for name in FORWARDED if name in os.environ},
                gpus=self._cluster.gpus,
                memory=resources.memory,
                cpus=self._cluster.cpus,
                workers=len(self._workers),
            )
            self._call(worker, "start", assignment, self._files, self._data)

    # -- messages -----------------------------------------------------------------------------------

    def submit(self, slot: int, assignment: Message) -> None:
        worker = self._workers[slot]
        if isinstance(assignment, LogModel):
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
        self._call(worker, "send", worker.life, assignment, files)

    def reply(self, slot: int, answer: Answer) -> None:
        worker = self._workers[slot]
        if isinstance(answer, Keep):
            answer = replace(answer, path=self._on_node(answer.path))
        worker.actor.send.remote(worker.life, answer, {})

    def printed(self, slot: int) -> bytes:
        return self._workers[slot].reader.new() if slot in self._workers else b""

    def note(self, slot: int, text: str) -> None:
        self._workers[slot].append_log(f"cnnsearch: {text}\n".encode())

    def use_metric(self, metric: str) -> None:
        self._config = self._config.changed(metric=metric)
        self._settings |= {"metric": metric}
        for worker in self._workers.values():
            if worker.started:
                worker.actor.send.remote(worker.life, UseMetric(metric=metric), {})

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
            event = self._on_call(arrival) if isinstance(arrival, Arrival) else self._on_local(*arrival)
            if event:
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

    def _call(self, worker: RemoteWorker, what: str, *arguments: Any) -> None:
        """Call a method of an actor. Its result arrives in `poll`."""
        future = getattr(worker.actor, what).remote(*arguments).future()
        future.add_done_callback(lambda done: self._arrivals.put(Arrival(worker, what, done)))

    def _receive(self, worker: RemoteWorker) -> None:
        """Ask an actor for what its worker sent."""
        worker.receives = True
        self._call(worker, "receive")

    def _on_call(self, arrival: Arrival) -> WorkerEvent | None:
        worker = arrival.worker
        worker.receives &= arrival.what != "receive"
        if self._workers.get(worker.slot) is not worker:
            if arrival.future.exception():
                # no other worker can use its place
                worker.node = None
            return None
        try:
            result = arrival.future.result()
        except ray.exceptions.RayTaskError as error:
            self._on_task_error(arrival, error)
            return None
        except GONE as error:
            return self._on_gone(worker, error)
        except Exception as error:
            raise connection_lost(last_line(str(error)) or type(error).__name__) from error
        if isinstance(result, NodeFacts):
            self._check_versions(result)
            worker.node = result
            self._start(worker)
        elif isinstance(result, Received):
            self._receive(worker)
            self._take(worker, result)
        return None

    def _on_task_error(self, arrival: Arrival, error: Any) -> None:
        """A method of an actor raised an error. If Ray has lost the data, they are given to it once more.

        Raises:
            CnnsearchError: if it was another error, or if that does not help.
        """
        worker, what = arrival.worker, "cannot start" if arrival.what == "start" else "failed"
        if isinstance(error.cause, ray.exceptions.ObjectLostError) and self._lost < DATA_LOST:
            self._lost += 1
            self._put_data()
            self._start(worker)
            return
        where = worker.node.name if worker.node else "a node"
        raise CnnsearchError(f"A worker on {where} {what}: {last_line(str(error.cause or error))}") from error

    def _on_gone(self, worker: RemoteWorker, error: Exception) -> WorkerEvent | None:
        """An actor has ended: its node was lost, or Ray ended it."""
        reason = last_line(str(error))
        if "creation task" in str(error):
            raise CnnsearchError(f"A worker cannot start on a node of the cluster: {last_line(str(error))}") from error
        worker.append_log(f"cnnsearch: {reason}\n".encode())
        worker.node = None
        lost = LostWorker(-9, False, worker.log.name, 0, machine=True)
        return self._event(worker, worker.life, lost)

    def _take(self, worker: RemoteWorker, received: Received) -> None:
        worker.memory = received.memory
        worker.append_log(received.log)
        problem = self._write(received.files)
        for life, what in received.messages:
            if problem and isinstance(what, Saved):
                what = replace(what, problem=problem)
            elif problem and isinstance(what, Paused):
                what = replace(what, saved=False)
            self._events.append((worker, life, what))

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
            if worker.node and not worker.started:
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


def _wait(calls: list[Any]) -> None:
    """Wait until calls of actors are done, or CLOSING seconds."""
    if calls:
        ray.wait(calls, num_returns=len(calls), timeout=CLOSING)
