"""Where a study's checkpoints are: in its folder, at an address, at another one later; a copy writes elsewhere."""

import shutil
from pathlib import Path

import optuna
import pytest

from cnnsearch.core import checkpoint_store
from cnnsearch.study import deletion, listing, opening, trial_queue
from cnnsearch.study.study import Study
from cnnsearch.study.trial import ATTRIBUTE, Trial
from cnnsearch.tuning.callbacks.base import Callbacks
from cnnsearch.tuning.checkpoint_deleter import CheckpointDeleter
from cnnsearch.tuning.trial_recorder import TrialRecorder


def study_in(runs: Path) -> Study:
    """A study in a SQLite file of `runs`, created or opened."""
    folder, storage = runs / "s", f"sqlite:///{runs / 'cnnsearch.db'}"
    folder.mkdir(parents=True, exist_ok=True)
    made = optuna.create_study(storage=storage, study_name="s", direction="maximize", load_if_exists=True)
    if ATTRIBUTE not in made.user_attrs:
        info = {"metric": "val_accuracy", "seed": 0, "folder": str(folder), "created": "2026-01-01T00:00:00+00:00"}
        made.set_user_attr(ATTRIBUTE, {**info, "space": {"name": "s"}, "dataset": ["digits", {}]})
    return Study(made, folder)


def requeued(study: Study) -> optuna.Trial:
    """A trial that is interrupted, and the trial that resumes it."""
    trial = study.optuna.ask()
    trial.suggest_float("x", 0, 1)
    TrialRecorder(study, Callbacks([])).interrupt(Trial(trial.number), trial)
    return study.optuna.ask()


def write(address: str) -> None:
    checkpoint_store.write(address, lambda file: None)


def test_a_trial_that_is_resumed_with_another_address_finds_its_checkpoint(tmp_path: Path) -> None:
    study, notes = study_in(tmp_path / "runs"), list[str]()
    opening.use_checkpoints(study, "", notes.append)
    again = requeued(study)
    own = study.folder / "epochs" / "trial-00000.npz"
    assert again.user_attrs["state"] == "epochs/trial-00000.npz"
    assert trial_queue.checkpoint_addresses(study, again) == (str(own), "")

    opening.use_checkpoints(study, str(tmp_path / "a"), notes.append)
    (name,) = (folder.rpartition("/")[2] for folder in study.training_checkpoints.folders)
    assert name.startswith("s-") and len(name) == 10
    in_a = [str(tmp_path / "a" / name / f"trial-{number:05d}.npz") for number in range(9)]
    assert trial_queue.checkpoint_addresses(study, again) == (in_a[1], str(own))
    again.suggest_float("x", 0, 1)
    # the run is killed while the trial is trained
    study = study_in(tmp_path / "runs")
    TrialRecorder(study, Callbacks([])).requeue_stale()
    third = study.optuna.ask()
    assert third.user_attrs["state"] == f"file://{in_a[1]}" and third.user_attrs["earlier"] == "epochs/trial-00000.npz"
    assert trial_queue.checkpoint_addresses(study, third) == (in_a[1], str(own))
    write(in_a[1])
    assert study.training_checkpoints.existing([in_a[1], str(own)]) == {in_a[1]}

    opening.use_checkpoints(study, str(tmp_path / "b"), notes.append)
    in_b = str(tmp_path / "b" / name / "trial-00002.npz")
    assert trial_queue.checkpoint_addresses(study, third) == (in_b, in_a[1])
    assert not notes
    study = study_in(tmp_path / "runs")
    opening.use_checkpoints(study, "", notes.append)
    assert notes == [f"Checkpoints are written to {tmp_path / 'b'}, as in the run before."]
    assert study.training_checkpoints.folder == str(tmp_path / "b" / name)
    assert all(study.training_checkpoints.owns(each) for each in (str(own), in_a[1], in_b))
    assert not study.training_checkpoints.owns(str(tmp_path / "a" / "another" / "trial-00001.npz"))


def test_a_copy_of_a_study_writes_to_a_folder_of_its_own_and_a_moved_one_to_the_same(tmp_path: Path) -> None:
    first = study_in(tmp_path / "runs")
    opening.use_checkpoints(first, str(tmp_path / "a"), print)
    write(first.training_checkpoints.file(0))
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    copy = study_in(tmp_path / "copy")
    assert not copy.training_checkpoints.folders, "they are the original's"
    opening.use_checkpoints(copy, "", print)
    assert copy.training_checkpoints.folder != first.training_checkpoints.folder
    assert not copy.training_checkpoints.owns(first.training_checkpoints.file(0))
    (tmp_path / "runs").rename(tmp_path / "moved")
    there = study_in(tmp_path / "moved")
    opening.use_checkpoints(there, "", print)
    assert there.training_checkpoints.folder == first.training_checkpoints.folder
    assert there.training_checkpoints.owns(first.training_checkpoints.file(0))

    found = deletion.find("s", tmp_path / "moved", "", mlflow=False)
    assert f"Its checkpoints of trials in training at {first.training_checkpoints.folder}." in found.text()
    assert deletion.delete(found, tmp_path / "moved", "") == ""
    assert not Path(first.training_checkpoints.folder).exists() and not (tmp_path / "moved" / "s").exists()
    assert listing.load("s", tmp_path / "copy").name == "s"


def test_what_a_killed_run_left_is_deleted_but_not_what_a_trial_needs(tmp_path: Path) -> None:
    study = study_in(tmp_path / "runs")
    opening.use_checkpoints(study, str(tmp_path / "a"), print)
    # trial 0 is interrupted and trial 1 resumes it; so are trials 2 and 3, but trial 3 has ended
    assert requeued(study).user_attrs["state"].endswith("/trial-00000.npz")
    study.optuna.tell(requeued(study), 0.5)
    places = study.training_checkpoints
    for number in range(5):
        write(places.file(number))
    left = trial_queue.left_checkpoints(study)
    assert left == {places.file(2), places.file(3)}
    deleter = CheckpointDeleter()
    deleter.delete_all(places.folder, left)
    deleter.close()
    assert checkpoint_store.names(places.folder) == {f"trial-0000{number}.npz" for number in (0, 1, 4)}


def test_a_store_that_does_not_answer_is_not_asked_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    fact = {"address": "s3://unreached", "name": "s-1", "study": str(tmp_path), "folders": ["s3://unreached/s-1"]}
    study = study_in(tmp_path / "runs")
    study.remember_fact("training_checkpoints", fact)
    places = study_in(tmp_path / "runs").training_checkpoints
    addresses = [places.file(number) for number in (1, 2)]
    assert addresses[0] == "s3://unreached/s-1/trial-00001.npz"
    assert places.existing(addresses) == set()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "not even an address")
    assert places.existing(addresses, if_unknown=True) == set(addresses) and not places.existing(addresses[:1])
