"""A search that is killed again and again, and what must be true of its study in the end."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import psutil
from mlflow import MlflowClient
from optuna.trial import TrialState

from cnnsearch.study.trial import COUNTED, from_optuna

SPACE = """
dataset = { use = "digits", limit = 400 }
input_shape = [8, 8, 1]
dimensions = [
  { use = "conv_depth", max = 2 },
  { use = "filters", first = [4, 8, 16] },
  { use = "learning_rate" },
]
[defaults]
epochs = 12
"""


class Storm(NamedTuple):
    """What was done to a search: how often its command was begun, and how many processes of each kind were killed."""

    starts: int
    workers: int
    parents: int


def command(folder: Path, trials: int, seed: int) -> list[str]:
    """The one command that is begun again after each death."""
    (folder / "storm.toml").write_text(SPACE)
    asked = ["--space", "storm.toml", "--trials", str(trials), "--jobs", "2", "--seed", str(seed), "--quiet"]
    return [sys.executable, "-m", "cnnsearch", "run", *asked]


def rage(folder: Path, trials: int, kills: int, seed: int, pause: float, blank: Path | None = None) -> Storm:
    """Run a search to its end while SIGKILL hits a worker or the parent `kills` times, at random moments."""
    chance = random.Random(seed)
    line, environment = command(folder, trials, seed), surroundings(folder, blank)
    starts, dead = 0, {"workers": 0, "parents": 0}
    seen: dict[int, psutil.Process] = {}
    while True:
        starts += 1
        with (folder / "log.txt").open("ab") as log:
            parent = subprocess.Popen(line, cwd=folder, env=environment, stdout=log, stderr=log)
        while sum(dead.values()) < kills and parent.poll() is None:
            if _ended_within(parent, chance.uniform(0.5, pause)):
                break
            kind = chance.choice(("workers", "parents"))
            found = workers(parent.pid)
            seen |= {pid: psutil.Process(pid) for pid in found if psutil.pid_exists(pid)}
            victims = found if kind == "workers" else [parent.pid]
            if victims:
                _kill(chance.choice(victims))
                dead[kind] += 1
        code = parent.wait()
        if code == 0:
            assert not psutil.wait_procs(seen.values(), 10)[1], "a process was left behind"
            return Storm(starts, **dead)
        if code > 0:
            raise AssertionError(f"it gave up with code {code}: {(folder / 'log.txt').read_text()[-2000:]}")


def surroundings(folder: Path, blank: Path | None = None) -> dict[str, str]:
    """The environment of the search, its MLflow store in `folder`, made of a `blank` one, which is quicker."""
    if blank:
        shutil.copy(blank, folder / "mlflow.db")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("CNNSEARCH_", "MLFLOW_"))}
    return {**clean, "CNNSEARCH_RUN_CONFIRM": "0", "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}


def check(folder: Path, trials: int) -> None:
    """Everything that must hold for the study after the storm."""
    study = optuna.load_study(study_name="storm", storage=f"sqlite:///{folder / 'runs' / 'cnnsearch.db'}")
    frozen = study.get_trials(deepcopy=False)
    assert not [trial for trial in frozen if trial.state in (TrialState.RUNNING, TrialState.WAITING)]
    records = [from_optuna(trial) for trial in frozen]
    counted = [each for each in records if each.state in COUNTED]
    assert len(counted) == trials, f"{len(counted)} trials ended, {trials} were asked for"
    keys = [each.key for each in counted if each.state in ("complete", "pruned")]
    assert len(set(keys)) == len(keys), "a plan was trained twice"
    for each in counted:
        assert len(each.history) == each.epochs
    check_mlflow(f"sqlite:///{folder / 'mlflow.db'}", "cnnsearch/storm", {each.number: each for each in counted})
    _check_leaderboard(folder, counted)
    assert not list((folder / "runs" / "storm").rglob("*.partial*"))
    assert not list((folder / "runs" / "storm" / "epochs").glob("*.npz")), "a training's state was left behind"


def check_mlflow(uri: str, name: str, counted: dict[int, Any]) -> None:
    """Check that the runs of an experiment are the trials that ended, by number."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 1 and parents[0].info.status == "FINISHED"
    children = {int(run.data.tags["cnnsearch.trial"]): run for run in runs if run not in parents}
    assert len(children) == len(runs) - 1, "a trial has two runs"
    open_runs = {number: run.info.status for number, run in children.items() if "cnnsearch.state" not in run.data.tags}
    assert not open_runs, f"runs without a state, by trial: {open_runs}; {[(n, n in counted) for n in open_runs]}"
    assert {number for number, run in children.items() if run.data.tags["cnnsearch.state"] in COUNTED} == set(counted)
    for number, each in counted.items():
        run = children[number]
        assert run.info.status != "RUNNING" and run.data.tags["cnnsearch.state"] == each.state
        if each.score is not None:
            assert abs(run.data.metrics["score"] - each.score) < 1e-9
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "val_accuracy")]
        assert sorted(steps) == list(range(1, each.epochs + 1)), "an epoch is missing in MLflow, or is there twice"


def _check_leaderboard(folder: Path, counted: list[Any]) -> None:
    line = [sys.executable, "-m", "cnnsearch", "leaderboard", "--format", "json"]
    said = subprocess.run(line, cwd=folder, env=surroundings(folder), capture_output=True, text=True, check=True).stdout
    rows = [row for row in json.loads(said) if row["state"] not in ("too_large",)]
    assert sorted(row["trial"] for row in rows) == sorted(each.number for each in counted)
    complete = [row["score"] for row in rows if row["state"] == "complete"]
    assert complete == sorted(complete, reverse=True)


def _ended_within(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def workers(parent: int) -> list[int]:
    """The workers of a search, those that were forked too, and its fork server."""
    try:
        children = psutil.Process(parent).children(recursive=True)
    except psutil.Error:
        return []
    return [child.pid for child in children if "cnnsearch.training" in " ".join(_line(child))]


def _line(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        time.sleep(0)
