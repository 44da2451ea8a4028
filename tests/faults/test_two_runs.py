"""Two runs at one time: on one study the second is told who holds it; on two they share the database."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnnsearch.study import mlflow_store
from tests.conftest import TINY, Run
from tests.faults import storm


def begin(folder: Path, study: str, environment: dict[str, str]) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "cnnsearch", "run", "--space", "digits_cnn", *TINY, "--study", study]
    return subprocess.Popen(
        [*line, "--trials", "2", "--jobs", "1", "--quiet"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_first_runs_at_one_time_share_a_new_database_and_another_on_one_study_is_told(
    run: Run, tmp_path: Path, blank_mlflow: Path
) -> None:
    environment = storm.surroundings(tmp_path, blank_mlflow)
    both = [begin(tmp_path, name, environment) for name in ("one", "two")]
    while not (tmp_path / "runs" / "one" / "logs").exists() and both[0].poll() is None:
        time.sleep(0.05)
    third = begin(tmp_path, "one", environment)
    refused = third.communicate(timeout=250)[1]
    assert third.returncode == 2 and "is in use by another run" in refused, refused
    said = [each.communicate(timeout=250) for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    for name in ("one", "two"):
        rows = json.loads(run("leaderboard", name, "--format", "json").stdout)
        assert len([row for row in rows if row["state"] in ("complete", "pruned")]) == 2


@pytest.mark.slow
def test_many_at_one_time_make_one_new_mlflow_store(tmp_path: Path) -> None:
    """Without turns MLflow breaks it for good."""
    code = "import sys; from cnnsearch.study import mlflow_store; mlflow_store.connect(sys.argv[1])"
    line = [sys.executable, "-W", "ignore", "-c", code, f"sqlite:///{tmp_path / 'mlflow.db'}"]
    every = [subprocess.Popen(line, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [each.communicate(timeout=120)[1] for each in every]
    assert [each.returncode for each in every] == [0, 0, 0, 0], said


def test_a_store_whose_making_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    """Found by a storm of kills: MLflow never opens a half-made store again."""
    code = "import sys; from cnnsearch.study import mlflow_store; mlflow_store.connect(sys.argv[1])"
    line = [sys.executable, "-W", "ignore", "-c", code, f"sqlite:///{tmp_path / 'mlflow.db'}"]
    partial = tmp_path / ".mlflow.db.partial"
    with subprocess.Popen(line, stderr=subprocess.DEVNULL) as first:
        while not (partial.exists() and partial.stat().st_size) and first.poll() is None:
            time.sleep(0.01)
        first.kill()
    mlflow_store.connect(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert not partial.exists() and (tmp_path / "mlflow.db").stat().st_size
