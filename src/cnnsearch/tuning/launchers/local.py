"""Workers as processes of this machine, each with its share of the cores and of a GPU."""

import queue
import tempfile
from pathlib import Path
from typing import Any

from cnnsearch.core.gpus import gpus
from cnnsearch.core.messages import Answer, Message, Ready, UseMetric
from cnnsearch.data import image_cache, shared_memory
from cnnsearch.study.config import SearchConfig, worker_environment
from cnnsearch.tuning.launchers.base import WorkerEvent
from cnnsearch.tuning.launchers.fork_server import fork_servers
from cnnsearch.tuning.launchers.worker_process import DATA_PROCESS, Arrival, StartCheck, WorkerProcess


class LocalLauncher:
    """Starts as many workers as there are slots; see `Launcher` for what each method does."""

    def __init__(self, config: SearchConfig, jobs: int) -> None:
        self._logs = config.study.folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._inbox: queue.Queue[Arrival] = queue.Queue()
        self._back: list[Arrival] = []
        self._config, self._gpus, self._jobs = config, gpus(), jobs
        self._workers: dict[int, WorkerProcess] = {}
        self._starts = StartCheck()
        shared_memory.sweep(config.study.folder)
        image_cache.sweep(config.study.runs)
        self._shared = _folder(config.study.folder) if jobs > 1 else None
        self.fill()
        self._loader = self._data_process() if self._shared and fork_servers.are_starting else None

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
        self._workers[slot].send(assignment)

    def reply(self, slot: int, answer: Answer) -> None:
        self._workers[slot].send(answer)

    def poll(self, timeout: float) -> WorkerEvent | None:
        try:
            worker, message = self._back.pop(0) if self._back else self._inbox.get(timeout=timeout)
        except queue.Empty:
            return None
        if worker is self._loader:
            # a message of a process that loads the data; without one, the workers load it
            return WorkerEvent(worker.slot, message) if message else None
        if self._workers.get(worker.slot) is not worker:
            # it was stopped or restarted
            return None
        if message is None:
            lost = worker.lost()
            if not worker.ready:
                self._starts.failed(lost, worker.log, worker.reader.last_lines())
            return WorkerEvent(worker.slot, lost)
        if isinstance(message, Ready):
            worker.ready = True
            self._starts.started()
        return WorkerEvent(worker.slot, message)

    def requeue(self, events: list[WorkerEvent]) -> None:
        for event in events:
            worker = self._workers[event.slot]
            worker.ready &= not isinstance(event.what, Ready)
            self._back.append((worker, event.what if isinstance(event.what, Message) else None))

    def memory(self, slot: int) -> int:
        return self._workers[slot].held()

    def printed(self, slot: int) -> bytes:
        return self._workers[slot].reader.new() if slot in self._workers else b""

    def note(self, slot: int, text: str) -> None:
        self._workers[slot].note(text)

    def restart(self, slot: int) -> None:
        self.stop(slot)
        self._start(slot)

    def stop(self, slot: int) -> None:
        if slot in self._workers:
            self._workers.pop(slot).end()

    def use_metric(self, metric: str) -> None:
        self._config = self._config.changed(metric=metric)
        for worker in self._workers.values():
            worker.send(UseMetric(metric=metric))

    def close(self) -> None:
        processes = [*self._workers.values(), *([self._loader] if self._loader else [])]
        for process in processes:
            process.end()
        for process in processes:
            process.process.wait()
        if self._shared:
            self._shared.cleanup()

    def _data_process(self) -> WorkerProcess | None:
        """A process that loads the data while the fork server imports Keras. None if the space has its own data."""
        if self._config.study.space.trains_itself:
            return None
        environment = worker_environment(1, None, jobs=self._jobs)
        log = self._logs / "data.log"
        return WorkerProcess(-1, self._inbox, environment, log, self._settings(), (DATA_PROCESS,))

    def _settings(self) -> dict[str, Any]:
        """What each process gets first."""
        return self._config.for_worker(Path(self._shared.name) if self._shared else None)

    def _start(self, slot: int) -> None:
        gpu = self._gpus[slot % len(self._gpus)] if self._gpus else None
        beside = -(-self._jobs // len(self._gpus)) if gpu else 1
        environment = worker_environment(self._config.resources.threads, gpu, beside, self._jobs)
        log = self._logs / f"worker-{slot}.log"
        # a CUDA context does not survive a fork
        plans = not self._config.study.space.model
        fork = None if self._gpus else fork_servers.fork(environment, plans, self._jobs)
        self._workers[slot] = WorkerProcess(slot, self._inbox, environment, log, self._settings(), fork=fork)


def _folder(study: Path) -> "tempfile.TemporaryDirectory[str] | None":
    """The folder in which workers share the data; None if it cannot be made."""
    try:
        return tempfile.TemporaryDirectory(prefix=shared_memory.PREFIX, dir=study, ignore_cleanup_errors=True)
    except OSError:
        return None
