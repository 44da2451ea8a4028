"""run, then everything that reads what it left: leaderboard, studies, MLflow, checkpoints."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from cnnsearch.core import prediction_file
from cnnsearch.spaces.plan import Plan
from cnnsearch.study import lease, listing
from cnnsearch.study import study as studies
from cnnsearch.study.trial import COUNTED
from tests.conftest import TINY, Run, cnnsearch, invoke, python


@pytest.fixture(scope="module")
def study(searched: Path) -> studies.Study:
    return listing.load(None, searched / "runs")


def test_says_each_trial_and_what_to_do_next(searched: Path) -> None:
    said = (searched / "said.txt").read_text()
    assert "[5/5] trial" in said
    assert "cnnsearch ui" in said and "cnnsearch export --best digits_cnn" in said


def test_every_trial_is_recorded_whole(study: studies.Study) -> None:
    records = study.trials()
    counted = [record for record in records if record.state in COUNTED]
    assert len(counted) == 5
    assert records[0].origin == "default" and records[0].params == study.info["default"]
    for record in counted:
        plan = Plan.from_json(record.plan)
        assert plan.key == record.key and plan.epochs == 2
        assert len(record.history) == record.epochs >= 1
        assert record.score == max(epoch["val_accuracy"] for epoch in record.history)
        assert record.history[record.best_epoch - 1]["val_accuracy"] == record.score
        assert record.weights > 0 and record.macs > 0 and record.seconds > 0


def test_no_plan_is_trained_twice(study: studies.Study) -> None:
    keys = [record.key for record in study.trials() if record.state in ("complete", "pruned")]
    assert len(keys) == len(set(keys))


def test_keeps_the_best_models_only(searched: Path, study: studies.Study) -> None:
    kept = {path.name for path in (searched / "runs" / "digits_cnn" / "checkpoints").iterdir()}
    models = {Path(record.checkpoint) for record in study.trials() if record.score is not None}
    assert kept == {path.name for model in models for path in (model, prediction_file.beside(model))}


def test_mlflow_has_one_parent_and_a_child_a_trial(searched: Path, study: studies.Study) -> None:
    client = MlflowClient(f"sqlite:///{searched / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("cnnsearch/digits_cnn")
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert [run.info.run_name for run in parents] == ["digits_cnn"]
    parent = parents[0]
    assert parent.info.status == "FINISHED"
    assert parent.data.params["data_fingerprint"] == study.info["data"]["fingerprint"]
    assert parent.outputs.model_outputs, "the best model is logged as an MLflow model"
    children = {int(run.data.tags["cnnsearch.trial"]): run for run in runs if run is not parent}
    counted = {record.number: record for record in study.trials() if record.state in COUNTED}
    assert children.keys() == counted.keys()
    for number, record in counted.items():
        child = children[number]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.info.status == {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}[record.state]
        steps = client.get_metric_history(child.info.run_id, "val_accuracy")
        assert [step.value for step in steps] == [epoch["val_accuracy"] for epoch in record.history]
        assert child.data.metrics["macs"] == record.macs and child.data.params["seed"] == str(record.seed)
        files = {item.path for item in client.list_artifacts(child.info.run_id)}
        assert "plan.json" in files


def test_the_logged_model_answers(searched: Path) -> None:
    code = """
import mlflow, numpy as np
mlflow.set_tracking_uri("sqlite:///mlflow.db")
found = mlflow.search_logged_models(experiment_ids=["1"], output_format="list")
model = mlflow.pyfunc.load_model(found[0].model_uri)
answer = model.predict(np.zeros((3, 8, 8, 1), "float32"))
print("ANSWER", np.asarray(answer).shape)
print(open(mlflow.pyfunc.get_model_dependencies(found[0].model_uri)).read())
"""
    done = python(searched, code, without=("cnnsearch",))
    assert "ANSWER (3, 10)" in done.stdout, done.stderr
    needed = [line for line in done.stdout.splitlines() if line.startswith(("keras==", "numpy==", "tensorflow=="))]
    assert len(needed) == 3


def test_leaderboard_in_every_format(searched: Path, study: studies.Study) -> None:
    as_json = json.loads(invoke(searched, "leaderboard", "--format", "json").stdout)
    as_csv = list(csv.DictReader(io.StringIO(invoke(searched, "leaderboard", "--format", "csv").stdout)))
    counted = [record for record in study.trials() if record.state in COUNTED]
    assert [row["trial"] for row in as_json] == [int(row["trial"]) for row in as_csv]
    assert {row["trial"] for row in as_json} >= {record.number for record in counted}
    scores = [row["score"] for row in as_json if row["state"] == "complete"]
    assert scores == sorted(scores, reverse=True)
    assert [row["rank"] for row in as_json if row["state"] == "complete"] == list(range(1, len(scores) + 1))
    markdown = invoke(searched, "leaderboard", "--format", "md", "--top", "2").stdout
    assert markdown.count("\n") == 4 and markdown.startswith("| rank |")
    assert "digits_cnn: val_accuracy on digits" in invoke(searched, "leaderboard", "digits_cnn").stdout


def test_options_come_from_the_environment_under_their_flags_names(searched: Path) -> None:
    done = invoke(searched, "leaderboard", CNNSEARCH_LEADERBOARD_FORMAT="csv", CNNSEARCH_LEADERBOARD_TOP="1")
    assert done.stdout.startswith("rank,tie,trial,state") and done.stdout.count("\n") == 2
    refused = invoke(searched, "run", "--space", "digits_cnn", CNNSEARCH_RUN_SET="filters.frist=3")
    assert refused.returncode == 2 and "frist" in refused.stderr


def test_the_same_command_again_says_that_all_is_done(searched: Path) -> None:
    done = invoke(searched, "run", "--space", "digits_cnn", "--trials", "5", *TINY)
    assert done.returncode == 0
    assert "already has 5 of 5 trials" in done.stdout


def test_studies_lists_it(searched: Path) -> None:
    line = invoke(searched, "studies").stdout.splitlines()[1].split()
    assert line[:4] == ["digits_cnn", "digits_cnn", "digits", "5"]


def test_goes_on_to_the_total_and_json_lines(run: Run) -> None:
    first = run("run", "--space", "digits_cnn", "--trials", "1", "--jobs", "1", *TINY)
    assert first.returncode == 0, first.stderr
    second = run("run", "--space", "digits_cnn", "--trials", "3", "--jobs", "1", "--json", *TINY)
    events = [json.loads(line) for line in second.stdout.splitlines()]
    assert [event["event"] for event in events] == ["trial", "trial", "end"]
    assert [event["ended"] for event in events[:2]] == [2, 3]
    assert events[-1]["ended"] == "complete" and events[-1]["best"]["rank"] == 1


def test_one_job_and_one_seed_give_the_same_leaderboard_twice(run: Run) -> None:
    boards = []
    for name in ("a", "b"):
        done = run(
            "run", "--space", "digits_cnn", "--trials", "2", "--jobs", "1", "--study", name, "--seed", "7", *TINY
        )
        assert done.returncode == 0, done.stderr
        rows = json.loads(run("leaderboard", name, "--format", "json").stdout)
        boards.append([{key: row[key] for key in row if key != "seconds"} for row in rows])
    assert boards[0] == boards[1]


@pytest.mark.slow
def test_a_look_at_test_survives_what_a_run_writes_meanwhile(run: Run, tmp_path: Path) -> None:
    assert run("run", "--space", "digits_cnn", "--trials", "1", "--jobs", "1", *TINY).returncode == 0
    running = listing.load(None, tmp_path / "runs")
    listing.load(None, tmp_path / "runs").add_test_result({"trial": 0, "accuracy": 0.5, "loss": 1.0, "n": 60})
    running.remember(command="another")
    assert [look["trial"] for look in listing.load(None, tmp_path / "runs").test_results()] == [0]


def test_a_note_says_that_few_images_need_more_epochs(run: Run) -> None:
    line = ("run", "--space", "digits_cnn", "--trials", "1", "--jobs", "1", "--set", "dataset.limit=100")
    told = run(*line).stdout
    # 12 epochs of 2 batches of 64
    note = "66 images are few: a trial of 12 epochs updates its weights only 24 times."
    assert f"{note} It may learn more with '--epochs 125'." in " ".join(told.split())
    # who asks for fewer epochs knows it
    assert "are few" not in run(*line, "--study", "short", "--epochs", "2").stdout


def test_a_killed_parent_leaves_nothing_running_after_the_same_command(tmp_path: Path, store: str) -> None:
    command = ("run", "--space", "digits_cnn", "--trials", "2", "--jobs", "1", "--set", "dataset.limit=300")
    command = (*command, "--no-default", "--scheduler", "none")
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnsearch", *command, "--epochs", "5000"],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_TRACKING_URI": store},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    kept = tmp_path / "runs" / "digits_cnn" / "epochs" / "trial-00000.npz"
    _wait_for(kept.exists)
    process.kill()
    process.wait()
    opened = listing.load(None, tmp_path / "runs")
    states = [trial.state.name for trial in opened.optuna.trials]
    assert states == ["RUNNING"]
    # what was written behind its back is enough to go on with what was kept
    point = opened.optuna.trials[0].params
    going_on = invoke(tmp_path, *command, "--epochs", "5000", "--timeout", "15", MLFLOW_TRACKING_URI=store)
    assert going_on.returncode == 0, going_on.stderr
    opened = listing.load(None, tmp_path / "runs")
    assert [trial.state.name for trial in opened.optuna.trials] == ["FAIL", "COMPLETE"]
    # the time limit ended it with its best epoch so far
    ended = opened.trials()[1]
    assert ended.params == point and len(point) > 10 and ended.resumed and ended.epochs < 5000
    assert ended.reason == f"the time limit ended it after {ended.epochs} of 5000 epochs"
    client = MlflowClient(store)
    parent = opened.fact("mlflow")["run_id"]
    experiment = client.get_run(parent).info.experiment_id
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert "RUNNING" not in [child.info.status for child in children]


@pytest.mark.slow
def test_a_study_of_the_same_name_in_another_storage_has_its_own_models(run: Run, tmp_path: Path) -> None:
    command = ("run", "--space", "digits_cnn", "--trials", "1", "--jobs", "1", *TINY)
    assert run(*command).returncode == 0
    assert run(*command, "--seed", "5", "--storage", "sqlite:///other.db").returncode == 0
    assert len(list((tmp_path / "runs").glob("digits_cnn*/checkpoints/trial-00000.keras"))) == 2


def test_a_second_run_on_one_storage_says_who_holds_it(searched: Path, tmp_path: Path, store: str) -> None:
    command = ("run", "--space", "digits_cnn", "--trials", "6", "--jobs", "1", "--storage", "sqlite:///one.db", *TINY)
    shutil.copy(searched / "runs" / "cnnsearch.db", tmp_path / "one.db")
    lease.take(listing.load(None, tmp_path / "runs", f"sqlite:///{tmp_path / 'one.db'}"))
    refused = cnnsearch(tmp_path, *command, "--runs", "elsewhere", MLFLOW_TRACKING_URI=store)
    assert refused.returncode == 2 and f"process {os.getpid()}" in refused.stderr, refused.stderr


def test_a_changed_space_is_told_with_both_ways_on(run: Run, searched: Path, tmp_path: Path) -> None:
    shutil.copytree(searched / "runs", tmp_path / "runs")
    changed = [*TINY[:-1], "filters.first=[8,4,2]"]
    refused = run("run", "--space", "digits_cnn", "--trials", "6", *changed)
    assert refused.returncode == 2
    assert "was started with filters.first = [8, 4]. The space now has [8, 4, 2]" in refused.stderr
    assert "--space-from-study" in refused.stderr and "--study NAME" in refused.stderr
    gone_on = run("run", "--space", "digits_cnn", "--trials", "6", "--space-from-study", *changed)
    assert gone_on.returncode == 0, gone_on.stderr
    assert "5 of 6 trials are done" in gone_on.stdout


def _wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.2)
