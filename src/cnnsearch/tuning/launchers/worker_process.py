"""A worker as a process of this machine."""

import contextlib
import functools
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.host import held_by
from cnnsearch.core.message_encoding import FROM_WORKER, InvalidMessageError, decode, encode
from cnnsearch.core.messages import LogModel, Message, Ready
from cnnsearch.tuning.launchers.base import LostWorker
from cnnsearch.tuning.launchers.fork_server import Fork, fork_servers
from cnnsearch.tuning.launchers.forked_process import ForkedProcess
from cnnsearch.tuning.launchers.log_reader import LogReader

WORKER = "cnnsearch.training.worker"
"""The module of a worker."""

DATA_PROCESS = "cnnsearch.training.data_process"
"""The module that loads the data for workers."""

BAD_STARTS = 5
"""The search ends after this many workers in a row were killed while they started."""


class WorkerProcess:
    """One worker. Its messages arrive in `inbox`; what it prints goes to the file `log`."""

    def __init__(
        self,
        slot: int,
        inbox: "queue.Queue[Arrival]",
        environment: dict[str, str],
        log: Path,
        settings: dict[str, Any],
        command: tuple[str, ...] = (WORKER,),
        folder: Path | None = None,
        fork: Fork | None = None,
    ) -> None:
        """Start the process, and send it `settings`.

        Args:
            command: the module that it runs, and arguments.
            folder: its current folder.
            fork: forks a worker from a server instead.
        """
        self.slot, self.log = slot, log
        self.reader = LogReader(log)
        self.ready = self.invalid = False
        self.memory = 0
        start: Callable[..., Any] = functools.partial(
            subprocess.Popen,
            [sys.executable, "-m", *command],
            env=environment,
            cwd=folder,
            # a Ctrl-C in the terminal reaches only the parent, which then ends its workers
            start_new_session=True,
        )
        self.process: subprocess.Popen[bytes] | ForkedProcess
        with log.open("ab") as stderr:
            if fork:
                self.process = fork(environment, folder, stderr.fileno(), start)
            else:
                self.process = start(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
        self._write(json.dumps(settings).encode() + b"\n")
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def send(self, message: Message) -> None:
        """Send a message. If the worker has ended, nothing is raised: its listener notices."""
        if isinstance(message, LogModel):
            fork_servers.logs_models = True
        self._write(encode(message))

    def _write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        # a closed pipe is a ValueError
        with contextlib.suppress(OSError, ValueError):
            self.process.stdin.write(line)
            self.process.stdin.flush()

    def note(self, text: str) -> None:
        """Write a line of the parent to this worker's log."""
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as log:
            log.write(f"cnnsearch: {text}\n")

    def held(self) -> int:
        """Bytes of memory that the process holds, or held at the last call if it has ended."""
        self.memory = held_by(self.process.pid) or self.memory
        return self.memory

    @property
    def code(self) -> int:
        """The exit code of the process, which has ended. Negative: the signal that ended it."""
        assert self.process.returncode is not None
        return self.process.returncode

    def lost(self) -> LostWorker:
        """The event that says how the worker ended."""
        return LostWorker(self.code, self.invalid, self.log.name, self.memory)

    def end(self) -> None:
        """End the process at once."""
        self.process.kill()

    def _listen(self, inbox: "queue.Queue[Arrival]") -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        for line in self.process.stdout:
            try:
                message = decode(line, FROM_WORKER)
            except InvalidMessageError as error:
                # later lines may be invalid, too; another worker replaces this one
                self.note(f"it sent an invalid message: {error}")
                self.invalid = True
                break
            if isinstance(message, Ready) and message.backend:
                fork_servers.uses_keras = True
            inbox.put((self, message))
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        inbox.put((self, None))


Arrival = tuple[WorkerProcess, Message | None]
"""A worker and its message; None: the worker has ended."""


class StartCheck:
    """Ends a search whose workers end while they start."""

    def __init__(self) -> None:
        self._bad = 0

    def started(self) -> None:
        """A worker is ready."""
        self._bad = 0

    def failed(self, lost: LostWorker, log: Path, last_lines: str) -> None:
        """A worker ended before it was ready.

        Raises:
            CnnsearchError: if another one would not start either.
        """
        self._bad += 1
        if lost.invalid and self._bad > 1:
            raise CnnsearchError(f"A worker sent invalid messages; see {log}.")
        # a signal comes from outside, for example if memory is short; other errors would happen again
        if lost.code >= 0 or self._bad > BAD_STARTS:
            raise CnnsearchError(f"A worker ended at its start (code {lost.code}): {last_lines or log}")
