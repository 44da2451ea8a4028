"""A runs folder that was moved or copied works whole, and a copy leaves the original alone."""

import shutil
from hashlib import sha256
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

from cnnsearch.cli import mlflow_ui
from cnnsearch.results import origin, report
from cnnsearch.results.export import exported_model
from cnnsearch.study import listing, mlflow_store, moved, ranking
from cnnsearch.study import study as studies
from cnnsearch.study.config import study_folder
from cnnsearch.study.trial import ATTRIBUTE, COUNTED, Trial
from cnnsearch.tuning.callbacks import mlflow
from tests.conftest import invoke

OLD = Path(__file__).parents[1] / "old_runs" / "0.1.0"
SPACE = ("--space", "digits_cnn", "--set", "filters.first=[8,16]", "--jobs", "1", "--confirm", "0", "--keep", "1")
INTERRUPTED = ("--set", "conv_depth.max=2", "--epochs", "60", "--seed", "3", "--scheduler", "none", "--pruner", "none")
PAUSED = ("--set", "conv_depth.max=2", "--epochs", "9", "--seed", "2", "--scheduler", "halving")


def contents(folder: Path) -> dict[str, str]:
    """Every file in `folder`, by a hash of what is in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def trained(runs: Path, name: str) -> dict[int, Trial]:
    return {record.number: record for record in listing.load(name, runs).trials() if record.state in COUNTED}


def test_a_finished_study_of_an_earlier_version_is_read_where_it_is_now(tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "runs")
    study = listing.load("finished", tmp_path / "runs")
    assert study.folder == tmp_path / "runs" / "finished" and study.info["folder"] == "/tmp/old/runs/finished"
    best = ranking.ranked(study)[0]
    assert study.checkpoint(best) == study.folder / "checkpoints" / "trial-00000.keras"
    known = origin.origin_of(study, best, ())
    answers = exported_model.trained_model(known)(known.parts.x_val.astype("float32"))
    accuracy = float((answers.numpy().argmax(1) == known.parts.y_val).mean())
    assert accuracy == pytest.approx(best.score, abs=0.005)
    report.write(study, tmp_path / "report.html", ())
    assert "confusion" in (tmp_path / "report.html").read_text("utf-8").lower()


def test_paused_and_interrupted_trials_are_resumed_elsewhere_and_a_copy_leaves_the_original_alone(
    tmp_path: Path, blank_mlflow: Path
) -> None:
    first, copy = tmp_path / "first", tmp_path / "copy"
    shutil.copytree(OLD, first / "runs")
    shutil.copy(blank_mlflow, first / "mlflow.db")
    done = invoke(first, "run", *SPACE, *PAUSED, "--study", "paused", "--trials", "3")
    assert done.returncode == 0, done.stderr
    after = trained(first / "runs", "paused")
    resumed = [record for record in after.values() if record.resumed]
    assert len(after) == 3 and [record.resumed for record in resumed] == [3]
    assert all(record.checkpoint in ("", f"checkpoints/trial-{record.number:05d}.keras") for record in resumed)

    shutil.copytree(first, copy)
    before = contents(first)
    done = invoke(copy, "run", *SPACE, *INTERRUPTED, "--study", "interrupted", "--trials", "1")
    assert done.returncode == 0, done.stderr
    (again,) = trained(copy / "runs", "interrupted").values()
    assert again.resumed == 40 and again.epochs == len(again.history) == 60
    assert (copy / "runs" / "interrupted" / "checkpoints" / f"trial-{again.number:05d}.keras").is_file()
    # one more trial of a study that has a run in the store that was copied along
    done = invoke(copy, "run", *SPACE, *PAUSED, "--study", "paused", "--trials", "3", "--confirm", "1x1")
    assert done.returncode == 0, done.stderr
    assert contents(first) == before

    client = MlflowClient(f"sqlite:///{copy / 'mlflow.db'}")
    (experiment,) = [each for each in client.search_experiments() if each.name == "cnnsearch/digits_cnn"]
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    runs = client.search_runs([experiment.experiment_id])
    assert all(run.info.artifact_uri.startswith((copy / "mlruns").as_uri()) for run in runs)
    parents = [run for run in runs if "cnnsearch.study" in run.data.tags]
    assert {run.data.tags["cnnsearch.study"]: run.info.status for run in parents} == {
        "paused": "FINISHED",
        "interrupted": "FINISHED",
    }
    assert len(parents) == 2, "the run of a study that was copied along is continued"
    assert sum("cnnsearch.repeats" in run.data.tags for run in runs) == 1


def test_the_runs_of_studies_that_were_moved_without_their_store_are_written_once(
    tmp_path: Path, blank_mlflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(OLD, tmp_path / "runs")
    shutil.copy(blank_mlflow, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    said: list[str] = []
    for _ in range(2):
        mlflow.write_moved(Path("runs"), "", said.append)
    assert [line.partition(" was moved")[0] for line in said] == ["Study 'paused'", "Study 'finished'"]
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("cnnsearch/digits_cnn")
    runs = client.search_runs([experiment.experiment_id])
    parents = {run.data.tags.get("cnnsearch.study"): run.info.status for run in runs}
    assert parents["paused"] == "KILLED" and parents["finished"] == "FINISHED" and len(runs) == 2 + 1 + 4 + 4
    page = mlflow_ui.address("127.0.0.1", 5000, str(tmp_path / "mlflow.db"))
    assert page.endswith(f"/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning")


def test_a_folder_is_found_under_the_name_that_the_study_began_with(tmp_path: Path) -> None:
    """The name depends on the address of the storage, which changes with a host and not with a password."""
    began, now = (study_folder(tmp_path, "s", f"postgresql://me:word@{host}/x") for host in ("old", "new"))
    assert began != now == study_folder(tmp_path, "s", "postgres+psycopg://new/x?password=word")
    (began / "checkpoints").mkdir(parents=True)
    (began / "checkpoints" / "trial-00000.keras").write_bytes(b"model")
    # what was passed from Python
    (began / "data-1").mkdir()
    passed = ("data-1/x.npy", "hypermodel-1.pkl", "input-1.npy")
    for name in passed:
        (began / name).write_bytes(b"array")
    made = optuna.create_study(study_name="s")
    made.set_user_attr(ATTRIBUTE, {"folder": f"/elsewhere/runs/{began.name}"})
    assert studies.Study(made, now).folder == began
    moved.adopt(now, made.user_attrs[ATTRIBUTE])
    study = studies.Study(made, now)
    assert study.folder == now and all((now / name).is_file() for name in passed)
    assert study.checkpoint(Trial(0, checkpoint=r"C:\runs\s\checkpoints\trial-00000.keras")) is not None
    assert (began / "checkpoints" / "trial-00000.keras").is_file()


def test_code_of_the_same_name_elsewhere_is_other_code_unless_the_file_was_moved(tmp_path: Path) -> None:
    here, there = tmp_path / "here.py", tmp_path / "there" / "here.py"
    there.parent.mkdir()
    here.write_text("")
    there.write_text("")
    assert len(set(moved.compared(f"{here}:build", f"{there}:build"))) == 2
    assert moved.compared(f"{here}:build", f"{here}:build") == ("here.py:build", "here.py:build")
    here.unlink()
    assert moved.compared(f"{here}:build", f"{there}:build") == ("here.py:build", "here.py:build")


def test_data_and_code_that_were_moved_along_are_found(tmp_path: Path) -> None:
    (tmp_path / "data.npz").touch()
    (tmp_path / "models.py").touch()
    folder = tmp_path / "runs" / "s"
    options = {"path": "/old/place/data.npz", "limit": 3}
    info = {
        "folder": "/old/place/runs/s",
        "dataset": ["npz", options],
        "space": {"model": "/old/place/models.py:build"},
    }
    found = moved.with_current_paths(info, folder)
    assert found["dataset"] == ["npz", {"path": str(tmp_path / "data.npz"), "limit": 3}]
    assert found["space"]["model"] == f"{tmp_path / 'models.py'}:build"
    info["dataset"] = ["npz", {"path": "/data/elsewhere.npz"}]
    assert moved.with_current_paths(info, folder)["dataset"] == info["dataset"]
    assert moved.with_current_paths({**info, "folder": str(folder)}, folder)["space"] == info["space"]


def test_artifacts_of_a_copied_store_stay_out_of_the_original_in_one_process(
    tmp_path: Path, blank_mlflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, copy = tmp_path / "first", tmp_path / "copy"
    first.mkdir()
    shutil.copy(blank_mlflow, first / "mlflow.db")
    (tmp_path / "note.txt").touch()

    def log(folder: Path, run_id: str = "") -> str:
        monkeypatch.chdir(folder)
        uri = mlflow_store.tracking_uri()
        client = mlflow_store.connect(uri)
        run_id = run_id or client.create_run(mlflow_store.experiment(client, "cnnsearch/s", uri)).info.run_id
        client.log_artifact(run_id, str(tmp_path / "note.txt"), folder.name)
        return str(run_id)

    run_id = log(first)
    shutil.copytree(first, copy)
    log(copy, run_id)
    assert sorted(path.parent.name for path in tmp_path.rglob("note.txt")) == ["copy", "first", "first", tmp_path.name]
    assert not list(first.rglob("copy/note.txt"))
