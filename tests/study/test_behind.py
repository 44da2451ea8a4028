"""The storage that is written when nobody waits: what is asked is what was told, and none of it is lost."""

import contextlib
import sqlite3
import time
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from cnnsearch.core.errors import StudyError
from cnnsearch.study import samplers
from cnnsearch.study.storage import storage_errors
from cnnsearch.study.write_behind import LONGEST, MOST, WriteBehindStorage


def address(folder: Path) -> str:
    return f"sqlite:///{folder / 'studies.db'}?timeout=0.2"


def begun(
    folder: Path, behind: bool = True, sampler: str = "tpe", pruner: str = "none", costs: int = 0
) -> optuna.Study:
    folder.mkdir(exist_ok=True)
    how = {"sampler": samplers.sampler(sampler, 3), "pruner": samplers.pruner(pruner, 9)}
    ways = ["maximize", *["minimize"] * costs]
    plain = optuna.create_study(storage=address(folder), study_name="study", directions=ways, **how)
    if not behind:
        return plain
    return optuna.load_study(study_name="study", storage=WriteBehindStorage(plain._storage, plain._study_id), **how)


def stored(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """As another process sees it."""
    return optuna.load_study(study_name="study", storage=address(folder)).get_trials()


def searched(study: optuna.Study, costs: int) -> None:
    """Two trials at a time, some pruned, one failed."""
    study.enqueue_trial({"rate": 0.5, "kind": "a"}, user_attrs={"origin": "default"})
    for pair in range(9):
        both = [study.ask(), study.ask()]
        values = []
        for trial in both:
            rate, kind = trial.suggest_float("rate", 0, 1), trial.suggest_categorical("kind", ["a", "b", None])
            width = trial.suggest_int("width", 1, 64, log=True) if kind == "a" else 1
            trial.set_user_attr("seed", {"of": (pair, rate)})
            values.append(rate - width / 100)
        for trial, value in zip(both, values, strict=True):
            hopeless = False
            for epoch in range(0 if costs else 9):
                trial.report(float("nan") if (pair, epoch) == (7, 4) else value + epoch, epoch)
                hopeless = hopeless or trial.should_prune()
            if hopeless or pair == 5:
                trial.set_constraint("feasible", 1.0)
                study.tell(trial, state=TrialState.PRUNED)
            else:
                study.tell(trial, [value, *[abs(value)] * costs])


@pytest.mark.parametrize(
    ("sampler", "pruner", "costs"),
    [("tpe", "median", 0), ("tpe", "halving", 0), ("random", "hyperband", 0), ("qmc", "none", 0), ("tpe", "none", 1)],
)
def test_a_study_is_the_same_with_and_without_it(tmp_path: Path, sampler: str, pruner: str, costs: int) -> None:
    for name, behind in (("plain", False), ("behind", True)):
        searched(begun(tmp_path / name, behind, sampler, pruner, costs), costs)
    plain, behind = stored(tmp_path / "plain"), stored(tmp_path / "behind")
    assert len(plain) == len(behind) == 18
    for one, other in zip(plain, behind, strict=True):
        for what in ("number", "state", "values", "params", "distributions", "user_attrs", "system_attrs"):
            assert getattr(one, what) == getattr(other, what), what
        np.testing.assert_equal(one.intermediate_values, other.intermediate_values)


def test_it_reads_from_memory_and_writes_later(tmp_path: Path) -> None:
    study = begun(tmp_path)
    trial = study.ask()
    before = study.get_trials(deepcopy=False)
    trial.suggest_float("rate", 0, 1)
    trial.report(0.5, 1)
    trial.set_user_attr("seed", 7)
    with pytest.raises(TypeError):
        trial.set_user_attr("odd", object())
    (told,) = study.get_trials(deepcopy=False)
    assert told.params == trial.params and told.intermediate_values == {1: 0.5} and told.user_attrs == {"seed": 7}
    assert before[0].params == {}
    (there,) = stored(tmp_path)
    assert (there.params, there.user_attrs) == ({}, {})
    study._storage.write()  # type: ignore[attr-defined]
    (there,) = stored(tmp_path)
    assert there.params == trial.params and there.intermediate_values == {1: 0.5} and there.user_attrs == {"seed": 7}


def test_it_writes_before_a_trial_ends_and_if_many_writes_are_pending(tmp_path: Path) -> None:
    study = begun(tmp_path)
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
    second.report(0.5, MOST)
    time.sleep(LONGEST)
    second.report(0.5, MOST + 1)
    assert len(stored(tmp_path)[1].intermediate_values) == MOST + 2


def test_a_later_value_of_a_study_attribute_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    study = begun(tmp_path)
    behind = study._storage
    assert isinstance(behind, WriteBehindStorage)
    behind.set_study_user_attr_later("owner", 1)
    behind.set_study_user_attr_later("other", 1)
    study.set_user_attr("owner", None)
    behind.write()
    assert study.user_attrs == {"owner": None, "other": 1}


def test_other_choices_raise_an_error_at_once(tmp_path: Path) -> None:
    study = begun(tmp_path)
    study.ask().suggest_categorical("kind", ["a", "b"])
    with pytest.raises(ValueError, match="does not support dynamic value space"):
        study.ask().suggest_categorical("kind", ["a", "c"])
    again = optuna.load_study(study_name="study", storage=WriteBehindStorage(study._storage, study._study_id))
    with pytest.raises(ValueError, match="does not support dynamic value space"):
        again.ask().suggest_categorical("kind", ["a", "c"])


def test_another_process_may_queue_a_point(tmp_path: Path) -> None:
    study = begun(tmp_path)
    study.ask().suggest_float("rate", 0, 1)
    optuna.load_study(study_name="study", storage=address(tmp_path)).enqueue_trial({"rate": 0.25})
    trial = study.ask()
    assert trial.number == 1 and trial.suggest_float("rate", 0, 1) == 0.25
    optuna.load_study(study_name="study", storage=address(tmp_path)).enqueue_trial({"rate": 0.75})
    study.enqueue_trial({"rate": 0.125})
    assert [study.ask().params for _ in range(2)] == [{}, {}]
    assert [each.number for each in study.get_trials()] == [0, 1, 2, 3]
    fixed = [each.system_attrs["fixed_params"]["rate"] for each in study.get_trials()[1:]]
    assert fixed == [0.25, 0.75, 0.125]


def test_failed_writes_are_tried_again(tmp_path: Path) -> None:
    study = begun(tmp_path)
    trial = study.ask()
    trial.set_user_attr("seed", 7)
    trial.report(0.5, 1)
    with contextlib.closing(sqlite3.connect(tmp_path / "studies.db")) as other:
        other.execute("begin exclusive")
        with pytest.raises(StudyError, match="another process has locked it"), storage_errors(""):
            study._storage.write()  # type: ignore[attr-defined]
    study._storage.write()  # type: ignore[attr-defined]
    (there,) = stored(tmp_path)
    assert there.user_attrs == {"seed": 7} and there.intermediate_values == {1: 0.5}
