"""Searches on a Ray cluster of several nodes, and on a local Ray: real processes, a real loss of a node."""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import psutil
import pytest
from mlflow import MlflowClient

from cnnsearch.core.messages import Failed, Paused, RunTrial
from cnnsearch.tuning.launchers.written_files import OWN, WrittenFiles
from tests import servers
from tests.conftest import TINY, cnnsearch, surroundings

pytestmark = pytest.mark.cluster

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "many-machines.md").read_text("utf-8")

PAUSED = Paused(trial=3, score=0.5, best_epoch=1, epochs=1, seconds=1, params=1, rss=1, reads="")

# Its trials start to train together: the first four workers that draw a point wait for each other.
PLUGIN = '''
import os
import time
from pathlib import Path
from cnnsearch import dimension

@dimension
def width_of_file(hp, plan):
    """The width that a file beside this plugin names."""
    print("drawn in", Path(__file__).parent)
    widths, met = (Path(__file__).parent / "widths.txt").read_text().splitlines()
    hp.Choice("width", [int(word) for word in widths.split()])
    if Path(met).parent not in Path(__file__).parents:  # the plugin of a node, not the search's own
        (Path(met) / str(os.getpid())).write_bytes(Path("/proc/self/cmdline").read_bytes())
        deadline = time.monotonic() + 120
        while len(os.listdir(met)) < 4 and time.monotonic() < deadline:
            time.sleep(0.1)
    return plan
'''

SPACE = """
dataset = "digits"
dimensions = [{ use = "conv_depth", min = 1, max = 1 }, { use = "filters", first = [24, 32] },
  { use = "width_of_file" }, { use = "learning_rate", min = 1e-3, max = 1e-2 }]
"""

LAUNCHER = '''
from cnnsearch import launcher
from cnnsearch.tuning.launchers.ray_launcher import RayLauncher

@launcher
def on_ray(config, jobs):
    """A Ray of its own."""
    return RayLauncher(config.changed(address="local"), jobs)
'''

# The function and the arrays travel by cloudpickle; the arrays are in a file of their own.
SCRIPT = """
import cnnsearch.keras_tuner as keras_tuner
from sklearn.datasets import load_digits

UNITS = 16

def build(hp):
    import keras
    layers = [keras.layers.Flatten(), keras.layers.Dense(hp.Int("units", UNITS, 64)), keras.layers.Dense(10, "softmax")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model

digits = load_digits()
ray = {"launcher": "ray", "address": "local", "jobs": 1}
tuner = keras_tuner.RandomSearch(build, "val_accuracy", 500, project_name="build", **ray)
tuner.search(digits.images[:300, ..., None], digits.target[:300], validation_split=0.2)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[servers.RayNodes]:
    """A cluster of two nodes."""
    with servers.ray_nodes(2) as started:
        yield started


def wait_for(found: Callable[[], object], process: "subprocess.Popen[str]", seconds: float = 240) -> None:
    """Wait until `found` returns something true, while `process` runs."""
    deadline = time.monotonic() + seconds
    while not found():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)


def left_on_nodes() -> list[Path]:
    """The folders of searches on this machine's nodes."""
    return list((Path(tempfile.gettempdir()) / f"cnnsearch-{os.getuid()}").glob("*"))


def page_commands(heading: str) -> list[list[str]]:
    """The commands of the first shell block under a heading of the page on many machines, without their comments."""
    block = PAGE.partition(f"## {heading}\n")[2].partition("```sh\n")[2].partition("```")[0]
    found = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert found
    return found


def test_the_commands_of_the_page_for_two_workstations_run(tmp_path: Path, cluster: servers.RayNodes) -> None:
    from ray.scripts.scripts import cli

    for line in [*page_commands("Two workstations"), *page_commands("Security")]:
        if line[0] == "ray":
            known = {name for option in cli.commands[line[1]].params for name in option.opts}
            assert {word for word in line if word.startswith("--")} <= known
        if line[0] == "cnnsearch":
            some = ["2" if word == "20" else word for word in line[1:]] + [*TINY] * (line[1] == "run")
            done = cnnsearch(tmp_path, *some, RAY_ADDRESS=cluster.address)
            assert done.returncode == 0, done.stdout + done.stderr
    assert "digits_cnn: val_accuracy on digits" in done.stdout and done.stdout.count("complete") == 2


def test_a_node_that_is_lost_costs_no_trial_and_one_that_joins_is_used(
    tmp_path: Path, cluster: servers.RayNodes
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "widths.py").write_text(PLUGIN)
    (tmp_path / "met").mkdir()
    (tmp_path / "mine" / "widths.txt").write_text(f"1 2\n{tmp_path / 'met'}")
    (tmp_path / "wide.toml").write_text(SPACE)
    line = ["run", "--space", "wide.toml", "--plugins", "mine", "--trials", "4", "--epochs", "30", "--seed", "3"]
    line += ["--scheduler", "none", "--pruner", "none", "--jobs", "auto", "--address", cluster.address]
    # one actor on each node carries two workers
    line += ["--cpus-per-trial", "0.5"]
    with subprocess.Popen(
        [sys.executable, "-m", "cnnsearch", *line],
        cwd=tmp_path,
        env=surroundings(CNNSEARCH_RUN_JOBS="auto"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        # all trials have a checkpoint here, which came from their nodes
        wait_for(lambda: len(list(tmp_path.glob("runs/wide/epochs/*.npz"))) == 4, run)
        met = [file.read_bytes() for file in (tmp_path / "met").iterdir()]
        assert len(met) == 4 and all(b"training.fork_server" in line for line in met), met
        cluster.kill(cluster.nodes.pop())
        cluster.nodes.append(cluster.add())
        output, _ = run.communicate(timeout=300)
    assert run.returncode == 0, output
    study = optuna.load_study(study_name="wide", storage=f"sqlite:///{tmp_path}/runs/cnnsearch.db")
    trials = study.get_trials()
    kept = [trial.user_attrs["cnnsearch"] for trial in trials]
    assert [trial.state.name for trial in trials].count("COMPLETE") == 4
    assert not [trial for trial in trials if not trial.state.is_finished()]
    lost = [record for record in kept if record["state"] == "interrupted"]
    assert len(lost) == 2 and all("machine was lost" in record["reason"] for record in lost), kept
    # they had a checkpoint and went on from it
    assert sum(record.get("resumed", 0) > 0 for record in kept) == 2, kept
    assert not [trial for trial in trials if "retried" in trial.user_attrs]
    runs = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = runs.get_experiment_by_name("cnnsearch") or runs.search_experiments()[0]
    children = [run for run in runs.search_runs([experiment.experiment_id]) if "cnnsearch.trial" in run.data.tags]
    assert len(children) == 4 and {run.info.status for run in children} == {"FINISHED"}
    log = next(Path(runs.download_artifacts(children[0].info.run_id, "log", str(tmp_path))).iterdir()).read_text()
    assert "drawn in" in log and str(tmp_path) not in log
    # the models came back, and nothing is left on the nodes
    assert cnnsearch(tmp_path, "export", "--best", "wide").returncode == 0
    assert not left_on_nodes() and not list(tmp_path.glob("runs/wide/epochs/*"))


def with_another_version(folder: Path) -> dict[str, str]:
    """The environment of a node on which cnnsearch has another version."""
    other = folder / "other" / "cnnsearch-9.9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: cnnsearch\nVersion: 9.9.9\n")
    return {"PYTHONPATH": os.pathsep.join([str(other.parent), *filter(None, [os.environ.get("PYTHONPATH")])])}


def test_doctor_names_nodes_versions_and_servers_and_creates_nothing(
    tmp_path: Path, cluster: servers.RayNodes, postgres: servers.Postgres
) -> None:
    cluster.kill(cluster.nodes.pop())
    cluster.nodes.append(cluster.add(env_vars=with_another_version(tmp_path)))
    cluster.settle()
    storage, tracking = postgres.database("doctor"), f"http://me:secret@127.0.0.1:{servers.free_port()}"
    (words,) = page_commands("See what the cluster has")
    line = [word.replace("/shared", "shared") for word in words[1:]]
    servers_given = {"RAY_ADDRESS": cluster.address, "CNNSEARCH_STORAGE": storage, "MLFLOW_TRACKING_URI": tracking}
    done = cnnsearch(tmp_path, *line, "--json", **servers_given)
    assert done.stdout, done.stderr
    rows = {(row["name"], row["found"]): row["good"] for row in json.loads(done.stdout)}
    found = {name: text for name, text in rows if not name.startswith("node")}
    nodes = {text: good for (name, text), good in rows.items() if name.startswith("node")}
    assert done.returncode == 1 and "secret" not in done.stdout and not list(tmp_path.glob("shared/*/*"))
    assert any("it has left the cluster" in text for text in nodes)
    assert any("no trial fits on it" in text for text in nodes)
    assert [good for text, good in nodes.items() if text.endswith("room for 1 trial; the same versions")] == [True]
    assert [good for text, good in nodes.items() if "it has cnnsearch 9.9.9 instead of " in text] == [False]
    assert found["room"].startswith("for 2 trials at the same time, each with 1 core")
    assert found["checkpoints"].endswith("can be written, read and deleted on this machine and on 2 nodes")
    assert found["storage"].endswith("/doctor can be opened; it has no studies yet") and "***@" in found["storage"]
    assert "***@127.0.0.1" in found["mlflow"] and "refused" in found["mlflow"]


def test_a_folder_of_checkpoints_that_is_not_shared_is_found(tmp_path: Path) -> None:
    from cnnsearch.tuning.launchers import ray_nodes

    (tmp_path / "marker").touch()
    assert not ray_nodes.answer(str(tmp_path), str(tmp_path / "marker")).checkpoints
    assert "it is another folder" in ray_nodes.answer(str(tmp_path / "here"), str(tmp_path / "here/marker")).checkpoints


def test_a_node_with_another_version_is_named_in_one_line(tmp_path: Path, cluster: servers.RayNodes) -> None:
    for node in cluster.nodes:
        cluster.kill(node)
    cluster.add(env_vars=with_another_version(tmp_path))
    done = cnnsearch(tmp_path, "run", "--space", "digits_cnn", "--address", cluster.address)
    assert done.returncode == 2
    assert "has cnnsearch 9.9.9, and this machine has cnnsearch" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_address_without_a_cluster_is_one_line(tmp_path: Path) -> None:
    for address in (f"127.0.0.1:{servers.free_port()}", f"ray://127.0.0.1:{servers.free_port()}", "head"):
        done = cnnsearch(tmp_path, "run", "--space", "digits_cnn", "--address", address)
        assert done.returncode == 2
        assert f"Ray at {address} cannot be reached" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_an_error_in_the_data_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK nothing")
    line = ("run", "--space", "digits_cnn", "--dataset", "broken.npz", "--launcher", "ray", "--address", "local")
    done = cnnsearch(tmp_path, *line)
    assert done.returncode == 2 and "broken.npz: " in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and "was ended" not in done.stderr


def test_the_launcher_keeps_the_contracts(tmp_path: Path) -> None:
    (tmp_path / "on_ray.py").write_text(LAUNCHER)
    done = cnnsearch(tmp_path, "check", "on_ray.py")
    assert done.returncode == 0 and "3 kept" in done.stdout, done.stdout + done.stderr


def test_a_local_ray_listens_on_loopback_only_and_ends_with_its_search(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=surroundings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        wait_for(lambda: list(tmp_path.glob("runs/build/checkpoints/trial-00001.*")), run)
        family = psutil.Process(run.pid).children(recursive=True)
        open_to = {
            each.laddr.ip
            for process in family
            if process.is_running()
            for each in process.net_connections("inet")
            if each.status == psutil.CONN_LISTEN
        }
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=60)
    assert any("raylet" in " ".join(process.cmdline() if process.is_running() else []) for process in family) or open_to
    assert open_to and all(ip.removeprefix("::ffff:") == "127.0.0.1" for ip in open_to), open_to
    assert run.returncode != 0 and "The same call resumes it." in output, output
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive and not left_on_nodes()


@pytest.mark.slow
def test_data_that_is_larger_than_the_object_store_reaches_every_node(tmp_path: Path) -> None:
    """Ray then keeps it on the disk."""
    store, chance = 80_000_000, np.random.default_rng(0)
    y = chance.integers(0, 2, 3000)
    x = chance.integers(0, 128, (3000, 100, 100, 3), "uint8") + 100 * y[:, None, None, None].astype("uint8")
    assert x.nbytes > store
    np.savez(tmp_path / "large.npz", x_train=x, y_train=y)
    line = [
        "run",
        "--space",
        "cifar10_cnn",
        "--dataset",
        "large.npz",
        "--trials",
        "2",
        "--epochs",
        "1",
        "--confirm",
        "0",
    ]
    line += ["--set", "conv_depth.max=1", "--set", "filters.first=[4]", "--scheduler", "none", "--pruner", "none"]
    with servers.ray_nodes(0, object_store_memory=store) as small:
        small.nodes += [small.add(object_store_memory=store) for _ in range(2)]
        done = cnnsearch(tmp_path, *line, "--jobs", "2", "--address", small.address)
    assert done.returncode == 0 and "[2/2] trial" in done.stdout, done.stdout + done.stderr
    assert not left_on_nodes()


def test_a_worker_that_resumes_its_own_trial_finds_the_checkpoint(tmp_path: Path) -> None:
    files = WrittenFiles(tmp_path)
    given = RunTrial(trial=3, seed=1, limited=False, state=f"{OWN}epochs/trial-00003.npz", resume=False)
    at = files.located(given)
    assert isinstance(at, RunTrial)
    files.add({"epochs/trial-00003.npz": b"first"})
    assert files.written([PAUSED]) == {"epochs/trial-00003.npz": b"first"}
    assert files.located(replace(given, resume=True)) == replace(at, resume=True)
    files.add({"epochs/trial-00003.npz": b"second"})
    assert Path(at.state).read_bytes() == b"second"
    # unchanged files are not copied again, and those of an ended trial never
    assert files.written([PAUSED]) and not files.written([PAUSED])
    Path(at.state).write_bytes(b"third")
    assert not files.written([Failed(trial=3, kind="oom", reason="", seconds=1, rss=1)])
