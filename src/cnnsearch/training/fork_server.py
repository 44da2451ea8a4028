"""The fork server: a process that has imported Keras, and forks workers.

A forked worker starts in a fraction of a second; a worker that imports Keras itself needs 4 to 9 seconds of a core.

Parent and server talk over a pair of Unix sockets, in messages of JSON:

* `{"start": 3, "changed": {...}, "removed": [...], "imports": [...], "without_keras": false}` and four descriptors
  (stdin, stdout, stderr, current folder): fork worker 3. Its environment is the server's with these changes. The server
  imports these modules before; `without_keras` hides Keras until the worker imports it.
* `{"cancel": 3}`: do not fork worker 3, if it is not forked yet.
* `{"started": 3, "pid": 123}` and a descriptor of the process: the server's answer. Or `{"failed": 3, "reason": "..."}`
  if it could not fork.
* `{"ended": 3, "code": -9}`: worker 3 has ended. The code is negative for a signal.
"""

import contextlib
import gc
import importlib
import os
import select
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnsearch.core import descriptor_messages
from cnnsearch.training import lazy_keras, worker
from cnnsearch.training.connection import follow_process, start_time, take_pipes
from cnnsearch.training.device import import_keras

MODULES = ("candidate", "compiled.programs", "compiled.tensorflow", "epoch_callback", "fitting", "training_data")
"""The modules of `cnnsearch.training` that a worker imports when it trains."""

BACKEND = "tensorflow"
"""The backend that can be forked after its import. No operation may have been run."""


@dataclass(frozen=True)
class Request:
    """A worker to fork, and its descriptors."""

    number: int
    fields: dict[str, Any]
    descriptors: list[int]

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in self.descriptors:
            os.close(descriptor)


def main() -> None:
    """Serve the socket whose descriptor is the first argument. In a forked process: be a worker."""
    control, parent = socket.socket(fileno=int(sys.argv[1])), os.getppid()
    start = start_time(parent)
    with _ending_with(parent, start):
        _import_all()
    # no folder is in use while the server waits; each worker gets its own
    os.chdir("/")
    # pages with objects that are never collected stay shared between the workers
    gc.collect()
    gc.freeze()
    server = ForkServer(control)
    request = server.serve()
    server.close()
    _become(request)
    connection = take_pipes()
    follow_process(parent, start)
    worker.serve(connection)


@contextlib.contextmanager
def _ending_with(parent: int, start: str) -> Iterator[None]:
    """Inside, end this process soon after its parent ends. The thread that does it has ended afterwards."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            if start_time(parent) != start:
                os._exit(0)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _import_all() -> None:
    import_keras()
    keras = sys.modules["keras"]
    if keras.backend.backend() != BACKEND:
        sys.exit(f"the backend is {keras.backend.backend()}, not {BACKEND}")
    for name in MODULES:
        importlib.import_module(f"cnnsearch.training.{name}")


class ForkServer:
    """Forks a process for each request, and reports how it ended. The only thread of its process."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._workers: dict[int, tuple[int, int]] = {}
        """Number and process id of each worker, by the descriptor of the process."""

    def serve(self) -> Request:
        """Serve until the parent closes its socket. Returns in forked processes only, with their request."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._workers:
                    self._report_end(descriptor)
            requests = self._received()
            for place, request in enumerate(requests, 1):
                if self._fork(request):
                    # while this worker held the pipes of another one, the parent would not notice that worker's end
                    for other in requests[place:]:
                        other.close()
                    return request

    def close(self) -> None:
        """Close what belongs to the server, in a forked process."""
        self._control.close()
        for descriptor in self._workers:
            os.close(descriptor)

    def _received(self) -> list[Request]:
        """The requests that have come and were not cancelled. Ends the process if the parent has closed its socket."""
        requests: dict[int, Request] = {}
        while True:
            try:
                message = descriptor_messages.receive(self._control, wait=False)
            except BlockingIOError:
                return list(requests.values())
            if message is None:
                os._exit(0)
            fields, descriptors = message
            if "start" in fields:
                requests[fields["start"]] = Request(fields["start"], fields, descriptors)
            elif request := requests.pop(fields["cancel"], None):
                request.close()

    def _fork(self, request: Request) -> bool:
        """Fork a worker. True in the worker."""
        try:
            for name in request.fields["imports"]:
                importlib.import_module(name)
            pid = os.fork()
            if pid == 0:
                return True
            descriptor = os.pidfd_open(pid)
        # whatever an import raises
        except Exception as error:
            self._tell({"failed": request.number, "reason": str(error)})
        else:
            self._workers[descriptor] = request.number, pid
            self._poll.register(descriptor, select.POLLIN)
            self._tell({"started": request.number, "pid": pid}, [descriptor])
        request.close()
        return False

    def _report_end(self, descriptor: int) -> None:
        number, pid = self._workers.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self._tell({"ended": number, "code": code})

    def _tell(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        # if the parent has closed its socket, the next message says so
        with contextlib.suppress(OSError):
            descriptor_messages.send(self._control, message, descriptors or [], wait=True)


def _become(request: Request) -> None:
    """Make this process, which was forked, like one that was started as a worker."""
    os.setsid()
    printed = os.pread(2, descriptor_messages.LONGEST, 0)
    for number, descriptor in enumerate(request.descriptors[:3]):
        os.dup2(descriptor, number)
    os.fchdir(request.descriptors[3])
    request.close()
    for name in request.fields["removed"]:
        os.environ.pop(name, None)
    os.environ.update(request.fields["changed"])
    # what was printed during the imports belongs to the log of each worker; the disk may be full
    with contextlib.suppress(OSError):
        os.write(2, printed)
    time.tzset()
    tempfile.tempdir = None
    importlib.invalidate_caches()
    # Python makes new random numbers in a forked process, and NumPy does not
    np.random.seed()
    sys.argv = [str(worker.__file__)]
    if request.fields["without_keras"]:
        lazy_keras.hide()


if __name__ == "__main__":
    main()
