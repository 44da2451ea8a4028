"""Signals end a search in order, and the same command goes on from the epochs that were trained."""

import signal
import subprocess
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from cnnsearch.study.trial import COUNTED, from_optuna
from tests.conftest import invoke
from tests.faults import storm


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    found = optuna.load_study(study_name="storm", storage=f"sqlite:///{folder / 'runs' / 'cnnsearch.db'}")
    return list(found.get_trials(deepcopy=False))


def newest(folder: Path) -> float:
    """When a training's state was last written."""
    return max((path.stat().st_mtime for path in folder.glob("runs/storm/epochs/*.npz")), default=0.0)


@pytest.mark.timeout(600)
def test_what_was_running_goes_on_from_its_last_epoch(tmp_path: Path, blank_mlflow: Path) -> None:
    line = [*storm.command(tmp_path, 2, 0), "--epochs", "120", "--pruner", "none"]
    environment = storm.surroundings(tmp_path, blank_mlflow)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        before, deadline = newest(tmp_path), time.monotonic() + 200
        running = subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
        while newest(tmp_path) <= before and time.monotonic() < deadline and running.poll() is None:
            time.sleep(0.02)
        running.send_signal(getattr(signal, name))
        stopped = time.monotonic()
        said = running.communicate(timeout=60)[1]
        assert time.monotonic() - stopped < 20 and "0 trials ended and are stored." in said, said
        assert running.returncode == 130 and "Traceback" not in said and "same command" in said, (name, said)
        states = [trial.state for trial in trials(tmp_path)]
        assert TrialState.RUNNING not in states and TrialState.WAITING in states

    last = invoke(tmp_path, *line[3:], MLFLOW_TRACKING_URI=environment["MLFLOW_TRACKING_URI"])
    assert last.returncode == 0, last.stderr
    ended = [each for each in map(from_optuna, trials(tmp_path)) if each.state in COUNTED]
    assert len(ended) == 2 and max(each.resumed for each in ended) > 0
    assert all(len(each.history) == each.epochs == 120 for each in ended)
    storm.check(tmp_path, 2)
