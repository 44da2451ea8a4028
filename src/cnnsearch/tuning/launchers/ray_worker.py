"""Workers on a node of a Ray cluster: an actor that starts their processes there and carries their messages."""

import contextlib
import os
import platform
import queue
import shutil
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import ray

from cnnsearch.core import host
from cnnsearch.core.gpus import gpus
from cnnsearch.core.messages import Message
from cnnsearch.study.config import worker_environment
from cnnsearch.tuning.launchers.base import LostWorker
from cnnsearch.tuning.launchers.fork_server import fork_servers
from cnnsearch.tuning.launchers.log_reader import LogReader
from cnnsearch.tuning.launchers.node_folder import NodeFolder
from cnnsearch.tuning.launchers.worker_process import Arrival, WorkerProcess
from cnnsearch.tuning.launchers.written_files import WrittenFiles

HEARTBEAT = 2.0
"""Seconds after which an actor answers, also if its workers sent nothing, and checks their memory."""

ENDING = 2.0
"""Seconds that a killed process may take to end."""

COMPARED = ("cnnsearch", "keras", "numpy")
"""The packages whose versions must be the same on all machines."""


@dataclass(frozen=True)
class NodeFacts:
    """The node of an actor.

    Attributes:
        name: the machine's name and address; `id`: Ray's name of the node.
        versions: those of Python and of the packages COMPARED; empty for one that is not installed.
    """

    name: str
    id: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Assignment:
    """How a worker's process is started.

    Attributes:
        life: the number of the process; no other process of the search has it.
        replaces: the process that ends first; -1 for none.
        settings: its configuration, with `{node}` for the folder on the node.
        threads: its threads.
        environment: further environment variables.
        gpus: how many GPUs it has; less than 1 for a share of one.
        memory: bytes that it may hold; 0: its share of the node's memory.
        cpus: how many cores are reserved for it.
        workers: about how many workers there are in the cluster.
        actor_size: how many workers the actor may have.
        plans: whether the candidates are plans.
    """

    life: int
    replaces: int
    settings: dict[str, Any]
    threads: int
    environment: dict[str, str]
    gpus: float
    memory: int
    cpus: float
    workers: int
    actor_size: int
    plans: bool


@dataclass(frozen=True)
class Report:
    """What an actor tells about a worker besides its messages.

    Attributes:
        memory: bytes that it holds.
        log: what it printed since the last report.
        files: the files that it wrote since the last report, by their path in the study's folder.
    """

    memory: int
    log: bytes
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Received:
    """What an actor tells about its workers.

    Attributes:
        messages: what they sent since the last answer, with the process that sent it.
        reports: of the processes that sent something; of all of them after HEARTBEAT seconds.
    """

    messages: list[tuple[int, Message | LostWorker]]
    reports: dict[int, Report]


def versions() -> dict[str, str]:
    """The versions on this machine of what must be the same on all machines."""
    return {"Python": ".".join(platform.python_version_tuple()[:2]), **{name: _version(name) for name in COMPARED}}


def _version(name: str) -> str:
    try:
        return version(name)
    except ImportError:
        return ""


class NodeWorker:
    """A worker's process on this node, with a folder of its own."""

    def __init__(self, assignment: Assignment, node: NodeFolder, inbox: "queue.Queue[Arrival]", may_fork: bool) -> None:
        self._own = node.path / "workers" / f"{os.getpid()}-{assignment.life}"
        self._own.mkdir(parents=True)
        log = self._own / "worker.log"
        self._printed, self._files = LogReader(log), WrittenFiles(self._own)
        self._limit = assignment.memory or share_of_memory(assignment.cpus)
        variables = {**environment(assignment), **assignment.environment}
        folder = node.modules
        fork = fork_servers.fork(variables, assignment.plans, assignment.actor_size, folder) if may_fork else None
        settings = node.settings(assignment.settings)
        self._process = WorkerProcess(assignment.life, inbox, variables, log, settings, folder=folder, fork=fork)

    def send(self, message: Message, files: Mapping[str, bytes]) -> None:
        """Send a message to the process, after these files were written.

        Raises:
            OSError: if they cannot be written.
        """
        message = self._files.located(message)
        # now, because `located` removes the checkpoint of the trial before, which may be the same trial
        self._files.add(files)
        self._process.send(message)

    def lost(self) -> LostWorker:
        """The event that says how the process ended."""
        process = self._process
        return LostWorker(process.code, process.invalid, process.log.name, process.memory, self._limit)

    def report(self, messages: Iterable[object]) -> Report:
        """What came with these messages. A process that holds more memory than its limit is ended."""
        held = self._process.held()
        if held > self._limit:
            self._process.end()
        return Report(held, self._printed.new(), self._files.written(messages))

    def stop(self) -> None:
        """End the process at once, and remove its folder."""
        self._process.end()
        # it must not write files after this
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.process.wait(ENDING)
        shutil.rmtree(self._own, ignore_errors=True)


def environment(assignment: Assignment) -> dict[str, str]:
    """The environment of a worker's process. Ray chose the actor's GPU, if it has one."""
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES") if assignment.gpus else None
    beside = max(1, round(1 / assignment.gpus)) if assignment.gpus else 1
    return worker_environment(assignment.threads, gpu, beside, assignment.workers)


def share_of_memory(cpus: float) -> int:
    """The bytes of this node's memory that belong to a worker with so many cores."""
    return int(host.WORKERS_SHARE * host.memory() * min(1.0, max(cpus, 0.1) / host.cores()))


class RayWorkers:
    """The actor. Methods of one concurrency group run one after another, so messages keep their order."""

    def __init__(self, search: str) -> None:
        self._node = str(ray.get_runtime_context().get_node_id())
        self._folder = NodeFolder(f"{search}-{self._node[:12]}")
        self._inbox: queue.Queue[Arrival] = queue.Queue()
        self._workers: dict[int, NodeWorker] = {}
        self._reported = 0.0
        # a CUDA context does not survive a fork
        self._may_fork = not gpus()

    def facts(self) -> NodeFacts:
        """The node and its versions."""
        return NodeFacts(f"{socket.gethostname()} ({ray.util.get_node_ip_address()})", self._node, versions())

    def start(self, assignment: Assignment, files: list[Any], data: list[Any]) -> None:
        """Start a worker's process. `files` and `data` hold one reference each.

        Raises:
            OSError: if files cannot be written on this node.
        """
        self.stop(assignment.replaces)
        self._folder.fill(lambda: ray.get(files[0]), lambda: ray.get(data[0]))
        self._workers[assignment.life] = NodeWorker(assignment, self._folder, self._inbox, self._may_fork)

    def send(self, life: int, message: Message, files: Mapping[str, bytes]) -> None:
        """Send a message to a process, if it was not stopped, after these files were written.

        Raises:
            OSError: if they cannot be written.
        """
        if worker := self._workers.get(life):
            worker.send(message, files)

    def stop(self, life: int) -> None:
        """End a process at once."""
        if worker := self._workers.pop(life, None):
            worker.stop()

    @ray.method(concurrency_group="receive")  # type: ignore[untyped-decorator]
    def receive(self) -> Received:
        """What the workers sent, at once if there is something, else after HEARTBEAT seconds."""
        found: dict[int, list[Message | LostWorker]] = defaultdict(list)
        wait = HEARTBEAT
        while True:
            try:
                process, message = self._inbox.get(timeout=wait)
            except queue.Empty:
                break
            wait = 0.0
            # None: it was stopped
            if worker := self._workers.get(process.slot):
                found[process.slot].append(worker.lost() if message is None else message)
        if due := time.monotonic() - self._reported >= HEARTBEAT:
            self._reported = time.monotonic()
        reports = {
            life: worker.report(found.get(life, ()))
            for life, worker in list(self._workers.items())
            if due or life in found
        }
        return Received([(life, what) for life, messages in found.items() for what in messages], reports)

    def remove(self) -> None:
        """End all workers and remove the folder of this node."""
        for life in list(self._workers):
            self.stop(life)
        self._folder.remove()
