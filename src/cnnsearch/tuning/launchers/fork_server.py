"""Workers that are forked from a process which has imported Keras; `cnnsearch.training.fork_server` is that process.

One server serves all searches of this process, and ends with it. If it cannot be used, a worker is started as usual.
"""

import atexit
import contextlib
import functools
import itertools
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnsearch.core import descriptor_messages
from cnnsearch.core.host import backend_to_come
from cnnsearch.study.config import GPU_SHARE
from cnnsearch.tuning.launchers.forked_process import SERVER, ForkedProcess, kill

BACKEND = "tensorflow"
"""The backend that can be forked after its import."""

LOGGING = (
    *("mlflow.keras", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store"),
    "cnnsearch.study.mlflow_models",
)
"""What a worker imports to log a model."""

SWITCH = "CNNSEARCH_FORK_SERVER"
"""The environment variable that switches fork servers off, with the value 0."""

MOST = 3
"""A server that has no worker is ended if there are more than this many."""

READ_LATER = (
    *("CUDA_VISIBLE_DEVICES", GPU_SHARE, "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    *("GIT_PYTHON_REFRESH", "PWD", "OLDPWD", "PYTEST_CURRENT_TEST"),
)
"""Variables that no import reads, or only for what it prints."""

READ_LATER_BEGIN = ("CNNSEARCH_", "MLFLOW_")
"""How further variables begin that may change after the imports."""

LIMITS = [number for name, number in vars(resource).items() if name.startswith("RLIMIT_")]
"""The limits of a process that the system knows."""


Fork = Callable[[dict[str, str], Path | None, int, Callable[..., Any]], ForkedProcess]
"""Forks a worker: its environment, its current folder (None: that of this process), the descriptor of its log, and what
starts it if it cannot be forked."""


class ForkServer:
    """A server, and the workers that it has forked.

    Attributes:
        ended: whether the server has ended.
    """

    def __init__(self, environment: dict[str, str], folder: Path | None = None) -> None:
        """Start a server with this environment, in this folder or else in that of this process.

        Raises:
            OSError: if it cannot be started.
        """
        self._environment, self._numbers, self._owner = environment, itertools.count(), os.getpid()
        self._processes: dict[int, ForkedProcess] = {}
        self._lock, self.ended, self._forked = threading.Lock(), False, False
        self._control, theirs = descriptor_messages.pair()
        # what the imports print: each worker writes it to its own log
        printed = os.memfd_create("fork server", os.MFD_CLOEXEC)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", SERVER, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                env=environment,
                cwd=folder,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError:
            self._control.close()
            raise
        finally:
            theirs.close()
            os.close(printed)
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def is_idle(self) -> bool:
        """Whether it has no worker."""
        return not self._processes

    @property
    def is_starting(self) -> bool:
        """Whether it still imports Keras, and has forked no worker."""
        return not (self.ended or self._forked)

    @property
    def has_failed(self) -> bool:
        """Whether it ended before it forked a worker."""
        return self.ended and not self._forked

    def fork(
        self,
        imports: tuple[str, ...],
        without_keras: bool,
        environment: dict[str, str],
        folder: Path | None,
        stderr: int,
        start: Callable[..., Any],
    ) -> ForkedProcess:
        """Fork a worker with this environment, this current folder, and the descriptor `stderr`.

        Args:
            imports: modules that the server imports before.
            without_keras: whether Keras is hidden until the worker imports it.
            folder: None: the current folder of this process.
            start: starts the worker if the server cannot, see `ForkedProcess`.
        """
        process = ForkedProcess(self, next(self._numbers), stderr, start)
        request = {
            "start": process.number,
            "changed": {name: value for name, value in environment.items() if self._environment.get(name) != value},
            "removed": [name for name in self._environment if name not in environment],
            "imports": imports,
            "without_keras": without_keras,
        }
        try:
            current = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            process.start(f"the current folder cannot be opened: {error}")
            return process
        try:
            with self._lock:
                if self.ended:
                    raise OSError("the fork server has ended")
                self._processes[process.number] = process
                descriptor_messages.send(self._control, request, [*process.given, current], wait=False)
        except OSError as error:
            self._processes.pop(process.number, None)
            process.start(str(error))
        finally:
            os.close(current)
        return process

    def cancel(self, process: ForkedProcess) -> None:
        """Do not fork this process, if it is not forked yet."""
        self._processes.pop(process.number, None)
        # a server that has ended forks nothing
        with contextlib.suppress(OSError):
            descriptor_messages.send(self._control, {"cancel": process.number}, [], wait=False)

    def close(self) -> None:
        """End the server. Its workers continue until they are killed, or this process ends."""
        if os.getpid() != self._owner:
            # this process was forked from the one that has the server
            return
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        while message := descriptor_messages.receive(self._control, wait=True):
            self._receive(*message)
        with self._lock:
            self.ended = True
            left = list(self._processes.values())
            self._processes.clear()
        self._process.kill()
        code = self._process.wait()
        for process in left:
            process.start(f"the fork server has ended with code {code}")
        self._control.close()

    def _receive(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "started" in message:
            self._forked = True
            process = self._processes.get(message["started"])
            if process is None:
                kill(descriptors[0])
                os.close(descriptors[0])
            else:
                process.started(message["pid"], descriptors[0])
        elif "ended" in message:
            if process := self._processes.pop(message["ended"], None):
                process.ended(message["code"])
        elif process := self._processes.pop(message["failed"], None):
            process.start(message["reason"])


# -- the servers of this process -------------------------------------------------------------------


class ForkServers:
    """The servers of this process, and what is known about the workers that it starts.

    Attributes:
        started: how many workers were started or forked.
        uses_keras: whether a worker has loaded Keras at its start.
        logs_models: whether a worker was asked to log a model to MLflow.
    """

    def __init__(self) -> None:
        self.uses_keras = self.logs_models = False
        self.started = 0
        self._servers: dict[tuple[Any, ...], ForkServer] = {}
        self._lock = threading.Lock()

    def fork(self, environment: dict[str, str], plans: bool, jobs: int, folder: Path | None = None) -> Fork | None:
        """What forks the next worker, which has this environment. None if it is to be started.

        `folder`: where workers start, if not in the current folder of this process.

        The first worker of this process is started if it is the only one, as it would wait for its server as long. If
        the candidates are no `plans`, their workers may need no Keras: they do not start a server until one has loaded
        Keras.
        """
        again, self.started = self.started > 0, self.started + 1
        # a CUDA context that the server made by mistake could not be used by its workers; other backends have threads
        if not _is_possible(environment) or backend_to_come(environment) not in ("", BACKEND):
            return None
        server = self._server(environment, folder, (plans and jobs > 1) or (again and (plans or self.uses_keras)))
        return functools.partial(server.fork, LOGGING if self.logs_models else (), not plans) if server else None

    @property
    def are_starting(self) -> bool:
        """Whether one of them still imports Keras."""
        with self._lock:
            return any(each.is_starting for each in self._servers.values())

    def close(self) -> None:
        """End all servers."""
        with self._lock:
            for each in self._servers.values():
                each.close()
            self._servers.clear()

    def _server(self, environment: dict[str, str], folder: Path | None, start: bool) -> ForkServer | None:
        """The server for workers with this environment and folder; None without one that runs or may be started."""
        key = _inherited(environment, folder)
        with self._lock:
            found = self._servers.get(key)
            if found and not found.ended:
                return found
            if not start or (found and found.has_failed):
                return None
            running = [each for each, one in self._servers.items() if not one.ended]
            idle = [each for each in running if self._servers[each].is_idle]
            if len(running) >= MOST and idle:
                self._servers.pop(idle[0]).close()
            try:
                self._servers[key] = ForkServer(environment, folder)
            except OSError:
                return None
            return self._servers[key]


def _is_possible(environment: dict[str, str]) -> bool:
    """Whether this system has what a server needs, and the user has not switched servers off."""
    return sys.platform == "linux" and environment.get(SWITCH) != "0" and hasattr(signal, "pidfd_send_signal")


def _inherited(environment: dict[str, str], folder: Path | None) -> tuple[Any, ...]:
    """What a worker has from the start of its server: it must be what it would have from this process."""
    variables = sorted(
        (name, value)
        for name, value in environment.items()
        if name not in READ_LATER and not name.startswith(READ_LATER_BEGIN)
    )
    folders = environment.get("PYTHONPATH", "").split(os.pathsep)
    # Python makes relative paths absolute when it starts
    current = "" if all(Path(path).is_absolute() for path in folders if path) else str(folder or Path.cwd())
    limits = tuple(resource.getrlimit(kind) for kind in LIMITS)
    priority, cores = os.getpriority(os.PRIO_PROCESS, 0), tuple(sorted(os.sched_getaffinity(0)))
    return os.getpid(), sys.executable, tuple(variables), current, limits, priority, cores


fork_servers = ForkServers()
"""Those of this process. They are shared by all its searches."""

atexit.register(fork_servers.close)
