"""The trials that cnnsearch reads from Optuna's tables are those that Optuna reads, and they are read once."""

import contextlib
import datetime
import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from cnnsearch.results import leaderboard, majority
from cnnsearch.study import bulk_read, listing, ranking, sqlite_file
from cnnsearch.study.database import Database
from cnnsearch.study.sqlite_file import SqliteFile
from cnnsearch.study.storage import open_storage
from cnnsearch.study.trial import ATTRIBUTE, Trial


def filled(runs: Path, name: str = "study", ended: bool = False) -> optuna.Study:
    """A study with a trial of each state; `ended`: only with trials that have ended."""
    runs.mkdir(exist_ok=True)
    study = optuna.create_study(storage=f"sqlite:///{runs / 'cnnsearch.db'}", study_name=name, direction="maximize")
    study.set_user_attr(ATTRIBUTE, {"folder": str(runs / name), "metric": "val_accuracy", "created": "2026"})
    study.enqueue_trial({"rate": 0.25})
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.COMPLETE)
    for number, state in enumerate(states):
        trial = study.ask()
        value = trial.suggest_float("rate", 0.1, 1, log=True) + trial.suggest_int("width", 8, 64, step=8)
        trial.suggest_categorical("kind", ["a", None, True, 3])
        for epoch, reported in enumerate((value, float("inf"), float("nan"))):
            trial.report(reported, epoch)
        score = value if state == TrialState.COMPLETE else None
        kept = Trial(number, state.name.lower().replace("fail", "failed"), score=score, weights=number + 1)
        trial.set_user_attr(ATTRIBUTE, kept.to_attribute())
        study.tell(trial, score, state=state)
    if ended:
        return study
    study.ask().suggest_float("rate", 0.1, 1, log=True)
    study.enqueue_trial({"rate": 0.5}, user_attrs={"origin": "default"})
    return study


def facts(trials: list[FrozenTrial]) -> list[str]:
    # as text: nan is not equal to itself
    return [repr(trial) for trial in trials]


def test_trials_are_those_that_optuna_reads(tmp_path: Path) -> None:
    study = filled(tmp_path)
    filled(tmp_path, "other")
    plain = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'cnnsearch.db'}")
    expected = plain.get_all_trials(study._study_id)
    found = bulk_read.trials(plain, study._study_id)
    assert facts(found) == facts(expected)
    assert [trial.state for trial in found].count(TrialState.RUNNING) == 1
    assert facts(bulk_read.trials(plain, study._study_id, after=3)) == facts(expected[3:])
    with pytest.raises(KeyError):
        bulk_read.trials(plain, 99)


def test_a_sqlite_file_is_read_as_optuna_reads_it_and_sqlalchemy_only_to_write(tmp_path: Path) -> None:
    study = filled(tmp_path)
    filled(tmp_path, "other")
    address = f"sqlite:///{tmp_path / 'cnnsearch.db'}"
    plain, found = optuna.storages.RDBStorage(address), Database(address)
    number = study._study_id
    assert facts(found._get_trials(number, None, set(), -1)) == facts(plain.get_all_trials(number))
    assert facts(found._get_trials(number, None, {2, 99}, 3)) == facts(plain._get_trials(number, None, {2, 99}, 3))
    assert facts(found._get_trials(number, (TrialState.FAIL,), set(), -1)) == facts(
        plain._get_trials(number, (TrialState.FAIL,), set(), -1)
    )
    assert [vars(each) for each in found.get_all_studies()] == [vars(each) for each in plain.get_all_studies()]
    assert found.get_study_id_from_name("other") == plain.get_study_id_from_name("other") != number
    assert found.get_study_name_from_id(number) == "study"
    assert found.get_study_directions(number) == plain.get_study_directions(number)
    assert found.get_study_user_attrs(number) == plain.get_study_user_attrs(number)
    for read in (lambda: found.get_study_user_attrs(99), lambda: found.get_study_id_from_name("none")):
        with pytest.raises(KeyError):
            read()
    assert "engine" not in vars(found)
    found.set_study_user_attr(number, "more", 1)
    assert "engine" in vars(found)
    assert found.get_study_user_attrs(number)["more"] == 1


@pytest.mark.parametrize("change", ["UPDATE alembic_version SET version_num = 'v9'", "DROP TABLE alembic_version"])
def test_tables_of_another_optuna_are_left_to_optuna(tmp_path: Path, change: str) -> None:
    filled(tmp_path)
    file = sqlite_file.opened(f"sqlite:///{tmp_path / 'cnnsearch.db'}?timeout=30")
    assert file is not None and sqlite_file.opened(f"sqlite:///{tmp_path / 'none.db'}") is None
    assert not (tmp_path / "none.db").exists()
    with contextlib.closing(sqlite3.connect(file.path)) as database, database:
        database.execute(change)
    assert sqlite_file.opened(f"sqlite:///{file.path}") is None


def test_a_trial_that_ends_meanwhile_is_read_again(tmp_path: Path) -> None:
    writer = filled(tmp_path)
    reader = optuna.load_study(study_name="study", storage=open_storage(tmp_path))
    assert reader.get_trials()[4].state == TrialState.RUNNING
    writer.tell(4, 0.5)
    assert reader.get_trials()[4].values == [0.5]
    assert facts(reader.get_trials()) == facts(writer.get_trials())


def test_the_latest_study_is_found_without_its_trials(tmp_path: Path) -> None:
    studies = [filled(tmp_path, name) for name in ("first", "second")]
    found = bulk_read.latest(open_storage(tmp_path))
    trials = {study._study_id: study.get_trials() for study in studies}
    assert found == {
        number: max(moment for each in own if (moment := each.datetime_complete or each.datetime_start))
        for number, own in trials.items()
    }
    assert all(abs(at - datetime.datetime.now()) < datetime.timedelta(minutes=10) for at in found.values())


def test_a_leaderboard_reads_the_trials_of_its_study_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        filled(tmp_path, name, ended=True)
    sent: list[str] = []
    read = SqliteFile.rows

    def noted(file: SqliteFile, query: str, *values: Any) -> Any:
        sent.append(query)
        return read(file, query, *values)

    monkeypatch.setattr(SqliteFile, "rows", noted)
    opened = listing.load("first", tmp_path)
    board = leaderboard.rows(opened)
    assert len(ranking.ranked(opened)) == len(board) == 4 and not majority.lines(opened)
    assert sum('FROM "trial_params"' in statement for statement in sent) == 1
