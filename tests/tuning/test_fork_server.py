"""Workers that are forked from a fork server are like those that are started."""

import contextlib
import functools
import json
import os
import queue
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from cnnsearch.core.messages import Fatal
from cnnsearch.study import listing
from cnnsearch.study.config import worker_environment
from cnnsearch.tuning.launchers import fork_server
from cnnsearch.tuning.launchers.fork_server import ForkServer, fork_servers
from cnnsearch.tuning.launchers.forked_process import ForkedProcess
from cnnsearch.tuning.launchers.worker_process import WORKER, Arrival, WorkerProcess
from tests.conftest import TINY, Run, cnnsearch

TELLS = """
import json
import os
import sys

import numpy as np

print("at import:", file=sys.stderr)
print(json.dumps({
    "variable": os.environ.get("TOLD"),
    "removed": os.environ.get("HIDDEN"),
    "folder": os.getcwd(),
    "random": np.random.random(),
    "keras": "keras" in sys.modules,
    "session": os.getsid(0) == os.getpid(),
    "descriptors": sorted(map(int, os.listdir("/proc/self/fd"))),
}), file=sys.stderr)
import keras
print("keras" in sys.modules, keras.__spec__.name, len(keras.layers.Dense(2)(keras.KerasTensor((None, 3))).shape))
"""
"""A plugin that prints what its process has."""

KILLS = '''
"""A dimension whose worker kills the process that forked it, once."""

import os
import signal
from pathlib import Path

from cnnsearch import dimension


@dimension
def kills(hp, plan):
    """Kills its fork server."""
    marker = Path("marker")
    if b"training.fork_server" in Path(f"/proc/{os.getppid()}/cmdline").read_bytes() and not marker.exists():
        marker.write_text(str(os.getppid()))
        os.kill(os.getppid(), signal.SIGKILL)
    return plan
'''


ENDS = '''
"""A dataset that ends its process."""

import os

from cnnsearch import dataset


@dataset
def ends():
    """Ends its process."""
    os._exit(3)
'''


@pytest.fixture
def server() -> Iterator[ForkServer]:
    """A server for this process' environment: that of the other searches of this process, if there is one."""
    found = fork_servers._server(worker_environment(1, None, 1, 2), None, True)
    assert found is not None
    yield found


def forked(server: ForkServer, log: Path, folder: Path | None = None, **environment: str) -> ForkedProcess:
    """A worker that waits for its settings."""
    given = worker_environment(1, None) | environment
    given.pop("HIDDEN", None)
    start = functools.partial(subprocess.Popen, [sys.executable, "-m", WORKER], env=given)
    with log.open("ab") as stderr:
        return server.fork((), True, given, folder, stderr.fileno(), start)


def has_begun(process: ForkedProcess) -> bool:
    """Wait until the process is forked."""
    until = time.monotonic() + 60
    while not process.pid and time.monotonic() < until:
        time.sleep(0.01)
    return process.pid > 0


def close(process: ForkedProcess) -> None:
    process.stdin.close()
    process.stdout.close()


def test_exit_codes_and_signals_are_those_of_the_worker(server: ForkServer, tmp_path: Path) -> None:
    killed, crashed, done = (forked(server, tmp_path / "log") for _ in range(3))
    assert all(map(has_begun, (killed, crashed, done)))
    with pytest.raises(subprocess.TimeoutExpired):
        killed.wait(0.01)
    killed.kill()
    os.kill(crashed.pid, signal.SIGSEGV)
    done.stdin.close()
    assert (killed.wait(), crashed.wait(), done.wait()) == (-9, -11, 0)
    assert killed.wait() == -9
    killed.kill()
    for each in (killed, crashed, done):
        close(each)


def test_the_end_of_a_worker_is_noticed_while_another_one_goes_on(tmp_path: Path) -> None:
    """Both are asked for while the server imports Keras, so they are forked together."""
    server = ForkServer(worker_environment(1, None))
    first, second = (forked(server, tmp_path / "log") for _ in range(2))
    assert all(map(has_begun, (first, second)))
    second.kill()
    # the parent reads a worker's messages until no process holds the other end of the pipe
    assert select.select([second.stdout], [], [], 20)[0] and second.stdout.read() == b""
    first.kill()
    for each in (first, second):
        each.wait()
        close(each)
    server.close()


def test_environment_folder_and_keras_are_those_of_a_started_worker(
    server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "tells.py").write_text(TELLS)
    monkeypatch.chdir(tmp_path)
    server._environment["HIDDEN"] = "yes"
    said = []
    for value, folder in (("one", None), ("two", tmp_path / "plugins")):
        process = forked(server, tmp_path / f"{value}.txt", folder, TOLD=value)
        # settings of no search: the plugins are loaded, and then the worker ends
        settings = dict.fromkeys(("dataset", "seed", "epochs", "metric", "precision", "compiled", "runs", "shared"))
        settings |= dict.fromkeys(("max_params", "max_macs", "max_latency"), 0)
        settings |= {"space": {}, "folder": str(tmp_path), "plugins": [str(tmp_path / "plugins")]}
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        process.stdin.flush()
        assert b"could not start" in process.stdout.read() and process.wait() == 0
        close(process)
        log = (tmp_path / f"{value}.txt").read_text()
        _, _, after = log.partition("at import:\n")
        said.append(json.loads(after.splitlines()[0]))
        assert "True keras 2" in after
    first, second = said
    assert (first["variable"], second["variable"]) == ("one", "two") and first["removed"] is None
    assert first["folder"] == str(tmp_path) and first["session"] and not first["keras"]
    assert second["folder"] == str(tmp_path / "plugins")
    assert first["random"] != second["random"]
    # the pipes, and the folder that is being listed: nothing of the server or of another worker
    assert max(first["descriptors"]) < 12


def test_a_worker_of_a_server_that_is_killed_is_started(tmp_path: Path) -> None:
    server = ForkServer(worker_environment(1, None))
    first, second = forked(server, tmp_path / "first.txt"), forked(server, tmp_path / "second.txt")
    # before it is forked
    second.kill()
    assert second.wait() == -9 and not second.pid
    server._process.kill()
    assert has_begun(first) and psutil.Process(first.pid).cmdline()[-1] == WORKER
    assert "not forked: the fork server has ended with code -9" in (tmp_path / "first.txt").read_text()
    first.stdin.close()
    assert first.wait() == 0 and server.has_failed
    third = forked(server, tmp_path / "third.txt")
    assert has_begun(third)
    third.kill()
    assert third.wait() == -9
    for each in (first, second, third):
        close(each)


def test_a_server_serves_only_processes_that_would_import_the_same() -> None:
    def key(**environment: str) -> Any:
        return fork_server._inherited(worker_environment(1, None) | environment, None)

    assert key() == key(CUDA_VISIBLE_DEVICES="", MLFLOW_TRACKING_URI="sqlite:///other.db", CNNSEARCH_RUN_JOBS="3")
    others = [{"TF_ENABLE_ONEDNN_OPTS": "0"}, {"KERAS_BACKEND": "jax"}, {"OMP_NUM_THREADS": "7"}, {"PYTHONPATH": "src"}]
    assert len({key(), *(key(**other) for other in others)}) == 5


def test_only_workers_that_import_keras_start_a_server() -> None:
    servers = fork_server.ForkServers()
    environment = worker_environment(1, None)
    with contextlib.closing(servers):
        # the only worker, and a worker that may need no Keras
        assert servers.fork(environment, True, 1) is None and servers.fork(environment, False, 2) is None
        for other in ({"KERAS_BACKEND": "jax"}, {"CNNSEARCH_FORK_SERVER": "0"}):
            assert servers.fork(environment | other, True, 2) is None
        assert not servers._servers
        assert servers.fork(environment, True, 1) is not None and servers.fork(environment, False, 2) is not None


def test_a_worker_process_takes_what_forks(server: ForkServer, tmp_path: Path) -> None:
    inbox: queue.Queue[Arrival] = queue.Queue()
    fork = functools.partial(server.fork, (), False)
    worker = WorkerProcess(0, inbox, worker_environment(1, None), tmp_path / "log", {"no": "settings"}, fork=fork)
    assert isinstance(fatal := inbox.get(timeout=60)[1], Fatal) and "unexpected keyword argument 'no'" in fatal.message
    # after the last message it is killed, if it has not ended yet
    assert inbox.get(timeout=60) == (worker, None) and worker.lost().code in (0, -9)


def test_a_worker_that_ends_without_a_word_names_its_log(run: Run, tmp_path: Path) -> None:
    """And not what its server printed when it imported Keras."""
    (tmp_path / "ends.py").write_text(ENDS)
    (tmp_path / "space.toml").write_text(
        'dataset = "ends"\ndimensions = [{ use = "conv_depth" }, { use = "filters" }]\n'
    )
    done = run("run", "--space", "space.toml", "--plugins", "ends.py", "--trials", "2", "--jobs", "2")
    assert done.returncode == 2 and re.search(r"at its start \(code 3\): \S+/worker-\d\.log", done.stderr), done.stderr


def test_a_search_goes_on_without_its_server(run: Run, tmp_path: Path) -> None:
    (tmp_path / "kills.py").write_text(KILLS)
    (tmp_path / "space.toml").write_text(
        'dataset = "digits"\ninput_shape = [8, 8, 1]\ndimensions = ["filters", "learning_rate", "kills"]\n'
    )
    line = ("run", "--space", "space.toml", "--plugins", "kills.py", "--trials", "2", "--jobs", "2", *TINY)
    done = run(*line)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not psutil.pid_exists(int((tmp_path / "marker").read_text()))
    assert [each.state for each in listing.load(None, tmp_path / "runs").trials()] == ["complete", "complete"]


def test_an_error_in_the_data_is_told_before_keras_is_imported(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    # the fork server is still there, and imports it, when the search ends
    (tmp_path / "packages" / "keras.py").write_text("import time\ntime.sleep(60)\nraise ImportError('too late')\n")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    np.savez(tmp_path / "labels.npz", x=np.zeros((30, 8, 8, 1), "uint8"), y=np.arange(30) % 3)
    path = os.pathsep.join([str(tmp_path / "packages"), os.environ.get("PYTHONPATH", "")])
    for data, metric, said in (
        ("broken.npz", "val_accuracy", "broken.npz: this is not a complete .npz file"),
        ("labels.npz", "val_top5_accuracy", "val_top5_accuracy is 1 for every candidate"),
    ):
        line = ("run", "--space", "digits_cnn", "--dataset", data, "--metric", metric, "--trials", "2", "--jobs", "2")
        done = cnnsearch(tmp_path, *line, PYTHONPATH=path)
        assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1, done
