"""A worker that a fork server forks, as its parent sees it."""

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Any, Protocol

SERVER = "cnnsearch.training.fork_server"
"""The module of the server."""

SILENCE = 2.0
"""Seconds in which a server says how a worker has ended."""

UNKNOWN = -signal.SIGKILL
"""How a worker has ended whose server has ended, too: most probably both were killed."""

PIPE = 1 << 20
"""Bytes of messages to a worker that may wait in its pipe."""


class Server(Protocol):
    """The server of a forked process.

    Attributes:
        ended: whether it has ended.
    """

    ended: bool

    def cancel(self, process: "ForkedProcess") -> None:
        """Do not fork this process, if it is not forked yet."""


class ForkedProcess:
    """A worker that a server forks: the part of `subprocess.Popen` that is used here.

    `pid` is 0 until the server has forked it.
    """

    def __init__(self, server: Server, number: int, stderr: int, start: Callable[..., Any]) -> None:
        """`start(stdin=..., stdout=..., stderr=...)` starts the worker without the server, if that cannot fork it."""
        source, stdin = os.pipe()
        stdout, target = os.pipe()
        # room for settings and first messages, which nobody reads while the server imports; most have room by default
        with contextlib.suppress(OSError):
            fcntl.fcntl(stdin, fcntl.F_SETPIPE_SZ, PIPE)
        self.stdin, self.stdout = os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb")
        self.number, self.pid = number, 0
        self.returncode: int | None = None
        self.given = (source, target, os.dup(stderr))
        self._server, self._start = server, start
        self._process: subprocess.Popen[bytes] | None = None
        self._descriptor = -1
        self._lock = threading.Lock()
        self._known, self._ended = threading.Event(), threading.Event()

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def kill(self) -> None:
        """End the process at once."""
        with self._lock:
            if self.returncode is not None:
                return
            if self._process:
                self._process.kill()
            elif self._descriptor >= 0:
                kill(self._descriptor)
            else:
                self.returncode = -signal.SIGKILL
                self._give_up()
                self._server.cancel(self)
                self._known.set()

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the process has ended; its exit code, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: if it has not ended after so many seconds.
        """
        if not self._known.wait(timeout):
            raise subprocess.TimeoutExpired(SERVER, timeout or 0)
        if self._process:
            self.returncode = self._process.wait(timeout)
        elif self.returncode is None:
            _wait(self._descriptor, timeout)
            self._ended.wait(0 if self._server.ended else SILENCE)
            with self._lock:
                if self.returncode is None:
                    self.returncode = UNKNOWN
        assert self.returncode is not None
        return self.returncode

    # -- the server says -------------------------------------------------------------------------------

    def started(self, pid: int, descriptor: int) -> None:
        """The server has forked the process. `descriptor` refers to it, also after its end."""
        with self._lock:
            self._descriptor = descriptor
            if self.returncode is not None:
                # it was killed a moment before
                kill(descriptor)
                return
            self.pid = pid
            self._give_up()
            self._known.set()

    def ended(self, code: int) -> None:
        """The process has ended with this exit code."""
        with self._lock:
            if self.returncode is None:
                self.returncode = code
        self._ended.set()

    def start(self, reason: str) -> None:
        """Start the process without the server, for this reason."""
        with self._lock:
            if self.returncode is not None or self._known.is_set():
                return
            source, target, stderr = self.given
            with contextlib.suppress(OSError):
                os.write(stderr, f"cnnsearch: this worker is not forked: {reason}\n".encode())
            try:
                self._process = self._start(stdin=source, stdout=target, stderr=stderr)
                self.pid = self._process.pid
            except OSError:
                self.returncode = UNKNOWN
            self._give_up()
            self._known.set()

    def _give_up(self) -> None:
        """Close the worker's ends of the pipes, which the worker has now."""
        for descriptor in self.given:
            os.close(descriptor)


def kill(descriptor: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)


def _wait(descriptor: int, timeout: float | None) -> None:
    """Wait for the end of a process.

    Raises:
        subprocess.TimeoutExpired: if it has not ended after so many seconds.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if not poll.poll(None if timeout is None else timeout * 1000):
        raise subprocess.TimeoutExpired(SERVER, timeout or 0)
