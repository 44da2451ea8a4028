"""Rungs: which trials are promoted, and that a pause does not change a trial's training."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from cnnsearch.cli.search_config import scheduler_and_pruner
from cnnsearch.study import samplers
from cnnsearch.study.sampler_view import SamplerView
from cnnsearch.study.trial import ATTRIBUTE, Trial
from cnnsearch.tuning.active_trial import ActiveTrial
from cnnsearch.tuning.schedulers.base import SchedulerContext
from cnnsearch.tuning.schedulers.rung_scheduler import RungScheduler
from cnnsearch.tuning.schedulers.rungs import (
    LOW_FIDELITY_UPDATES,
    MIN_UPDATES,
    PLACES_KEPT,
    TOP_K,
    Rungs,
    RungTrial,
    rungs,
)
from tests.conftest import Run

SPACE = """
dataset = "digits"
dimensions = [
  { use = "conv_depth" },
  { use = "filters", first = [8, 4] },
  { use = "learning_rate" },
  { use = "schedule" },
]
[defaults]
batch_size = 4
"""
LINE = ("run", "--space", "small.toml", "--trials", "6", "--jobs", "1", "--epochs", "3", "--study", "digits_cnn")
SHORT = ("--set", "dataset.limit=300")
"""With so few images an epoch is too short for a low-fidelity evaluation."""


@pytest.fixture(autouse=True)
def small(tmp_path: Path) -> None:
    """The space that is searched here: with its batch size an epoch of all digits has 300 updates."""
    (tmp_path / "small.toml").write_text(SPACE)


@pytest.mark.parametrize(
    ("epochs", "steps"), [(1, (1,)), (2, (2,)), (3, (1, 3)), (8, (1, 3, 8)), (9, (1, 3, 9)), (20, (1, 2, 7, 20))]
)
def test_rungs_are_a_third_of_each_other(epochs: int, steps: tuple[float, ...]) -> None:
    assert rungs(epochs, MIN_UPDATES) == steps


def test_short_epochs_have_fewer_rungs_and_long_ones_begin_with_a_low_fidelity_evaluation() -> None:
    assert rungs(9, MIN_UPDATES // 2) == (3, 9) and rungs(9, 1) == (9,)
    assert rungs(9, 10 * LOW_FIDELITY_UPDATES) == (0.1, 1, 3, 9) and rungs(9, 3 * LOW_FIDELITY_UPDATES) == (1, 3, 9)
    assert rungs(1, 10 * LOW_FIDELITY_UPDATES) == (1,) and rungs(9, 10 * LOW_FIDELITY_UPDATES, low_fidelity=False) == (
        1,
        3,
        9,
    )
    scheduler = Rungs("halving", 9, 10 * LOW_FIDELITY_UPDATES, maximize=True)
    assert scheduler.fidelity == 0.1 and Rungs("none", 9, 10 * LOW_FIDELITY_UPDATES, maximize=True).fidelity == 0
    evaluated = [RungTrial(number, (), True, low_fidelity=0.1 * number) for number in range(6)]
    assert scheduler.next(evaluated, more_to_come=True) == 5
    gone = [*evaluated[:5], RungTrial(5, (0.9,), True, low_fidelity=0.5)]
    # a promoted trial still counts at the first rung, by its low-fidelity evaluation
    assert scheduler.next(gone, more_to_come=True) == 4


def test_halving_promotes_a_third_of_the_first_rung_and_two_thirds_of_the_next() -> None:
    scheduler = Rungs("halving", 9, MIN_UPDATES, maximize=True)
    assert [epochs for epochs in range(1, 10) if scheduler.is_rung(epochs)] == [1, 3]
    first = [RungTrial(number, (0.1 * number,), True) for number in range(1, 7)]
    assert scheduler.next(first[:2], more_to_come=True) is None
    assert scheduler.next(first, more_to_come=True) == 6
    gone = [*first[:4], RungTrial(5, (0.5, 0.5, 0.55), True), RungTrial(6, (0.6, 0.6, 0.5), True)]
    # at epoch 3 the best value so far counts, and one of two is promoted
    assert scheduler.next(gone, more_to_come=True) == 6
    done = [*first[:4], RungTrial(5, (0.5, 0.5, 0.55), True), RungTrial(6, (0.6,) * 9, False)]
    assert scheduler.next(done, more_to_come=True) is None
    three = [RungTrial(4, (0.4, 0.4, 0.52), True), *done[4:]]
    assert scheduler.next(three, more_to_come=True) == 5


def test_rungs_are_the_default(tmp_path: Path) -> None:
    scheduler = rung_scheduler(name="auto", pruner="median")
    drawn, other = paused(1, 0.1, tmp_path), replace(paused(2, 0.1, tmp_path), resumable=False)
    scheduler.on_start(MIN_UPDATES - 1, low_fidelity=True)
    assert not scheduler._pauses_here(drawn), "one epoch is too short to compare trials"
    scheduler.on_start(MIN_UPDATES, low_fidelity=True)
    assert scheduler._pauses_here(drawn)
    assert [scheduler._rungs_judge(one) for one in (drawn, other)] == [True, False]


def test_a_pruner_or_costs_that_are_named_leave_rungs_out() -> None:
    assert scheduler_and_pruner("auto", None, ()) == ("auto", "median")
    assert scheduler_and_pruner("auto", "percentile", ()) == ("none", "percentile")
    assert scheduler_and_pruner("auto", None, ("params",)) == ("none", "median")
    assert scheduler_and_pruner("halving", None, ()) == ("halving", "none")
    assert scheduler_and_pruner("halving", "median", ()) == ("halving", "median")


def test_halving_trains_at_least_three_trials_to_their_end() -> None:
    scheduler = Rungs("halving", 9, MIN_UPDATES, maximize=False)
    known = [RungTrial(number, (float(number),), True) for number in range(5)]
    assert scheduler.next(known, more_to_come=True) == 0
    done = [RungTrial(number, (float(number),) * 9, False) for number in range(2)]
    assert scheduler.next([*done, *known[2:]], more_to_come=False) == 2
    done.append(RungTrial(2, (2.0,) * 9, False))
    assert scheduler.next([*done, *known[3:]], more_to_come=False) is None


def test_paused_trials_of_a_low_rank_are_pruned(tmp_path: Path) -> None:
    scheduler = Rungs("halving", 9, MIN_UPDATES, maximize=False)
    known = [RungTrial(number, (0.1 * number,), True) for number in range(30)]
    assert scheduler.trials_to_prune(known) == list(range(10 + PLACES_KEPT, 30)) and not scheduler.trials_to_prune(
        known[:15]
    )
    # topk promotes its best few only when no new trials come, so they stay paused
    topk = Rungs("topk", 9, MIN_UPDATES, maximize=False)
    assert topk.trials_to_prune(known) == list(range(TOP_K + PLACES_KEPT, 30))
    higher = [RungTrial(number, (0.1 * number,) * 3, number > 25) for number in range(30)]
    assert scheduler.trials_to_prune(higher) == []
    waiting = rung_scheduler()
    waiting.on_start(100, low_fidelity=True)
    waiting.paused = {number: paused(number, 0.1 * number, tmp_path) for number in range(1, 31)}
    assert [one.number for one in waiting.choose_trials_to_prune([])] == list(range(10, 0, -1)) and len(
        waiting.paused
    ) == 20


@pytest.mark.parametrize("maximize", [True, False])
def test_ended_trials_count_the_same_whether_passed_once_or_each_time(maximize: bool) -> None:
    chance = random.Random(0)
    found = set()
    for _ in range(300):
        known = [
            RungTrial(number, tuple(chance.choice((0.1, 0.2, 0.3)) for _ in range(chance.choice((1, 3, 4, 9)))), waits)
            for number, waits in enumerate(chance.choices((True, False), k=chance.randrange(1, 30)))
        ]
        whole, once = (Rungs("halving", 9, MIN_UPDATES, maximize) for _ in range(2))
        gone = [one for one in known if not one.paused and chance.random() < 0.7]
        for one in gone:
            once.ended(one)
        others = [one for one in known if one not in gone]
        assert once.next(others, True) == whole.next(known, True)
        assert once.trials_to_prune(others) == whole.trials_to_prune(known)
        found.add((whole.next(known, True) is None, bool(whole.trials_to_prune(known))))
    assert len(found) == 4


def test_topk_promotes_the_best_few_after_all_trials_reached_the_rung() -> None:
    scheduler = Rungs("topk", 9, MIN_UPDATES, maximize=True)
    assert [epochs for epochs in range(1, 10) if scheduler.is_rung(epochs)] == [1]
    known = [RungTrial(number, (0.1 * number,), True) for number in range(6)]
    assert scheduler.next(known, more_to_come=True) is None
    order = []
    while (number := scheduler.next(known, more_to_come=False)) is not None:
        order.append(number)
        known[number] = RungTrial(number, (0.1 * number,) * 9, False)
    assert order == [5, 4, 3] and len(order) == TOP_K


def test_the_sampler_sees_paused_trials_as_pruned_at_their_rung() -> None:
    study = optuna.create_study(direction="maximize")
    waiting, running = study.ask(), study.ask()
    for trial in (waiting, running):
        trial.suggest_float("x", 0, 1)
        trial.report(0.5, 1)
    waiting.set_user_attr(ATTRIBUTE, {"state": "waiting"})
    seen = SamplerView(study.study_name, study._storage).get_trials()
    assert [trial.state for trial in seen] == [TrialState.PRUNED, TrialState.RUNNING]
    assert seen[0].params == waiting.params and seen[0].intermediate_values == {1: 0.5}
    assert [trial.state for trial in study.get_trials()] == [TrialState.RUNNING] * 2
    assert [trial.number for trial in seen] == [0, 1]


def test_the_sampler_draws_all_dimensions_at_once_while_trials_are_paused() -> None:
    """The sampler finds new dimensions by reading the trials in the order of their numbers."""
    sampler = samplers.sampler("tpe", 0)
    made = optuna.create_study(direction="maximize", sampler=sampler)
    study = SamplerView(made.study_name, made._storage, sampler)
    for number in range(12):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.suggest_int("n", 1, 9)
        trial.report(0.1 * number, 1)
        trial.set_user_attr(ATTRIBUTE, {"state": "waiting"})
    assert set(study.ask().relative_params) == {"x", "n"}


def rows(run: Run) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run("leaderboard", "--format", "json").stdout)
    return found


def unfinished(folder: Path) -> list[TrialState]:
    storage = f"sqlite:///{folder / 'runs' / 'cnnsearch.db'}"
    trials = optuna.load_study(study_name="digits_cnn", storage=storage).get_trials()
    return [trial.state for trial in trials if not trial.state.is_finished()]


@pytest.mark.parametrize(("images", "first"), [pytest.param(SHORT, 1, marks=pytest.mark.slow), ((), 0)])
def test_a_paused_trial_resumes_on_the_same_curve(
    run: Run, tmp_path: Path, images: tuple[str, ...], first: int
) -> None:
    done = run(*LINE, *images, "--scheduler", "halving")
    assert done.returncode == 0, done.stdout + done.stderr
    rungs_shown = "1 and 3 epochs" if first else "20% of the images, then 1 and 3 epochs"
    assert f"Rungs: {rungs_shown}. Only the best of each rung are promoted." in " ".join(
        (done.stdout + done.stderr).split()
    )
    board = rows(run)
    assert len(board) == 6 and not unfinished(tmp_path)
    pruned = [row for row in board if row["state"] == "pruned"]
    assert min(row["epochs"] for row in pruned) == first
    assert all(("low-fidelity evaluation on 20%" in str(row["reason"])) == (row["epochs"] == 0) for row in pruned)
    promoted = [row for row in board if row["state"] == "complete" and row["origin"] == "sampler"]
    assert promoted and all(row["epochs"] == 3 for row in promoted)
    again = run("reproduce", str(promoted[0]["trial"]))
    assert again.returncode == 0 and "The largest difference is 0." in again.stdout, again.stdout + again.stderr


MODEL = """
import keras


def build(hp):
    flat = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5))]
    model = keras.Sequential([*flat, keras.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


LOSE = """import glob, os; [os.remove(each) for each in glob.glob("runs/digits_cnn/epochs/*")]"""
"""Deletes the checkpoints of paused trials whenever a model is built."""


@pytest.mark.parametrize("lost", [False, True])
def test_a_paused_hypermodel_resumes_or_trains_its_epochs_again(run: Run, tmp_path: Path, lost: bool) -> None:
    model = MODEL.replace("def build(hp):", f"def build(hp):\n    {LOSE}") if lost else MODEL
    (tmp_path / "model.py").write_text(model)
    words = ("run", "--space", "model.py:build", "--dataset", "digits", "--epochs", "6", "--trials", "4", "--jobs", "1")
    done = run(*words, "--study", "digits_cnn", "--confirm", "0")
    assert done.returncode == 0 and "Rungs: 2 and 6 epochs." in done.stdout, done.stdout + done.stderr
    promoted = [row for row in rows(run) if row["state"] == "complete" and row["origin"] == "sampler"]
    assert promoted and all(row["epochs"] == 6 for row in promoted)
    if not lost:
        again = run("reproduce", str(promoted[0]["trial"]))
        assert again.returncode == 0 and "The largest difference is 0." in again.stdout, again.stdout + again.stderr


def test_a_promoted_trial_keeps_its_rank_in_its_rung(tmp_path: Path) -> None:
    scheduler = rung_scheduler()
    scheduler.on_start(100, low_fidelity=True)
    scheduler.paused = {number: paused(number, 0.1 * number, tmp_path) for number in range(1, 10)}
    running, promoted = [], []
    while one := scheduler.choose_trial_to_resume(running, True, lambda _: True):
        promoted.append(one.number)
        # as in the tuner: the worker sends the earlier epochs again
        running.append(scheduler.paused.pop(one.number))
        one.history = []
    assert promoted == [9, 8, 7]


def test_a_worker_that_saves_a_model_gets_no_trial(run: Run, tmp_path: Path) -> None:
    """Epochs are so short that trials reach a rung while a worker saves its model."""
    small = ("--set", "dataset.limit=100", "--set", "conv_depth.max=1", "--set", "conv_depth.convs=1")
    words = ("--jobs", "3", "--trials", "30", *small, "--scheduler", "halving")
    done = run(*LINE, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    storage = f"sqlite:///{tmp_path / 'runs' / 'cnnsearch.db'}"
    trials = optuna.load_study(study_name="digits_cnn", storage=storage).get_trials()
    assert len(trials) == 30 and all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials)


def rung_scheduler(**changes: str) -> RungScheduler:
    named = {"name": "halving", "pruner": "none", **changes}
    return RungScheduler(
        SchedulerContext(
            **named, epochs=9, batch_size=1, metric="val_accuracy", maximize=True, should_prune=lambda trial: False
        )
    )


def paused(number: int, value: float, folder: Path) -> ActiveTrial:
    """A trial that is paused after its first epoch."""
    history = ({"val_accuracy": value},)
    record = Trial(number, state="waiting", history=history)
    trial = optuna.create_study().ask()
    return ActiveTrial(trial, record, str(folder / "none"), 0.0, 0.0, history=list(history), resumable=True)


@pytest.mark.slow
@pytest.mark.parametrize(("images", "scheduler", "kept"), [(SHORT, "topk", 2), ((), "halving", 1)])
def test_a_search_that_was_stopped_between_rungs_can_be_resumed(
    run: Run, tmp_path: Path, store: str, images: tuple[str, ...], scheduler: str, kept: int
) -> None:
    words = (*LINE, *images, "--scheduler", scheduler)
    line = [sys.executable, "-m", "cnnsearch", *words]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store, "CNNSEARCH_RUN_CONFIRM": "0"}
    states = tmp_path / "runs" / "digits_cnn" / "epochs"
    with subprocess.Popen(line, cwd=tmp_path, env=environment) as process:
        until = time.monotonic() + 200
        while len(list(states.glob("*.npz"))) < kept and process.poll() is None and time.monotonic() < until:
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    assert all(state == TrialState.WAITING for state in unfinished(tmp_path)) and unfinished(tmp_path)
    done = run(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    board = rows(run)
    assert len(board) == 6 and not unfinished(tmp_path) and not list(states.glob("*.npz"))
    if scheduler == "topk":
        # the default point is trained to its end at once
        assert sum(row["epochs"] == 3 for row in board if row["origin"] == "sampler") in (TOP_K - 1, TOP_K)
