"""Searches on a Ray cluster that loses nodes, servers and its head: short forms of `benchmarks/faults.py cluster`."""

import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from tests import servers
from tests.conftest import surroundings
from tests.faults import cluster

pytestmark = pytest.mark.cluster


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("s3", [pytest.param(False, marks=pytest.mark.slow, id="ray"), pytest.param(True, id="s3")])
def test_a_search_loses_nothing_when_a_node_and_servers_are_lost(tmp_path: Path, s3: bool) -> None:
    harm = cluster.Harm(kills=1, every=(10, 20), parents=1, mlflow_away=5)
    with cluster.site(tmp_path, 2, s3) as here:
        cluster.rage(here, 6, 10, 0, harm, 1000)
        found = cluster.check(here, 6)
    assert {what for what, _ in harm.done} >= {"node", "postgres", "mlflow", "parent"}
    assert found["complete"] + found["pruned"] == 6 and found["lost_with_node"] and found["resumed"], found


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_search_whose_cluster_ends_says_so_and_resumes_on_another(tmp_path: Path) -> None:
    (tmp_path / "chaos.py").write_text(cluster.MODEL)
    line = ["run", "--space", "chaos.py:build", "--dataset", "digits", "--set", "dataset.limit=300", "--trials", "1"]
    line += ["--epochs", "30", "--scheduler", "none", "--pruner", "none", "--study", "chaos"]
    with servers.ray_nodes(1) as nodes:
        run = begin(tmp_path, *line, "--address", nodes.address)
        while not list(tmp_path.glob("runs/chaos/epochs/*.npz")):
            assert run.poll() is None, run.communicate()
            time.sleep(0.2)
        nodes.lose_head()
        lost = time.monotonic()
        said, errors = run.communicate(timeout=300)
    assert run.returncode == 2 and time.monotonic() - lost < 90, said + errors
    assert "Error: The connection to the Ray cluster was lost" in errors and "(raylet)" not in said + errors
    with servers.ray_nodes(1) as nodes:
        run = begin(tmp_path, *line, "--address", nodes.address)
        said, errors = run.communicate(timeout=600)
    assert run.returncode == 0, said + errors
    trials = optuna.load_study(study_name="chaos", storage=f"sqlite:///{tmp_path}/runs/cnnsearch.db").get_trials()
    kept = [trial.user_attrs["cnnsearch"] for trial in trials]
    assert [each["state"] for each in kept] == ["interrupted", "complete"]
    assert kept[1]["resumed"] > 0


def begin(folder: Path, *line: str) -> "subprocess.Popen[str]":
    """Begin `cnnsearch LINE` in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "cnnsearch", *line],
        cwd=folder,
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
