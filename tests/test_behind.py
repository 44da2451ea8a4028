"""The storage that is written when nobody waits: what is asked is what was told, and none of it is lost."""

import contextlib
import sqlite3
from pathlib import Path

import optuna
import pytest
import sqlalchemy.exc
from optuna.trial import TrialState

from cnnsearch import strategies
from cnnsearch.behind import MOST, Behind


def address(folder: Path) -> str:
    return f"sqlite:///{folder / 'studies.db'}?timeout=0.2"


def begun(folder: Path, behind: bool, name: str = "study") -> optuna.Study:
    sampler = strategies.sampler("tpe", 3)
    plain = optuna.create_study(storage=address(folder), study_name=name, direction="maximize", sampler=sampler)
    if not behind:
        return plain
    return optuna.load_study(study_name=name, storage=Behind(plain._storage, plain._study_id), sampler=sampler)


def stored(folder: Path, name: str = "study") -> list[optuna.trial.FrozenTrial]:
    """As another process sees it."""
    return optuna.load_study(study_name=name, storage=address(folder)).get_trials()


def searched(study: optuna.Study) -> None:
    study.enqueue_trial({"rate": 0.5, "kind": "a"}, user_attrs={"origin": "default"})
    for number in range(14):
        trial = study.ask()
        rate, kind = trial.suggest_float("rate", 0, 1), trial.suggest_categorical("kind", ["a", "b"])
        width = trial.suggest_int("width", 1, 64, log=True) if kind == "a" else 1
        trial.set_user_attr("seed", number)
        for epoch in range(3):
            trial.report(rate + epoch, epoch)
        if number == 5:
            trial.set_constraint("feasible", 1.0)
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, rate - width / 100)


def test_a_study_is_the_same_as_without(tmp_path: Path) -> None:
    for name, behind in (("plain", False), ("behind", True)):
        searched(begun(tmp_path, behind, name))
    plain, behind = stored(tmp_path, "plain"), stored(tmp_path, "behind")
    assert len(plain) == len(behind) == 14
    for one, other in zip(plain, behind, strict=True):
        for what in ("number", "state", "values", "params", "distributions", "user_attrs", "intermediate_values"):
            assert getattr(one, what) == getattr(other, what), what
        assert one.system_attrs == other.system_attrs


def test_what_is_asked_is_what_was_told_and_it_is_written_when_asked_for(tmp_path: Path) -> None:
    study = begun(tmp_path, behind=True)
    trial = study.ask()
    before = study.get_trials(deepcopy=False)
    trial.suggest_float("rate", 0, 1)
    trial.report(0.5, 1)
    trial.set_user_attr("seed", 7)
    (told,) = study.get_trials(deepcopy=False)
    assert told.params == trial.params and told.intermediate_values == {1: 0.5} and told.user_attrs == {"seed": 7}
    assert before[0].params == {}
    (there,) = stored(tmp_path)
    assert (there.params, there.user_attrs) == ({}, {})
    study._storage.write()  # type: ignore[attr-defined]
    (there,) = stored(tmp_path)
    assert there.params == trial.params and there.intermediate_values == {1: 0.5} and there.user_attrs == {"seed": 7}


def test_it_is_written_before_a_trial_ends_and_not_more_than_so_much_is_kept_back(tmp_path: Path) -> None:
    study = begun(tmp_path, behind=True)
    trial = study.ask()
    trial.set_user_attr("seed", 7)
    study.tell(trial, 1.0)
    (there,) = stored(tmp_path)
    assert there.user_attrs == {"seed": 7} and there.state == TrialState.COMPLETE
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        trial.set_user_attr("seed", 8)
    second = study.ask()
    for epoch in range(MOST):
        second.report(0.5, epoch)
    assert len(stored(tmp_path)[1].intermediate_values) == MOST


def test_other_choices_are_refused_at_once(tmp_path: Path) -> None:
    study = begun(tmp_path, behind=True)
    study.ask().suggest_categorical("kind", ["a", "b"])
    with pytest.raises(ValueError, match="does not support dynamic value space"):
        study.ask().suggest_categorical("kind", ["a", "c"])
    again = optuna.load_study(study_name="study", storage=Behind(study._storage, study._study_id))
    with pytest.raises(ValueError, match="does not support dynamic value space"):
        again.ask().suggest_categorical("kind", ["a", "c"])


def test_others_may_queue_a_point(tmp_path: Path) -> None:
    study = begun(tmp_path, behind=True)
    study.ask().suggest_float("rate", 0, 1)
    optuna.load_study(study_name="study", storage=address(tmp_path)).enqueue_trial({"rate": 0.25})
    trial = study.ask()
    assert trial.number == 1 and trial.suggest_float("rate", 0, 1) == 0.25
    assert [each.number for each in study.get_trials()] == [0, 1]


def test_what_could_not_be_written_is_written_when_it_can_be(tmp_path: Path) -> None:
    study = begun(tmp_path, behind=True)
    trial = study.ask()
    trial.set_user_attr("seed", 7)
    trial.report(0.5, 1)
    with contextlib.closing(sqlite3.connect(tmp_path / "studies.db")) as other:
        other.execute("begin exclusive")
        with pytest.raises((sqlalchemy.exc.OperationalError, optuna.exceptions.StorageInternalError)):
            study._storage.write()  # type: ignore[attr-defined]
    study._storage.write()  # type: ignore[attr-defined]
    (there,) = stored(tmp_path)
    assert there.user_attrs == {"seed": 7} and there.intermediate_values == {1: 0.5}
