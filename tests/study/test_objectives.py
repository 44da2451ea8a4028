"""A metric and costs at once, pruned by the metric; and a limit on latency."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from cnnsearch.study import samplers
from cnnsearch.study.study import Study
from cnnsearch.study.trial import ATTRIBUTE, Trial
from cnnsearch.tuning.schedulers.pruning import Pruning
from tests.conftest import TINY, Run


def trained(number: int, weights: int, seen: list[float], state: str = "complete") -> Trial:
    history = tuple({"val_accuracy": value} for value in seen)
    return Trial(number, state, score=max(seen), weights=weights, history=history)


@pytest.fixture
def study() -> Study:
    made = optuna.create_study(directions=["maximize", "minimize"])
    made.set_user_attr(ATTRIBUTE, {"metric": "val_accuracy", "costs": ["params"]})
    return Study(made)


def test_a_trial_is_pruned_against_those_that_cost_no_more(study: Study) -> None:
    large = [trained(number, 9000, [0.5, 0.8, 0.9, 0.9, 0.9]) for number in range(6)]
    small = [trained(number, 100, [0.2, 0.3, 0.4, 0.4, 0.4]) for number in range(6, 12)]
    pruning = Pruning(study, "median", 5, samplers.NO_PLUGINS)
    for each in (*large, *small):
        pruning.ended(each)
    trial = study.optuna.ask()

    def ends(weights: int, *seen: float) -> bool:
        running = Trial(12, weights=weights)
        return pruning.should_prune(trial, running, list(seen))

    assert not ends(100, 0.2, 0.35, 0.41)  # better than what is as small
    assert ends(100, 0.2, 0.2, 0.2)  # worse than that
    assert ends(9000, 0.2, 0.35, 0.41)  # too large for so little: the median of all is above it
    assert not ends(50, 0.1, 0.1, 0.1)  # nothing is as small
    assert not ends(9000, 0.5, 0.8, 0.95)


def test_a_search_with_two_objectives_reports_both_to_optuna(run: Run, tmp_path: Path) -> None:
    line = ("run", "--space", "digits_cnn", "--jobs", "1", "--objective", "val_accuracy,params", *TINY)
    done = run(*line, "--trials", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert run(*line, "--trials", "3").returncode == 0
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    assert len([row for row in rows if row["state"] in ("complete", "pruned")]) == 3
    assert any(row["pareto"] for row in rows)
    storage = f"sqlite:///{tmp_path / 'runs' / 'cnnsearch.db'}"
    kept = optuna.load_study(study_name="digits_cnn", storage=storage).get_trials(states=[TrialState.COMPLETE])
    assert kept and all(trial.values[1] == trial.user_attrs[ATTRIBUTE]["weights"] for trial in kept)
    other = run("run", "--space", "digits_cnn", "--trials", "4", *TINY)
    assert other.returncode == 2 and 'was started with costs ["params"]. This command has []' in other.stderr


@pytest.mark.slow
def test_slow_candidates_are_infeasible(run: Run, tmp_path: Path, store: str) -> None:
    line = [sys.executable, "-m", "cnnsearch", "run", "--space", "digits_cnn", "--jobs", "1", *TINY]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store}
    with subprocess.Popen([*line, "--max-latency", "0.0001"], cwd=tmp_path, env=environment) as process:
        until, rows = time.monotonic() + 200, []
        while not rows and time.monotonic() < until and process.poll() is None:
            time.sleep(1)
            rows = json.loads(run("leaderboard", "--format", "json").stdout or "[]")
        process.terminate()
    assert rows and "ms for one image; the limit max_latency is 0.0001" in rows[0]["reason"]
