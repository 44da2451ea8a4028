"""MLflow's store and the study database: out of reach, of another version, and without a study that was deleted."""

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from cnnsearch.cli.main import main
from cnnsearch.core.errors import CnnsearchError, StudyError
from cnnsearch.study import deletion, disk, listing, mlflow_store
from cnnsearch.study import study as studies
from cnnsearch.study.address import redacted
from cnnsearch.study.confirmation import Repeat
from cnnsearch.study.trial import ATTRIBUTE, Trial
from cnnsearch.tuning.callbacks import mlflow, mlflow_recovery
from cnnsearch.tuning.callbacks.base import Callbacks
from cnnsearch.tuning.callbacks.mlflow import MlflowCallback, Notes
from cnnsearch.tuning.callbacks.mlflow_recovery import RepeatHistory
from cnnsearch.tuning.progress import RepeatResult
from cnnsearch.tuning.trial_source import EndReason
from tests.conftest import cnnsearch

OLD = Path(__file__).parents[1] / "old_runs" / "0.1.0"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def server(folder: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A real MLflow server on `folder`/mlflow.db, killed at the end."""
    line = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    line += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "art")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(line, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                # its first answer from the database takes seconds
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{mlflow_store.EXPERIMENTS}", timeout=120)
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (folder / "server.log").read_text()
                time.sleep(0.2)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def feed(tracker: MlflowCallback, record: Trial) -> float:
    """Tell a tracker of a trial as a search does; gives back the longest time that a search waited for it."""
    longest = 0.0
    for epoch, metrics in enumerate(record.history, 1):
        began = time.monotonic()
        tracker.on_epoch_end(record, epoch, metrics)
        longest = max(longest, time.monotonic() - began)
    tracker.on_trial_end(record)
    return longest


def tracker_of(said: list[str]) -> MlflowCallback:
    """A tracker whose notes are added to `said`."""
    made = MlflowCallback()
    Callbacks([made, Notes(said.append)])
    return made


def settled(tracker: MlflowCallback) -> None:
    tracker._thread.submit(lambda: None).result()


@pytest.mark.timeout(400)
def test_what_a_server_missed_is_sent_when_it_is_back_or_by_the_next_run(
    tmp_path: Path, blank_mlflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(blank_mlflow, tmp_path / "mlflow.db")
    shutil.copytree(OLD, tmp_path / "runs")
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    monkeypatch.setattr(mlflow, "RETRY", 0.0)
    whole = listing.load("finished", tmp_path / "runs")
    records = {record.number: record for record in whole.trials()}
    again = Repeat(**{name: whole.repeats()[0][name] for name in Repeat._fields if name in whole.repeats()[0]})
    # the study as it was before its first trial
    empty = optuna.create_study(study_name="finished")
    empty.set_user_attr(ATTRIBUTE, whole.info)
    study, said = studies.Study(empty, whole.folder), list[str]()
    tracker = tracker_of(said)
    with server(tmp_path, port):
        tracker.on_study_begin(study)
        feed(tracker, records[0])
        settled(tracker)
        tracker.on_step_end()
        assert not said
    assert feed(tracker, records[1]) < 1
    settled(tracker)
    assert ["does not answer" in line for line in said] == [True]
    with server(tmp_path, port) as process:
        feed(tracker, records[2])
        settled(tracker)
        assert "answers again" in said[1] and len(said) == 2
        # the harder case: it still takes connections
        os.killpg(process.pid, signal.SIGSTOP)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        assert feed(tracker, records[3]) < 1
        history = ({"val_accuracy": 0.5}, {"val_accuracy": 0.6})
        tracker.on_repeat_end(RepeatResult(records[again.trial], again, history, 1, 1))
        tracker.close("FINISHED", list(records.values()))
        assert "The same command sends the missing ones" in said[-1] and study.fact("unsent")
        os.killpg(process.pid, signal.SIGCONT)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")

        for fact in ("mlflow", "unsent"):
            whole.remember_fact(fact, study.fact(fact))
        following = tracker_of(said)
        following.on_study_begin(whole)
        following.close("FINISHED", list(records.values()))
        assert not whole.fact("unsent") and len(said) == 4
        client = MlflowClient(f"http://127.0.0.1:{port}")
        experiment = client.get_experiment_by_name("cnnsearch/digits_cnn")
        runs = client.search_runs([experiment.experiment_id])
        assert {run.info.status for run in runs} == {"FINISHED"}
        trials = {int(run.data.tags["cnnsearch.trial"]): run for run in runs if "cnnsearch.trial" in run.data.tags}
        repeats = [run for run in runs if "cnnsearch.repeats" in run.data.tags]
        assert sorted(trials) == [0, 1, 2, 3] and len(repeats) == len(whole.repeats()) == 4
        assert len(runs) == 9, "nothing is there twice"
        for number, run in trials.items():
            steps = [point.step for point in client.get_metric_history(run.info.run_id, "val_accuracy")]
            assert steps == list(range(1, len(records[number].history) + 1))
        (told,) = [run for run in repeats if run.data.tags["cnnsearch.seed"] == str(again.seed)]
        assert len(client.get_metric_history(told.info.run_id, "val_accuracy")) == 2


def test_what_a_store_refuses_is_written_once_more_at_the_end(
    tmp_path: Path, blank_mlflow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(blank_mlflow, tmp_path / "mlflow.db")
    shutil.copytree(OLD, tmp_path / "runs")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    whole = listing.load("finished", tmp_path / "runs")
    # MLflow allows no `@` in a name
    records = {
        record.number: replace(record, history=tuple({"val@1": each["val_accuracy"]} for each in record.history))
        for record in whole.trials()
    }
    empty = optuna.create_study(study_name="finished")
    empty.set_user_attr(ATTRIBUTE, {**whole.info, "metric": "val@1"})
    said: list[str] = []
    tracker = tracker_of(said)
    tracker.on_study_begin(studies.Study(empty, whole.folder))
    settled(tracker)
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        # an error of a kind that is no outage
        abort = "SELECT RAISE(ABORT, 'refused')"
        condition = "NEW.key = 'cnnsearch.state'"
        database.execute(f"CREATE TRIGGER refuses BEFORE INSERT ON tags WHEN {condition} BEGIN {abort}; END")
        database.commit()
        feed(tracker, records[0])
        settled(tracker)
        assert len(said) == 1 and "does not answer" not in said[0], said
        database.execute("DROP TRIGGER refuses")
        database.commit()
    feed(tracker, records[1])
    tracker.close("FINISHED", [records[0], records[1]])
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("cnnsearch/digits_cnn")
    runs = client.search_runs([experiment.experiment_id], "tags.`cnnsearch.trial` LIKE '%'")
    states = {int(run.data.tags["cnnsearch.trial"]): run.data.tags["cnnsearch.state"] for run in runs}
    assert states == {number: records[number].state for number in (0, 1)} and len(runs) == 2
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        epochs = len(records[int(run.data.tags["cnnsearch.trial"])].history)
        assert len(client.get_metric_history(run.info.run_id, "val_1")) == epochs, "an epoch is there twice"


@pytest.fixture
def opened(tmp_path: Path, blank_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[MlflowCallback, MlflowClient]:
    """A tracker of an empty study, and a client of its store."""
    shutil.copy(blank_mlflow, tmp_path / "mlflow.db")
    shutil.copytree(OLD, tmp_path / "runs")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    whole = listing.load("finished", tmp_path / "runs")
    empty = optuna.create_study(study_name="finished")
    empty.set_user_attr(ATTRIBUTE, whole.info)
    tracker = tracker_of([])
    tracker.on_study_begin(studies.Study(empty, whole.folder))
    settled(tracker)
    return tracker, MlflowClient(uri)


def runs_of(client: MlflowClient) -> dict[str, Any]:
    """The active runs of the study's experiment by trial; the study's own under an empty text."""
    experiment = client.get_experiment_by_name("cnnsearch/digits_cnn")
    return {run.data.tags.get("cnnsearch.trial", ""): run for run in client.search_runs([experiment.experiment_id])}


def test_what_a_function_reports_keeps_its_name(opened: tuple[MlflowCallback, MlflowClient]) -> None:
    tracker, client = opened
    reported = {"value": 1.0, "params": 7.0, "seconds": 2.0}
    record = Trial(0, "complete", score=1.0, epochs=1, seconds=9.0, weights=3, params={"seed": 5}, history=(reported,))
    feed(tracker, record)
    tracker.close("FINISHED", [record])
    data = runs_of(client)["0"].data
    assert (data.metrics["params"], data.metrics["seconds"], data.params["seed"]) == (7, 2, "5")


def test_a_trial_that_ends_as_a_duplicate_leaves_no_run(opened: tuple[MlflowCallback, MlflowClient]) -> None:
    tracker, client = opened
    record = Trial(0, "running", history=({"val_accuracy": 0.5},))
    tracker.on_epoch_end(record, 1, record.history[0])
    tracker._later(tracker._runs.log_epochs)
    tracker.on_trial_end(replace(record, state="duplicate"))
    tracker.close("FINISHED", [])
    assert set(runs_of(client)) == {""}


def test_the_best_score_is_that_of_the_best_trial_now(opened: tuple[MlflowCallback, MlflowClient]) -> None:
    tracker, client = opened
    first, second = Trial(40, "complete", score=0.97), Trial(12, "complete", score=0.965)
    for ranked in ([first, second], [second, first]):
        tracker._later(tracker._runs.end_parent, "FINISHED", ranked, ())
    tracker.close("FINISHED", [second, first])
    data = runs_of(client)[""].data
    assert data.metrics["best_score"] == 0.965 and data.tags["cnnsearch.best_trial"] == "12"


def test_what_a_store_still_has_to_get_is_kept_if_it_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(OLD, tmp_path / "runs")
    whole = listing.load("finished", tmp_path / "runs")
    repeat = Repeat(**{name: whole.repeats()[0][name] for name in Repeat._fields if name in whole.repeats()[0]})
    whole.remember_fact("unsent", True)
    mlflow_recovery.write(whole.folder, [RepeatHistory(repeat, [{"val_accuracy": 0.5}])])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    tracker = tracker_of([])
    tracker.on_study_begin(whole)
    tracker.close("FAILED", [])
    assert whole.fact("unsent") and mlflow_recovery.read(whole.folder)


def test_a_second_outage_keeps_what_it_missed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(OLD, tmp_path / "runs")
    whole = listing.load("finished", tmp_path / "runs")
    repeat = Repeat(**{name: whole.repeats()[0][name] for name in Repeat._fields if name in whole.repeats()[0]})
    whole.remember_fact("unsent", True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    said: list[str] = []
    tracker = tracker_of(said)
    tracker.on_study_begin(whole)
    record = next(each for each in whole.trials() if each.number == repeat.trial)
    tracker.on_repeat_end(RepeatResult(record, repeat, ({"val_accuracy": 0.5},), 1, 1))
    tracker.close("FINISHED", [])
    assert mlflow_recovery.read(whole.folder)[repeat.trial, repeat.seed] == [{"val_accuracy": 0.5}]
    assert "The same command sends the missing ones" in said[-1] and whole.fact("unsent")


def test_a_server_that_cannot_be_reached_is_told_before_the_search(tmp_path: Path) -> None:
    began = time.monotonic()
    done = cnnsearch(tmp_path, "run", "--space", "digits_cnn", MLFLOW_TRACKING_URI="http://me:secret@127.0.0.1:9")
    assert done.returncode == 2 and time.monotonic() - began < 60
    (line,) = done.stderr.strip().splitlines()
    assert "http://***@127.0.0.1:9 cannot be used: Connection refused" in line and not list(tmp_path.iterdir())


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_a_server_that_never_answers_is_told_within_five_seconds(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(CnnsearchError, match="cannot be used"):
            mlflow_store.check_usable(f"http://{host}:{silent.getsockname()[1]}")
        assert time.monotonic() - began < 5


def test_a_server_that_is_no_mlflow_is_told() -> None:
    def refuse() -> None:
        for _ in range(2):
            connection, _ = other.accept()
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as other:
        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        assert "no MLflow answers" in mlflow_store.unreachable(f"http://127.0.0.1:{other.getsockname()[1]}")
        thread.join()


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (EndReason.COMPLETE, "FINISHED"),
        (EndReason.EXHAUSTED, "FINISHED"),
        (EndReason.TIMEOUT, "FINISHED"),
        (EndReason.INTERRUPTED, "KILLED"),
        (EndReason.FAILED, "FAILED"),
    ],
)
def test_the_status_of_a_search_says_how_it_ended(reason: EndReason, status: str) -> None:
    assert mlflow.END_STATUS.get(reason, "FAILED") == status


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v3.0.0.d", "optuna storage upgrade --storage sqlite:///{runs}/cnnsearch.db"),
        ("v99.0.0", "pip install --upgrade optuna"),
    ],
)
def test_a_study_database_of_another_optuna_is_one_line(tmp_path: Path, version: str, expected: str) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(OLD, runs)
    with contextlib.closing(sqlite3.connect(runs / "cnnsearch.db")) as database, database:
        database.execute("update alembic_version set version_num = ?", (version,))
    for line in (("studies",), ("leaderboard",), ("report",)):
        done = CliRunner().invoke(main, [*line, "--runs", str(runs)])
        assert done.exit_code and expected.format(runs=runs) in done.output and done.output.count("\n") == 1
        assert ("Copy" in done.output) == ("upgrade --storage" in expected)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("", ""), ("0584bdc529eb", "mlflow db upgrade sqlite:///"), ("ffffffffffff", "pip install --upgrade mlflow")],
)
def test_an_mlflow_store_of_another_version_is_one_line(
    tmp_path: Path, blank_mlflow: Path, version: str, expected: str
) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(blank_mlflow, path)
    if not version:
        mlflow_store.check_usable(f"sqlite:///{path}")
        return
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("update alembic_version set version_num = ?", (version,))
    with pytest.raises(CnnsearchError) as caught:
        mlflow_store.check_usable(f"sqlite:///{path}")
    assert expected in caught.value.message and (f"Copy {path}" in caught.value.message) == ("db upgrade" in expected)


def invoke(*line: str, **given: str) -> str:
    done = CliRunner().invoke(main, line, **given)  # type: ignore[arg-type]
    return f"{done.exit_code} {done.output}"


def test_only_servers_have_passwords_in_their_address() -> None:
    assert redacted("sqlite:////home/me@firm.com/mlflow.db") == "sqlite:////home/me@firm.com/mlflow.db"
    assert redacted("https://me:word@host/x@y") == "https://***@y"
    options = "postgresql://db/mlflow?user=me&password="
    assert redacted(f"{options}secret") == f"{options}***"


def test_a_study_is_not_deleted_if_a_run_began_meanwhile(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(OLD, runs)
    found = deletion.find("finished", runs, "", mlflow=False)
    found.study.remember_fact("owner", {"host": "another machine", "pid": 1, "at": time.time()})
    with pytest.raises(StudyError, match="is in use by another run"):
        deletion.delete(found, runs, "")
    assert len(listing.load("finished", runs).trials()) == len(found.study.trials()) > 0


def test_a_study_is_deleted_with_what_cnnsearch_wrote_and_nothing_else(tmp_path: Path) -> None:
    runs, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    shutil.copytree(OLD, runs)
    places = ("--runs", str(runs))
    assert "disk" in invoke("studies", *places) and "cnnsearch.db" in invoke("studies", *places)
    assert "Delete it?" in invoke("delete", "finished", *places, input="n\n")
    assert len(listing.summaries(runs)) == 3 and disk.size(runs / "finished") > 100_000
    # a link is not followed, and a file of the user's stays
    elsewhere.mkdir()
    (elsewhere / "mine.txt").touch()
    (runs / "finished" / "logs" / "link").symlink_to(elsewhere)
    (runs / "finished" / "notes.txt").touch()
    said = invoke("delete", "finished", "--yes", *places)
    assert said.startswith("0") and "4 trials" in said and "kB" in said and "did not write" in said
    assert [path.name for path in (runs / "finished").iterdir()] == ["notes.txt"]
    shutil.move(runs / "paused", elsewhere / "paused")
    (runs / "paused").symlink_to(elsewhere / "paused")
    assert "is a link" in invoke("delete", "paused", "--yes", *places)
    assert (elsewhere / "mine.txt").exists() and (elsewhere / "paused" / "checkpoints").is_dir()
    assert not (runs / "paused").exists()
    study = listing.load("interrupted", runs)
    with subprocess.Popen(["sleep", "60"]) as other:
        study.remember_fact("owner", {"host": os.uname().nodename, "pid": other.pid, "at": time.time()})
        assert "is in use by another run" in invoke("delete", "interrupted", "--yes", *places)
        other.kill()
    study.remember_fact("owner", None)
    assert invoke("delete", "interrupted", "--yes", *places).startswith("0")
    assert not (runs / "interrupted").exists() and not listing.summaries(runs)
