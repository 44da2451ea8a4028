"""Workers that are forked from a process which has imported Keras, for searches that run in the tests' process.

The imports take a worker 5 seconds of processor time, which is more than a test trains. All that follows is as in any
search: `cnnsearch.training.worker` runs as the main module of a process with pipes, environment and folder of its own.
Searches that a test starts with `conftest.cnnsearch` start their workers as always.
"""

import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnnsearch.tuning.launchers import worker_process

READ_AT_IMPORT = ("PYTHONPATH", "KERAS_", "JAX_", "XLA_FLAGS", "TF_ENABLE")
"""How the variables begin that Python or a backend reads when it starts."""


def read_at_import(environment: dict[str, str]) -> dict[str, str]:
    """The variables that cannot change after the imports."""
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_IMPORT)}


# -- in the tests' process -------------------------------------------------------------------------


class ForkedProcess:
    """A worker forked by a server; the part of `subprocess.Popen` that a launcher uses."""

    def __init__(self, server: socket.socket, stderr: int, environment: dict[str, str], folder: str) -> None:
        source, stdin = os.pipe()
        stdout, target = os.pipe()
        self._status, status = os.pipe()
        given, request = os.pipe()
        theirs = (source, target, stderr, status, given)
        socket.send_fds(server, [b"f"], theirs)
        for descriptor in (source, target, status, given):
            os.close(descriptor)
        with os.fdopen(request, "w") as file:
            json.dump({"environment": environment, "folder": folder}, file)
        self.stdin, self.stdout = os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb")
        self.pid = int(self._line())
        self.returncode: int | None = None
        self._waiting, self._ending = threading.Lock(), threading.Lock()

    def kill(self) -> None:
        with self._ending:
            # `wait` closes the pipe in another thread
            if self.returncode is None and not select.select([self._status], [], [], 0)[0]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        with self._waiting:
            if self.returncode is None:
                code = int(self._line())
                with self._ending:
                    os.close(self._status)
                    self.returncode = code
        return self.returncode

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += (read := os.read(self._status, 1))
            assert read, "the process that forks workers has ended"
        return line


class Subprocess(types.ModuleType):
    """The module `subprocess` as `worker_process` sees it: workers are forked from a server."""

    def __init__(self) -> None:
        super().__init__("subprocess")
        self._server: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._began = read_at_import(dict(os.environ))
        self.forked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)

    def Popen(self, command: list[str], *, env: dict[str, str], stderr: Any, cwd: Path | None, **options: Any) -> Any:
        """Fork a worker. One with another module, backend or path is started, because it imports something else."""
        if command[-1] != worker_process.WORKER or read_at_import(env) != self._began:
            return subprocess.Popen(command, env=env, stderr=stderr, cwd=cwd, **options)
        if self._server is None:
            self._server, theirs = socket.socketpair()
            with theirs:
                line = [sys.executable, __file__, str(theirs.fileno())]
                self._process = subprocess.Popen(line, env=env, pass_fds=[theirs.fileno()], start_new_session=True)
        self.forked += 1
        return ForkedProcess(self._server, stderr.fileno(), env, str(cwd or Path.cwd()))

    def close(self) -> None:
        if self._server is not None and self._process is not None:
            self._server.close()
            self._process.wait()


@contextlib.contextmanager
def forked_workers() -> Iterator[Subprocess]:
    """Fork the workers of the searches that run in this process; gives what counts them."""
    forking = Subprocess()
    worker_process.subprocess = forking  # type: ignore[attr-defined]
    try:
        yield forking
    finally:
        worker_process.subprocess = subprocess  # type: ignore[attr-defined]
        forking.close()


# -- the server ------------------------------------------------------------------------------------


def import_all() -> None:
    """Import what a worker imports until it has trained and logged a model."""
    # as `-m cnnsearch.training.worker` does with PYTHONSAFEPATH
    del sys.path[0]
    from cnnsearch.training.device import import_keras

    import_keras()
    for name in ("mlflow.keras", "mlflow.pyfunc", "cnnsearch.training.compiled.tensorflow", worker_process.WORKER):
        importlib.import_module(name)
    # it will be the main module
    del sys.modules[worker_process.WORKER]


def serve(control: socket.socket) -> dict[str, Any]:
    """Fork a process for each request until the tests end. Returns, in that process only, its request."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    children: dict[int, int] = {}
    while True:
        ready = select.select([control, wake], [], [])[0]
        if wake in ready:
            os.read(wake, 1024)
            report_ended(children)
        if control not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(control, 1, 5)
        if not message:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            os._exit(0)
        if (pid := os.fork()) == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (control.detach(), wake, woken, *children.values()):
                os.close(descriptor)
            return become(descriptors)
        source, target, stderr, children[pid], given = descriptors
        os.write(children[pid], b"%d\n" % pid)
        for descriptor in (source, target, stderr, given):
            os.close(descriptor)


def report_ended(children: dict[int, int]) -> None:
    """Write the exit codes of the processes that have ended to their pipes."""
    for pid in list(children):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            status = children.pop(pid)
            with contextlib.suppress(OSError):
                os.write(status, b"%d\n" % code)
            os.close(status)


def become(descriptors: list[int]) -> dict[str, Any]:
    """Take these descriptors as stdin, stdout and stderr of a session of its own; returns the request."""
    source, target, stderr, status, given = descriptors
    os.close(status)
    os.setsid()
    with os.fdopen(given) as file:
        request: dict[str, Any] = json.load(file)
    for number, descriptor in enumerate((source, target, stderr)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    return request


if __name__ == "__main__":
    import_all()
    serve(socket.socket(fileno=int(sys.argv[1])))
    sys.argv = [worker_process.WORKER]
    runpy.run_module(worker_process.WORKER, run_name="__main__", alter_sys=True)
