"""A worker on a node of a Ray cluster: an actor that starts the worker's process there and carries its messages."""

import contextlib
import os
import platform
import queue
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray

from cnnsearch.core import host
from cnnsearch.core.messages import Completed, Failed, Keep, Message, Paused, RunTrial, Saved
from cnnsearch.study.config import worker_environment
from cnnsearch.tuning.launchers.base import LostWorker
from cnnsearch.tuning.launchers.log_reader import LogReader
from cnnsearch.tuning.launchers.node_folder import NodeFolder, write_file
from cnnsearch.tuning.launchers.worker_process import Arrival, WorkerProcess

HEARTBEAT = 2.0
"""Seconds after which an actor answers, also if its worker sent nothing."""

ENDING = 2.0
"""Seconds that a killed process may take to end."""

OWN = "{own}/"
"""Stands for the worker's own folder in the paths of messages."""

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
        life: counts the processes of a slot. What an earlier one sends is dropped.
        settings: its configuration, with `{node}` for the folder on the node.
        threads: its threads.
        environment: further environment variables.
        gpus: how many GPUs it has; less than 1 for a share of one.
        memory: bytes that it may hold; 0: its share of the node's memory.
        cpus: how many cores are reserved for it.
        workers: about how many workers there are in the cluster.
    """

    life: int
    settings: dict[str, Any]
    threads: int
    environment: dict[str, str]
    gpus: float
    memory: int
    cpus: float
    workers: int


@dataclass(frozen=True)
class Received:
    """What an actor tells about its worker.

    Attributes:
        messages: what the worker sent since the last answer, with the life that sent it.
        memory: bytes that it holds.
        log: what it printed since the last answer.
        files: the files that it wrote since the last answer, by their path in the study's folder.
    """

    messages: list[tuple[int, Message | LostWorker]]
    memory: int
    log: bytes
    files: dict[str, bytes] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """The versions on this machine of what must be the same on all machines."""
    return {"Python": ".".join(platform.python_version_tuple()[:2]), **{name: _version(name) for name in COMPARED}}


def _version(name: str) -> str:
    try:
        return version(name)
    except ImportError:
        return ""


class RayWorker:
    """The actor. Methods of one concurrency group run one after another, so messages keep their order."""

    def __init__(self, search: str) -> None:
        self._node = str(ray.get_runtime_context().get_node_id())
        self._folder = NodeFolder(f"{search}-{self._node[:12]}")
        self._inbox: queue.Queue[Arrival] = queue.Queue()
        self._worker: WorkerProcess | None = None
        self._life, self._limit = -1, 0
        self._own = self._folder.path / "workers" / str(os.getpid())
        self._log = self._own / "worker.log"
        self._printed = LogReader(self._log)
        self._files = WrittenFiles(self._own)

    def facts(self) -> NodeFacts:
        """The node and its versions."""
        return NodeFacts(f"{socket.gethostname()} ({ray.util.get_node_ip_address()})", self._node, versions())

    def start(self, assignment: Assignment, files: list[Any], data: list[Any]) -> None:
        """Start the worker's process; an earlier one ends. `files` and `data` hold one reference each.

        Raises:
            OSError: if files cannot be written on this node.
        """
        self.stop()
        self._folder.fill(lambda: ray.get(files[0]), lambda: ray.get(data[0]))
        self._own.mkdir(parents=True, exist_ok=True)
        self._limit = assignment.memory or self._share(assignment.cpus)
        self._life, self._files = assignment.life, WrittenFiles(self._own)
        self._worker = WorkerProcess(
            assignment.life,
            self._inbox,
            {**self._environment(assignment), **assignment.environment},
            self._log,
            self._folder.settings(assignment.settings),
            folder=self._folder.modules,
        )

    def _environment(self, assignment: Assignment) -> dict[str, str]:
        gpu = os.environ.get("CUDA_VISIBLE_DEVICES") if assignment.gpus else None
        beside = max(1, round(1 / assignment.gpus)) if assignment.gpus else 1
        return worker_environment(assignment.threads, gpu, beside, assignment.workers)

    def _share(self, cpus: float) -> int:
        """The part of the node's memory that belongs to a worker with so many cores."""
        return int(host.WORKERS_SHARE * host.memory() * min(1.0, max(cpus, 0.1) / host.cores()))

    def send(self, life: int, message: Message, files: Mapping[str, bytes]) -> None:
        """Send a message to the worker, after these files were written. `life` is the process that it is meant for."""
        if self._worker is None or life != self._life:
            return
        message = self._files.located(message)
        # now, because `located` removes the checkpoint of the trial before, which may be the same trial
        self._files.add(files)
        self._worker.send(message)

    def stop(self) -> None:
        """End the worker's process at once."""
        worker, self._worker = self._worker, None
        if worker:
            worker.end()
            # it must not write files after this
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(ENDING)

    @ray.method(concurrency_group="receive")  # type: ignore[untyped-decorator]
    def receive(self) -> Received:
        """What the worker sent, at once if there is something, else after HEARTBEAT seconds."""
        found: list[tuple[int, Message | LostWorker]] = []
        wait = HEARTBEAT
        while True:
            try:
                worker, message = self._inbox.get(timeout=wait)
            except queue.Empty:
                break
            found.append((worker.slot, self._lost(worker) if message is None else message))
            wait = 0.0
        return Received(
            found, self._check_memory(), self._printed.new(), self._files.written(what for _, what in found)
        )

    def remove(self) -> None:
        """End the worker and remove the folder of this node."""
        self.stop()
        self._folder.remove()

    def _lost(self, worker: WorkerProcess) -> LostWorker:
        return LostWorker(worker.process.returncode, worker.invalid, worker.log.name, worker.memory, self._limit)

    def _check_memory(self) -> int:
        """The worker's memory. A worker that holds more than its limit is ended."""
        worker = self._worker
        if worker is None:
            return 0
        held = worker.held()
        if held > self._limit:
            worker.end()
        return held


class WrittenFiles:
    """The files that a worker writes for its trial: its checkpoint and its model. The parent gets copies of them.

    A checkpoint is copied when the trial pauses, and at most every EVERY seconds before.
    """

    EVERY = 5.0

    def __init__(self, folder: Path) -> None:
        """`folder` is this worker's own; it stands for the study's folder."""
        self._folder = folder
        self._checkpoint: Path | None = None
        self._model: Path | None = None
        self._copied, self._changed = 0.0, 0

    def add(self, files: Mapping[str, bytes]) -> None:
        """Write the parent's files.

        Raises:
            OSError: if they cannot be written.
        """
        for name, content in files.items():
            write_file(self._folder / name, content)

    def located(self, message: Message) -> Message:
        """The message with paths of this node."""
        if isinstance(message, RunTrial) and message.state.startswith(OWN):
            self._forget_checkpoint()
            self._checkpoint = self._path(message.state)
            message = replace(message, state=str(self._checkpoint))
        if isinstance(message, RunTrial) and message.earlier.startswith(OWN):
            message = replace(message, earlier=str(self._path(message.earlier)))
        if isinstance(message, Keep) and message.path.startswith(OWN):
            self._model = self._path(message.path)
            self._model.parent.mkdir(parents=True, exist_ok=True)
            return replace(message, path=str(self._model))
        return message

    def written(self, messages: Iterable[object]) -> dict[str, bytes]:
        """The files to copy after these messages, by their path in the study's folder."""
        kinds = {type(message) for message in messages}
        if kinds & {Completed, Failed}:
            # the parent has deleted its copy
            self._forget_checkpoint()
        due = Paused in kinds or time.monotonic() - self._copied > self.EVERY
        found = self._content(self._checkpoint) if due else {}
        if Saved in kinds and self._model:
            found |= self._content(self._model)
            self._model.unlink(missing_ok=True)
            self._model = None
        return found

    def _forget_checkpoint(self) -> None:
        if self._checkpoint:
            self._checkpoint.unlink(missing_ok=True)
        self._checkpoint, self._changed = None, 0

    def _path(self, given: str) -> Path:
        return self._folder / given.removeprefix(OWN)

    def _content(self, path: Path | None) -> dict[str, bytes]:
        try:
            if path is None or (path == self._checkpoint and path.stat().st_mtime_ns == self._changed):
                return {}
            changed, content = path.stat().st_mtime_ns, path.read_bytes()
        except OSError:
            return {}
        if path == self._checkpoint:
            self._copied, self._changed = time.monotonic(), changed
        return {path.relative_to(self._folder).as_posix(): content}
