"""Signals end a search in order, and the same command goes on from the epochs that were trained."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from cnnsearch.study.trial import COUNTED, from_optuna
from cnnsearch.tuning.signals import SignalHandler
from tests.conftest import Done, invoke
from tests.faults import storm


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    found = optuna.load_study(study_name="storm", storage=f"sqlite:///{folder / 'runs' / 'cnnsearch.db'}")
    return list(found.get_trials(deepcopy=False))


def newest(folder: Path) -> float:
    """When a training's state was last written."""
    return max((path.stat().st_mtime for path in folder.glob("runs/storm/epochs/*.npz")), default=0.0)


def search(folder: Path, line: list[str], environment: dict[str, str], name: signal.Signals) -> tuple[Done, float]:
    """Send a signal when an epoch was trained: how the search ended, and how many seconds after.

    With SIGINT it is a process of its own, as it is for a user. With others it is this process, whose workers start
    sooner; it ignores the signal before and after.
    """
    before, deadline, sent = newest(folder), time.monotonic() + 200, [0.0]

    def send(process: int) -> None:
        while newest(folder) <= before and time.monotonic() < deadline:
            time.sleep(0.02)
        sent[0] = time.monotonic()
        os.kill(process, name)

    if name == signal.SIGINT:
        with subprocess.Popen(line, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as running:
            send(running.pid)
            said = running.communicate(timeout=60)[1]
        return subprocess.CompletedProcess(line, running.returncode, "", said), time.monotonic() - sent[0]
    known = signal.signal(name, lambda *_: None)
    thread = threading.Thread(target=send, args=(os.getpid(),))
    thread.start()
    try:
        done = invoke(folder, *line[3:], MLFLOW_TRACKING_URI=environment["MLFLOW_TRACKING_URI"])
    finally:
        ended = time.monotonic()
        thread.join()
        signal.signal(name, known)
    return done, ended - sent[0]


@pytest.mark.timeout(600)
def test_what_was_running_goes_on_from_its_last_epoch(tmp_path: Path, blank_mlflow: Path) -> None:
    line = [*storm.command(tmp_path, 2, 0), "--epochs", "120", "--pruner", "none"]
    environment = storm.surroundings(tmp_path, blank_mlflow)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        ended, seconds = search(tmp_path, line, environment, getattr(signal, name))
        assert seconds < 20 and "0 trials ended and are stored." in ended.stderr, ended
        assert ended.returncode == 130 and "Traceback" not in ended.stderr and "same command" in ended.stderr, ended
        states = [trial.state for trial in trials(tmp_path)]
        assert TrialState.RUNNING not in states and TrialState.WAITING in states

    last = invoke(tmp_path, *line[3:], MLFLOW_TRACKING_URI=environment["MLFLOW_TRACKING_URI"])
    assert last.returncode == 0, last.stderr
    ended = [each for each in map(from_optuna, trials(tmp_path)) if each.state in COUNTED]
    assert len(ended) == 2 and max(each.resumed for each in ended) > 0
    assert all(len(each.history) == each.epochs == 120 for each in ended)
    storm.check(tmp_path, 2)


def test_with_nohup_a_search_goes_on_after_a_logout() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalHandler().listening() as handler:
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) == handler.signalled
    finally:
        signal.signal(signal.SIGHUP, before)
