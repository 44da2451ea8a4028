"""The recorder of ended trials: their order, duplicates, the queue and the statistics."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from cnnsearch.core.errors import StudyError
from cnnsearch.spaces.definition import Space, Use
from cnnsearch.study import trial_queue
from cnnsearch.study.config import SearchConfig, trial_seed
from cnnsearch.study.study import Study
from cnnsearch.study.trial import ATTRIBUTE, Trial
from cnnsearch.tuning import trial_recorder
from cnnsearch.tuning.callbacks.base import Callbacks
from cnnsearch.tuning.callbacks.mlflow import MlflowCallback, Notes
from cnnsearch.tuning.progress import StudyStatistics
from cnnsearch.tuning.trial_recorder import TrialRecorder


@pytest.fixture
def tracker() -> Iterator[MlflowCallback]:
    """A callback without a study: it writes nothing."""
    notes: list[str] = []
    made = MlflowCallback()
    Callbacks([made, Notes(notes.append)])
    yield made
    made.close("", [])
    assert not notes


def test_ended_trials_are_in_the_order_of_their_numbers(tracker: MlflowCallback) -> None:
    made = optuna.create_study(direction="maximize")
    made.set_user_attr(ATTRIBUTE, {"metric": "val_accuracy", "seed": 0, "folder": "runs"})
    study = Study(made)
    waiting = made.ask()
    recorder = TrialRecorder(study, tracker)
    trials = [waiting, *(made.ask() for _ in range(3))]
    for trial in (trials[2], trials[0], trials[3]):
        done = Trial(
            trial.number, "complete", score=0.5, key=f"key{trial.number}", checkpoint="" if trial.number else "x"
        )
        assert recorder.close(done, trial).params == {}
    recorder.interrupt(Trial(1, key="key1"), trials[1])
    assert [(record.number, record.state) for record in recorder.trials] == [
        (0, "complete"),
        (1, "interrupted"),
        (2, "complete"),
        (3, "complete"),
    ]
    assert [record.number for record in recorder.saved] == [0]
    assert recorder.known(Trial(9, key="key2"), []) == 2
    assert recorder.known(Trial(9, key="key1"), []) is None, "an interrupted trial is resumed"
    unfinished = [Trial(4, "waiting", key="key4"), Trial(5, key="key5")]
    assert recorder.known(Trial(9, key="key4"), unfinished) == 4, "a paused trial has this plan"
    assert recorder.known(Trial(5, key="key5"), unfinished) is None, "a trial is no duplicate of itself"
    assert recorder.statistics.ended == 3 and recorder.statistics.count("interrupted") == 1
    assert [record.number for record in TrialRecorder(study, tracker).trials] == [0, 1, 2, 3]


def test_a_trial_that_was_paused_when_its_search_was_killed_is_no_duplicate_of_itself(tracker: MlflowCallback) -> None:
    made = optuna.create_study(direction="maximize")
    made.set_user_attr(ATTRIBUTE, {"metric": "val_accuracy", "seed": 0, "folder": "runs"})
    study, trial = Study(made), made.ask()
    trial.suggest_float("x", 0, 1)
    TrialRecorder(study, tracker).pause(Trial(0, "waiting", key="key0"), trial)
    # the search is killed; the next one finds the trial in the state RUNNING
    recorder = TrialRecorder(study, tracker)
    recorder.requeue_stale()
    again = made.ask()
    assert again.number == 1 and again.user_attrs["state"] == "epochs/trial-00000.npz"
    assert recorder.known(Trial(1, key="key0"), []) is None


def test_interrupted_trials_are_resumed_before_other_queued_trials(tracker: MlflowCallback) -> None:
    made = optuna.create_study(direction="maximize")
    made.set_user_attr(ATTRIBUTE, {"metric": "val_accuracy", "seed": 0, "folder": "runs"})
    study = Study(made)
    asked = SearchConfig.of(
        space=Space("s"), dataset=Use("digits", {}), name="s", trials=9, epochs=9, metric="val_accuracy", runs=Path("r")
    )
    trial_queue.enqueue_default(study, {"x": 0.5})
    made.enqueue_trial({"x": 0.1}, user_attrs={"origin": "recipe:one"})
    first = trial_queue.take(study, asked.tuner)
    assert first is not None and first.suggest_float("x", 0, 1) == 0.5
    TrialRecorder(study, tracker).interrupt(Trial(0, origin="default"), first)
    taken = [trial_queue.take(study, asked.tuner) for _ in range(3)]
    assert [trial and trial.suggest_float("x", 0, 1) for trial in taken[:2]] == [0.5, 0.1]
    assert [trial and trial.user_attrs.get("origin") for trial in taken] == ["default", "recipe:one", None]


def test_statistics_have_the_best_trial_the_failures_and_the_time() -> None:
    ended = [
        Trial(4, "complete", score=0.7, seconds=2),
        Trial(1, "complete", score=0.9, seconds=3),
        Trial(0, "complete", score=0.9, seconds=5),
        Trial(2, "failed", failure="oom", seconds=1),
        Trial(3, "refused", failure="too_large", seconds=9),
        Trial(5, "pruned", score=0.99, seconds=1),
    ]
    high, low = StudyStatistics(True), StudyStatistics(False)
    for record in ended:
        high, low = high.plus(record), low.plus(replace(record))
    assert high.best is not None and high.best.number == 0, "the first of equals"
    assert low.best is not None and low.best.number == 4
    assert high.ended == 5 and high.seconds == 12
    assert high.failures == {"oom": 1}, "an infeasible candidate is no failure"


def test_a_trial_that_loses_its_machine_counts_the_losses_at_the_same_epoch(tracker: MlflowCallback) -> None:
    made = optuna.create_study(direction="maximize")
    made.set_user_attr(ATTRIBUTE, {"metric": "val_accuracy", "seed": 0, "folder": "runs"})
    study, recorded = Study(made), []
    recorder = TrialRecorder(study, tracker)
    made.enqueue_trial({"x": 0.5}, user_attrs={"state": "epochs/trial-00000.npz", "seed": 0})
    for resumed in (0, 0, 3, 3):
        trial = made.ask()
        trial.suggest_float("x", 0, 1)
        recorded.append(trial_queue.moves(trial.user_attrs, resumed))
        recorder.interrupt(Trial(trial.number, resumed=resumed), trial, moved=True)
    assert recorded == [0, 1, 0, 1]


@pytest.mark.parametrize("fails", ["requeue", "finish"])
def test_a_trial_is_queued_once_if_the_storage_fails_while_it_is_interrupted(
    fails: str, tracker: MlflowCallback, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = optuna.create_study(direction="maximize")
    made.set_user_attr(ATTRIBUTE, {"metric": "val_accuracy", "seed": 0, "folder": "runs"})
    study, trial = Study(made), made.ask()
    trial.suggest_float("x", 0, 1)

    def away(*given: Any, **named: Any) -> None:
        raise StudyError("the database does not answer")

    monkeypatch.setattr(*((trial_queue, "requeue") if fails == "requeue" else (trial_recorder, "finish")), away)
    with pytest.raises(StudyError, match="does not answer"):
        TrialRecorder(study, tracker).interrupt(Trial(0), trial)
    monkeypatch.undo()
    TrialRecorder(study, tracker).requeue_stale()
    states = [each.state.name for each in made.get_trials()]
    assert states == ["FAIL", "WAITING"] and made.ask().suggest_float("x", 0, 1) == trial.params["x"]


def test_a_seed_that_an_earlier_version_let_an_objective_store_is_ignored(tracker: MlflowCallback) -> None:
    made = optuna.create_study(direction="maximize")
    made.set_user_attr(ATTRIBUTE, {"metric": "val_accuracy", "seed": 0, "folder": "runs"})
    trial = made.ask()
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr("seed", [1, 2])
    TrialRecorder(Study(made), tracker).requeue_stale()
    assert made.ask().user_attrs["seed"] == trial_seed(0, 0)
