"""Workers as processes of this machine, each with its share of the cores and of a GPU."""

import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.gpus import gpus
from cnnsearch.core.host import held_by
from cnnsearch.core.message_encoding import FROM_WORKER, InvalidMessageError, decode, encode
from cnnsearch.core.messages import Answer, Message, Ready, UseMetric
from cnnsearch.data import image_cache, shared_memory
from cnnsearch.study.config import SearchConfig, worker_environment
from cnnsearch.tuning.launchers.base import LostWorker, WorkerEvent

BAD_STARTS = 5
"""The search ends after this many workers in a row were killed while they started."""


class WorkerProcess:
    """One worker. Its messages arrive in `inbox`; what it prints goes to the file `log`."""

    def __init__(self, slot: int, inbox: "queue.Queue[Arrival]", environment: dict[str, str], log: Path) -> None:
        self.slot, self.log = slot, log
        self._log_began = log.stat().st_size if log.exists() else 0
        self.ready = self.invalid = False
        self.memory = 0
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cnnsearch.training.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                # a Ctrl-C in the terminal reaches only the parent, which then ends its workers
                start_new_session=True,
            )
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def send(self, line: bytes) -> None:
        """Send one line. If the worker has ended, nothing is raised: its listener notices."""
        assert self.process.stdin is not None
        # a closed pipe is a ValueError
        with contextlib.suppress(OSError, ValueError):
            self.process.stdin.write(line)
            self.process.stdin.flush()

    def note(self, text: str) -> None:
        """Write a line of the parent to this worker's log."""
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as log:
            log.write(f"cnnsearch: {text}\n")

    def end_of_log(self, lines: int = 3) -> str:
        """The last lines that the worker printed."""
        text = self.log.read_bytes()[self._log_began :].decode("utf-8", "replace")
        return " | ".join(line.strip() for line in text.splitlines()[-lines:] if line.strip())

    def lost(self) -> LostWorker:
        """The event that says how the worker ended."""
        return LostWorker(self.process.returncode, self.invalid, self.log.name, self.memory)

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
            inbox.put((self, message))
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        inbox.put((self, None))


Arrival = tuple[WorkerProcess, Message | None]
"""A worker and its message; None: the worker has ended."""


class LocalLauncher:
    """Starts as many workers as there are slots; see `Launcher` for what each method does."""

    def __init__(self, config: SearchConfig, jobs: int) -> None:
        self._logs = config.study.folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._inbox: queue.Queue[Arrival] = queue.Queue()
        self._back: list[Arrival] = []
        self._config, self._gpus, self._jobs = config, gpus(), jobs
        self._workers: dict[int, WorkerProcess] = {}
        self._bad_starts = 0
        shared_memory.sweep(config.study.folder)
        image_cache.sweep(config.study.runs)
        self._shared = _folder(config.study.folder) if jobs > 1 else None
        self.fill()

    @property
    def slots(self) -> list[int]:
        return sorted(self._workers)

    def fill(self, most: int = 0) -> None:
        for slot in range(most or self._jobs):
            if slot not in self._workers:
                self._start(slot)

    def ready(self, slot: int) -> bool:
        return slot in self._workers and self._workers[slot].ready

    def submit(self, slot: int, assignment: Message) -> None:
        self._workers[slot].send(encode(assignment))

    def reply(self, slot: int, answer: Answer) -> None:
        self._workers[slot].send(encode(answer))

    def poll(self, timeout: float) -> WorkerEvent | None:
        try:
            worker, message = self._back.pop(0) if self._back else self._inbox.get(timeout=timeout)
        except queue.Empty:
            return None
        if self._workers.get(worker.slot) is not worker:
            # it was stopped or restarted
            return None
        if message is None:
            self._check_start(worker)
            return WorkerEvent(worker.slot, worker.lost())
        if isinstance(message, Ready):
            worker.ready, self._bad_starts = True, 0
        return WorkerEvent(worker.slot, message)

    def requeue(self, events: list[WorkerEvent]) -> None:
        for event in events:
            worker = self._workers[event.slot]
            worker.ready &= not isinstance(event.what, Ready)
            self._back.append((worker, event.what if isinstance(event.what, Message) else None))

    def memory(self, slot: int) -> int:
        worker = self._workers[slot]
        worker.memory = held_by(worker.process.pid) or worker.memory
        return worker.memory

    def note(self, slot: int, text: str) -> None:
        self._workers[slot].note(text)

    def restart(self, slot: int) -> None:
        self.stop(slot)
        self._start(slot)

    def stop(self, slot: int) -> None:
        if slot in self._workers:
            self._workers.pop(slot).process.kill()

    def use_metric(self, metric: str) -> None:
        self._config = self._config.changed(metric=metric)
        for worker in self._workers.values():
            worker.send(encode(UseMetric(metric=metric)))

    def close(self) -> None:
        for worker in self._workers.values():
            worker.process.kill()
        for worker in self._workers.values():
            worker.process.wait()
        if self._shared:
            self._shared.cleanup()

    def _start(self, slot: int) -> None:
        gpu = self._gpus[slot % len(self._gpus)] if self._gpus else None
        beside = -(-self._jobs // len(self._gpus)) if gpu else 1
        environment = worker_environment(self._config.resources.threads, gpu, beside, self._jobs)
        worker = WorkerProcess(slot, self._inbox, environment, self._logs / f"worker-{slot}.log")
        shared = Path(self._shared.name) if self._shared else None
        worker.send(json.dumps(self._config.for_worker(shared)).encode() + b"\n")
        self._workers[slot] = worker

    def _check_start(self, worker: WorkerProcess) -> None:
        if worker.ready:
            return
        self._bad_starts += 1
        code = worker.process.returncode
        if worker.invalid and self._bad_starts > 1:
            raise CnnsearchError(f"A worker sent invalid messages; see {worker.log}.")
        # a signal comes from outside, for example if memory is short; other errors would happen again
        if code >= 0 or self._bad_starts > BAD_STARTS:
            raise CnnsearchError(f"A worker ended at its start (code {code}): {worker.end_of_log() or worker.log}")


def _folder(study: Path) -> "tempfile.TemporaryDirectory[str] | None":
    """The folder in which workers share the data; None if it cannot be made."""
    try:
        return tempfile.TemporaryDirectory(prefix=shared_memory.PREFIX, dir=study, ignore_cleanup_errors=True)
    except OSError:
        return None
