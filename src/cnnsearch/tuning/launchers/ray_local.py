"""The processes of a search on a Ray cluster that run on the parent's machine."""

import queue
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.core.messages import LogModel, Message, Ready
from cnnsearch.data import shared_memory
from cnnsearch.study.config import SearchConfig, worker_environment
from cnnsearch.tuning.launchers.base import WorkerEvent
from cnnsearch.tuning.launchers.worker_process import DATA_PROCESS, WORKER, WorkerProcess


class LocalProcesses:
    """One process loads the data for the cluster, from the start; another logs a model to MLflow.

    A function that trains for itself has data of its own: then nothing is loaded.

    What they send comes to `inbox`, and from there to `event`.
    """

    def __init__(self, config: SearchConfig, inbox: "queue.Queue[Any]", loaded: Callable[[str], None]) -> None:
        """`loaded(lines)` is called when the data is loaded; `lines` is what the process printed last."""
        folder = config.study.folder.resolve()
        self._config, self._inbox, self._loaded = config, inbox, loaded
        self._logs = folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        shared_memory.sweep(folder)
        self._shared = tempfile.TemporaryDirectory(prefix=shared_memory.PREFIX, dir=folder, ignore_cleanup_errors=True)
        own = config.study.space.trains_itself
        self._loader: WorkerProcess | None = None if own else self._start("data", DATA_PROCESS, "write")
        self._logger: tuple[WorkerProcess, int, LogModel] | None = None

    def data(self, lines: str = "") -> Any:
        """The data that was loaded; None if the function of the space has its own.

        Raises:
            CnnsearchError: if it was not loaded; `lines` says why.
        """
        if self._config.study.space.trains_itself:
            return None
        found = shared_memory.read(Path(self._shared.name))
        if found is None:
            raise CnnsearchError(f"The data cannot be loaded: {lines or 'the process that loads them was ended'}")
        return found

    def log_model(self, slot: int, assignment: LogModel) -> None:
        """Log a model in a new process. Its answer comes as one of the worker in `slot`."""
        self._logger = self._start("mlflow"), slot, assignment

    def event(self, process: WorkerProcess, message: Message | None) -> WorkerEvent | None:
        """What a message of a process means for the tuner; None if nothing. No message: the process has ended."""
        if process is self._loader:
            if message is not None:
                return WorkerEvent(-1, message)
            self._loader = None
            self._loaded(process.reader.last_lines())
        elif self._logger and process is self._logger[0]:
            _, slot, assignment = self._logger
            if not isinstance(message, Ready):
                return WorkerEvent(slot, process.lost() if message is None else message)
            process.send(assignment)
        return None

    def close(self) -> None:
        """End the processes, and remove the data."""
        for process in (self._loader, self._logger[0] if self._logger else None):
            if process:
                process.end()
                process.process.wait()
        self._shared.cleanup()

    def _start(self, name: str, *command: str) -> WorkerProcess:
        settings = self._config.for_worker(Path(self._shared.name))
        log = self._logs / f"{name}.log"
        return WorkerProcess(-1, self._inbox, worker_environment(1, None), log, settings, command or (WORKER,))
