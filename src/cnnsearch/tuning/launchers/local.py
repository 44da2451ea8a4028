"""Worker processes as the parent sees them: started, spoken to, heard through one queue, replaced."""

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.gpus import gpus
from cnnsearch.core.messages import FROM_WORKER, InvalidMessageError, Message, UseMetric, decode, encode
from cnnsearch.data import image_cache, shared_memory
from cnnsearch.study.config import Settings, worker_environment


class Heard(NamedTuple):
    """A message of a worker; None when the worker is gone."""

    child: "Child"
    message: Message | None


class Child:
    """One worker process. Its messages arrive in `inbox`; what it prints goes to the file `log`."""

    def __init__(self, inbox: "queue.Queue[Heard]", environment: dict[str, str], log: Path) -> None:
        self.log, self._said_before = log, log.stat().st_size if log.exists() else 0
        self.ready = False
        self.stopping = False
        self.nonsense = False
        self.rss = 0
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cnnsearch.training.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                # a Ctrl-C in the terminal is for the parent alone, which then ends its workers in order
                start_new_session=True,
            )
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def send(self, message: Message) -> None:
        """Send one message; a worker that is gone is noticed by its listener."""
        self._write(encode(message))

    def send_settings(self, settings: dict[str, Any]) -> None:
        """Send what the worker needs to know: its first line, before any message."""
        self._write(json.dumps(settings).encode() + b"\n")

    def _write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
        except OSError:
            pass

    def note(self, text: str) -> None:
        """Write a line of the parent's to this worker's log."""
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as log:
            log.write(f"cnnsearch: {text}\n")

    def kill(self) -> None:
        """End the process at once."""
        self.stopping = True
        self.process.kill()

    def end_of_log(self, lines: int = 3) -> str:
        """The last lines that the worker printed."""
        text = self.log.read_bytes()[self._said_before :].decode("utf-8", "replace")
        return " | ".join(line.strip() for line in text.splitlines()[-lines:] if line.strip())

    def _listen(self, inbox: "queue.Queue[Heard]") -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                message = decode(line, FROM_WORKER)
            except InvalidMessageError as error:
                # what follows cannot be trusted; another worker takes its place
                self.note(f"it sent an invalid message: {error}")
                self.nonsense = True
                break
            inbox.put(Heard(self, message))
        self.process.kill()
        self.process.wait()
        inbox.put(Heard(self, None))


BAD_STARTS = 5
"""So many workers in a row may be killed while they start before it is given up."""


class Pool:
    """As many workers as there are jobs, each with its share of cores and its GPU."""

    def __init__(self, settings: Settings, jobs: int) -> None:
        self._logs = settings.folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self.inbox: queue.Queue[Heard] = queue.Queue()
        self._settings, self._gpus = settings, gpus()
        self.children: list[Child] = []
        self._slots: dict[Child, int] = {}
        self._jobs, self._bad_starts = jobs, 0
        shared_memory.sweep(settings.folder)
        image_cache.sweep(settings.runs)
        self._shared = _folder(settings.folder) if jobs > 1 else None
        self.fill()

    def go_by(self, metric: str) -> None:
        """Let every worker, and those that start later, go by this metric."""
        self._settings = replace(self._settings, metric=metric)
        for child in self.children:
            child.send(UseMetric(metric=metric))

    def fill(self) -> None:
        """Start a worker in every place that has none."""
        for slot in sorted(set(range(self._jobs)) - set(self._slots.values())):
            self._start(slot)

    def ready(self, child: Child) -> None:
        """Note that a worker has started."""
        child.ready, self._bad_starts = True, 0

    def check_start(self, child: Child) -> None:
        """Look at a worker that is gone.

        Raises:
            CnnsearchError: if it did not start, and another would not either.
        """
        if child.ready:
            return
        self._bad_starts += 1
        code = child.process.returncode
        # a signal comes from outside, such as the kernel short of memory; anything else will come again
        if child.nonsense and self._bad_starts > 1:
            raise CnnsearchError(f"A worker sent invalid messages; see {child.log}.")
        if code >= 0 or self._bad_starts > BAD_STARTS:
            raise CnnsearchError(f"A worker ended at its start (code {code}): {child.end_of_log() or child.log}")

    def hear(self, seconds: float) -> Heard | None:
        """The next message of any worker, or None after `seconds`."""
        try:
            return self.inbox.get(timeout=seconds)
        except queue.Empty:
            return None

    def replace(self, child: Child) -> Child:
        """End `child` and start another in its place."""
        return self._start(self.remove(child))

    def remove(self, child: Child) -> int:
        """End `child`; gives back its slot."""
        self.children.remove(child)
        child.kill()
        return self._slots.pop(child)

    def any(self) -> Child:
        """A worker: one that is there, or a new one."""
        return self.children[0] if self.children else self._start(0)

    def close(self) -> None:
        """End every worker."""
        for child in self.children:
            child.kill()
        for child in self.children:
            child.process.wait()
        if self._shared:
            self._shared.cleanup()

    def _start(self, slot: int) -> Child:
        gpu = self._gpus[slot % len(self._gpus)] if self._gpus else None
        beside = -(-self._jobs // len(self._gpus)) if gpu else 1
        environment = worker_environment(self._settings.threads, gpu, beside, self._jobs)
        child = Child(self.inbox, environment, self._logs / f"worker-{slot}.log")
        child.send_settings(self._settings.for_worker(Path(self._shared.name) if self._shared else None))
        self.children.append(child)
        self._slots[child] = slot
        return child


def _folder(study: Path) -> "tempfile.TemporaryDirectory[str] | None":
    """Where the data for all workers go; None where no folder can be made."""
    try:
        return tempfile.TemporaryDirectory(prefix=shared_memory.PREFIX, dir=study, ignore_cleanup_errors=True)
    except OSError:
        return None
