"""The live page of `cnnsearch run --ui`: a server in a process of its own, which ends after the search."""

import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from cnnsearch.cli.summary import where
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.study import Study
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.trial_source import End

HOST, PORT = "127.0.0.1", 8090
"""Where the page is; if the port is in use, another free one is taken."""

LAST_PAGE = 30.0
"""Seconds that the server waits at most, until browsers have the page of the end of the search."""


class LivePage(TunerCallback):
    """Serves the report of the search while it runs. It costs the search one process to start."""

    def __init__(self, config: SearchConfig) -> None:
        self._config = config
        self._server: subprocess.Popen[str] | None = None

    def on_study_begin(self, study: Study) -> None:
        log = study.folder / "logs" / "live-page.log"
        try:
            self._server = self._started(log)
        except OSError as error:
            self.note(f"The live report could not be started: {error.strerror}. The search continues.")
            return
        config = self._config.study
        then = f"cnnsearch report {shlex.quote(config.name)}{where(config.runs, config.storage)}"
        threading.Thread(target=self._tell, args=(self._server, log, then), daemon=True).start()

    def _started(self, log: Path) -> "subprocess.Popen[str]":
        """The server, which has been told what to serve."""
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as errors:
            server = subprocess.Popen(
                [sys.executable, "-m", "cnnsearch.cli.live_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                # Ctrl-C is for the search
                start_new_session=True,
            )
        config = self._config.study
        given = {
            "study": config.name,
            "runs": str(config.runs),
            # not as an argument: the list of processes shows those, and the address can contain a password
            "storage": config.storage,
            "plugins": [str(each) for each in config.plugins],
        }
        assert server.stdin is not None
        server.stdin.write(json.dumps(given) + "\n")
        server.stdin.flush()
        return server

    def _tell(self, server: "subprocess.Popen[str]", log: Path, then: str) -> None:
        """Tell the user the address when the server has said it."""
        assert server.stdout is not None
        if address := server.stdout.readline().strip():
            self.note(f"Live report on {address} until the search ends. Afterwards: {then}")
        else:
            self.note(f"The live report could not be started; {log} has the reason. The search continues.")

    def on_study_end(self, study: Study, end: End) -> None:
        if self._server is not None and self._server.stdin is not None:
            # the server reads its end, and ends after the last page
            with contextlib.suppress(OSError):
                self._server.stdin.close()


def serve(study: str, runs: str, storage: str, plugins: list[str]) -> None:
    """Serve the page, say its address on stdout, and end after stdin has ended."""
    import uvicorn

    from cnnsearch.cli import live_page
    from cnnsearch.results.report.live import LiveReport
    from cnnsearch.study import listing

    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    load = partial(listing.load, study, Path(runs), storage)
    report = LiveReport(load, tuple(map(Path, plugins)), where(Path(runs), storage))
    listener = _listener()
    print(f"http://{HOST}:{listener.getsockname()[1]}/", flush=True)
    server = uvicorn.Server(uvicorn.Config(live_page.app(report), log_level="error", timeout_graceful_shutdown=1))
    threading.Thread(target=_end_with_search, args=(report, server), daemon=True).start()
    server.run(sockets=[listener])


def _listener() -> socket.socket:
    """A socket at the usual port, or at another free one."""
    for port in (PORT, 0):
        found = socket.socket()
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((HOST, port))
            found.listen()
            break
        except OSError:
            found.close()
            if not port:
                raise
    return found


def _end_with_search(report: Any, server: Any) -> None:
    """End the server when the search has ended and the browsers have its last page."""
    # ends when the parent closes it, and if the parent was killed
    sys.stdin.read()
    until = time.monotonic() + LAST_PAGE
    while report.readers and not report.has_ended and time.monotonic() < until:
        time.sleep(0.2)
    # other browsers load it at the same time
    time.sleep(2.0 if report.readers else 0.0)
    server.should_exit = True


if __name__ == "__main__":
    serve(**json.loads(sys.stdin.readline()))
