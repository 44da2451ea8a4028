"""Confirmation: the best trials on new seeds, and how often their intervals hold what they should."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import optuna
import pytest
from mlflow import MlflowClient
from scipy import stats

from cnnsearch.core.messages import EpochEnded, Go
from cnnsearch.core.packed_bits import packed, unpacked
from cnnsearch.results import leaderboard
from cnnsearch.spaces.space import Space, Use
from cnnsearch.study import listing, ranking, score_interval
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.confirmation import Confirmed, Repeat, optimism, summarised
from cnnsearch.study.study import Study
from cnnsearch.study.trial import ATTRIBUTE, Trial
from cnnsearch.tuning import confirm
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.confirmer import Confirmer, expected_seconds, missing, reserve
from cnnsearch.tuning.launchers.base import LostWorker
from cnnsearch.tuning.supervisor import MACHINES, PATIENCE, allowed_silence
from tests import made_studies
from tests.conftest import TINY, Run

SMALL = ("run", "--space", "digits_cnn", "--trials", "3", "--jobs", "1", "--pruner", "none", *TINY)


IMAGES, POOL = 200, 1200
"""The validation images of one split, and the images that are split."""


def simulated(seed: int, between: float, own_set: bool) -> tuple[bool, bool, float]:
    """Of one study: whether the winner's interval holds the accuracy of its model on new images, whether it ties with
    the best recipe, and the interval's width.

    A recipe's models differ by a normal deviation `between`. Each classifies an image right with a probability of its
    own; the images of the study are a sample of a population.
    """
    chance = np.random.default_rng(seed)
    ease, new = chance.normal(0, 2, POOL), chance.normal(0, 2, 20_000)
    recipes = 2.5 + chance.normal(0, 0.4, 8)

    def right(model: float, images: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        return chance.random(len(images)) < 1 / (1 + np.exp(-(model + images)))

    first = chance.permutation(POOL)[:IMAGES]
    models = recipes + chance.normal(0, between, 8)
    top = np.argsort([-right(model, ease[first]).mean() for model in models])[:3]
    repeats = []
    for turn in range(3):
        rows = first if own_set else chance.permutation(POOL)[:IMAGES]
        for n in top:
            bits = right(recipes[n] + chance.normal(0, between), ease[rows])
            known = {"images": IMAGES, "right": packed(bits), "split": None if own_set else turn}
            repeats.append(Repeat(int(n), 10 * turn + int(n), float(bits.mean()), **known))
    found = summarised(repeats, "val_accuracy", POOL - IMAGES)
    winner = max(found.values(), key=lambda each: each.mean)
    assert winner.interval is not None
    low, high = winner.interval
    truth = (1 / (1 + np.exp(-(models[winner.trial] + new)))).mean()
    best = int(top[np.argmax(recipes[top])])
    return bool(low <= truth <= high), best == winner.trial or best in winner.ties, high - low


@pytest.mark.parametrize(("between", "widest"), [(0.0, 0.095), (0.25, 0.12)])
def test_the_interval_holds_the_accuracy_on_new_images(between: float, widest: float) -> None:
    held, tied, width = np.mean([simulated(seed, between, own_set=False) for seed in range(400)], axis=0)
    assert held >= 0.93 and width < widest
    assert tied >= 0.95
    # one validation set has the error of its images in each of the three trainings
    own, _, wider = np.mean([simulated(seed, between, own_set=True) for seed in range(400)], axis=0)
    assert own >= 0.93 and wider > width


def test_one_seed_has_no_interval_and_ties_with_everything() -> None:
    found = summarised([Repeat(0, 1, 0.9), Repeat(1, 1, 0.8)], "val_loss")
    assert found[0].interval is None and found[0].ties == {1}


def test_a_failed_repeat_is_left_out() -> None:
    found = summarised([Repeat(0, 1, 0.9), Repeat(0, 2, None, reason="nan"), Repeat(0, 3, 0.8)])
    assert found[0].scores == (0.9, 0.8)


@pytest.mark.parametrize(
    ("timeout", "had", "seconds"),
    [
        (1000, {}, 10 + 3 * (20 + 30 + 40) / 2),  # all of it, on two workers
        (1000, {0: 1, 2: 3}, 10 + (2 * 20 + 3 * 30) / 2),  # what is missing of it
        (500, {}, 100),  # a fifth, in which not all will be trained
        (270, {}, 0),  # not one seed of each would end in a fifth
        (200, {0: 3, 1: 3}, 0),  # two workers do not make one training shorter
        (1000, {0: 3, 1: 3, 2: 3}, 0),
    ],
)
def test_a_part_of_the_time_limit_is_kept_if_it_is_long_enough(
    timeout: float, had: dict[int, int], seconds: float
) -> None:
    asked = SearchConfig.of(
        space=Space("s"),
        dataset=Use("digits", {}),
        name="s",
        trials=9,
        epochs=9,
        metric="val_accuracy",
        runs=Path("r"),
        timeout=timeout,
        jobs=2,
    )
    trained = {0: (0.9, 20.0), 1: (0.8, 30.0), 2: (0.7, 40.0), 3: (0.6, 99.0)}
    records = [
        Trial(number, state="complete", score=score, seconds=took, epochs=9)
        for number, (score, took) in trained.items()
    ]
    assert reserve(asked.changed(confirm=(3, 3)), records, True, 10.0, had, 2) == pytest.approx(seconds)


def test_epochs_before_an_interruption_are_not_timed() -> None:
    cut = Trial(0, state="complete", score=0.9, seconds=10.0, epochs=9, resumed=8)
    assert expected_seconds(cut, 9) == 90
    assert allowed_silence(cut, [replace(cut, seconds=100.0)]) == 100 * PATIENCE


def test_a_trial_that_the_time_limit_ended_is_confirmed_with_as_many_epochs(tmp_path: Path) -> None:
    study = Study(optuna.create_study(), tmp_path)
    study.remember(seed=0)
    limit = Trial(0, "complete", score=0.9, epochs=3, seconds=6.0, reason="the time limit ended it after 3 of 9 epochs")
    early = Trial(1, "complete", score=0.9, epochs=3, seconds=6.0)
    for record in (limit, early):
        trial = study.optuna.ask()
        trial.set_user_attr(ATTRIBUTE, record.to_attribute())
        study.optuna.tell(trial, 0.9)
    source = Confirmer(study, missing(study, (limit, early), (0, 1), 1), 9, math.inf, TunerCallback())
    for record, decisions in ((limit, ["continue", "stop"]), (early, ["continue", "continue"])):
        active, told = source.next(), []
        assert active is not None and active.number == record.number
        for epoch in (2, 3):
            ended = source.on_message(active, EpochEnded(trial=record.number, id=epoch, epoch=epoch, metrics={}))
            assert isinstance(ended.answer, Go)
            told.append(ended.answer.decision.value)
        assert told == decisions
    assert (expected_seconds(limit, 9), expected_seconds(early, 9)) == (6, 18)


def test_a_training_on_a_new_seed_that_loses_its_worker_or_machine_fails_as_a_trial_would(tmp_path: Path) -> None:
    study = Study(optuna.create_study(), tmp_path)
    study.remember(seed=0, metric="val_accuracy")
    trial, record = study.optuna.ask(), Trial(0, "complete", score=0.9, epochs=9, seconds=6.0)
    trial.set_user_attr(ATTRIBUTE, record.to_attribute())
    study.optuna.tell(trial, 0.9)
    source = Confirmer(study, missing(study, [record], [0], 3), 9, math.inf, TunerCallback(), memory=100)
    machine = LostWorker(1, invalid=False, log="log", memory=0, machine=True)
    crash, starved = replace(machine, code=-11, machine=False), replace(machine, code=-9, machine=False, memory=99)
    for losses in ([machine, crash, crash], [machine] * (MACHINES + 1), [starved]):
        for lost in losses:
            active = source.next()
            assert active is not None
            source.on_lost(active, lost)
    assert [repeat["reason"].partition(",")[0] for repeat in study.repeats()] == [
        "killed: its worker process ended by signal 11",
        "killed: its machine was lost",
        "oom: its worker process ended by signal 9",
    ]
    assert not source.waiting


def test_a_trial_that_is_named_twice_is_confirmed_once(tmp_path: Path) -> None:
    study = made_studies.made(tmp_path, [made_studies.complete(0, 0.9)])
    assert confirm._chosen(study, (0, 0), 3) == [0]


def test_one_poor_trial_does_not_widen_the_interval_of_another() -> None:
    steady = [Repeat(0, seed, 0.95 + 0.001 * seed, images=500, split=seed) for seed in range(3)]
    poor = [Repeat(1, seed, 0.9 - 0.3 * seed, images=500, split=seed) for seed in range(3)]
    for metric in ("val_accuracy", "val_f1_macro"):
        alone, beside = (summarised(each, metric, 2500)[0].half_width for each in (steady, steady + poor))
        assert alone is not None and beside is not None
        assert alone < beside < (2 * alone if metric == "val_accuracy" else 0.06)


def test_a_search_score_below_the_mean_moves_the_interval_down_and_one_above_does_not() -> None:
    repeats = [Repeat(0, seed, 0.9 + 0.03 * (seed - 1), images=400, split=seed) for seed in range(3)]
    (low, high), (lower, less), (same, too) = (
        summarised(repeats, "val_accuracy", 2000, {0: score})[0].interval or (0, 0) for score in (0.9, 0.82, 0.99)
    )
    assert lower < low - 0.01 and less < high
    assert (same, too) == pytest.approx((low, high), abs=0.002)


def test_an_accuracy_of_one_has_an_interval_below_one() -> None:
    found = summarised([Repeat(0, seed, 1.0, images=100, split=seed) for seed in range(3)], "val_accuracy", 500)[0]
    assert found.interval is not None
    low, high = found.interval
    assert 0.95 < low < 0.99 and high == pytest.approx(1)


def test_trials_that_differ_on_most_images_are_no_tie() -> None:
    chance = np.random.default_rng(0)
    repeats = []
    for split in range(3):
        hard = chance.random(400) < 0.1
        for trial, more in ((0, 0.0), (1, 0.005), (2, 0.04)):
            bits = ~(hard | (chance.random(400) < more))
            repeats.append(Repeat(trial, split, float(bits.mean()), images=400, right=packed(bits), split=split))
    found = summarised(repeats, "val_accuracy", 2000)
    # the intervals of all three overlap; on the same images the third is worse
    assert found[0].interval and found[2].interval and found[2].interval[1] > found[0].interval[0]
    assert found[0].ties == {1} and 0 not in found[2].ties


def test_optimism_is_positive_if_the_search_score_is_better_for_scores_and_losses() -> None:
    assert optimism(0.95, Confirmed(0, (0.9, 0.92), None), True) == pytest.approx(0.04)
    assert optimism(0.5, Confirmed(0, (0.6, 0.8), None), False) == pytest.approx(0.2)


def a_study(*scores: float) -> Study:
    """A study in memory of complete trials with these scores."""
    made = optuna.create_study(direction="maximize")
    made.set_user_attr(ATTRIBUTE, {"metric": "val_accuracy"})
    for score in scores:
        facts = {"state": "complete", "score": score, "weights": 10, "history": [{"val_accuracy": score}]}
        made.add_trial(optuna.trial.create_trial(value=score, user_attrs={ATTRIBUTE: facts}))
    return Study(made)


def order(study: Study) -> list[int]:
    return [record.number for record in ranking.ranked(study)]


def test_a_confirmed_trial_ranks_below_better_trials_that_were_not_confirmed() -> None:
    study = a_study(0.9, 0.8, 0.7, 0.6)
    study.add_repeat(Repeat(2, 1, 0.71)._asdict())
    assert order(study) == [0, 1, 2, 3]
    for trial, score in ((0, 0.75), (1, 0.79)):
        study.add_repeat(Repeat(trial, 1, score)._asdict())
    assert order(study) == [1, 0, 2, 3]


def test_the_leaderboard_shows_failed_seeds() -> None:
    study = a_study(0.9, 0.8)
    study.add_repeat(Repeat(0, 1, 0.85)._asdict())
    study.add_repeat(Repeat(0, 2, None, reason="nan: the loss was nan in epoch 1")._asdict())
    first = leaderboard.rows(study)[0]
    assert first["n"] == 1 and first["reason"] == "1 of 2 new seeds failed: nan: the loss was nan in epoch 1"


def test_the_front_uses_search_scores_so_confirmation_does_not_change_it() -> None:
    study = a_study(0.9, 0.9)
    study.add_repeat(Repeat(0, 1, 0.8)._asdict())
    assert [row["pareto"] for row in leaderboard.rows(study)] == ["*", "*"]


def test_the_best_are_trained_again_once_and_ranked_by_their_mean(run: Run, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    done = run(*SMALL, "--confirm", "2x2", MLFLOW_TRACKING_URI=store)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[4/4] trial" in done.stdout and "the mean over 2 new seeds is" in done.stdout
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    assert [row["n"] for row in rows] == [2, 2, None]
    study = listing.load(None, tmp_path / "runs")
    repeats, images = study.repeats(), study.info["data"]["images"]["val"]
    # both trials had the same two splits, which are not the study's
    splits = Counter(each["split"] for each in repeats)
    assert None not in splits and list(splits.values()) == [2, 2]
    assert all(each["images"] == images and unpacked(each["right"], images).mean() == each["score"] for each in repeats)
    assert rows[0]["mean"] >= rows[1]["mean"] and rows[0]["half"] > 0
    table = run("leaderboard").stdout
    assert re.search(r"\d \(0\.\d{3}-[01]\.\d{3}\)", table) and "=: it may be as good as the first trial" in table
    # as the leaderboard has it, not the flattering first score
    assert f"{rows[0]['mean']:.4f}" in run("studies").stdout
    late = run(*SMALL, "--confirm", "3x2", "--timeout", "0.01", MLFLOW_TRACKING_URI=store)
    assert "No time is left to train on new seeds. 2 trainings are missing" in late.stdout, late.stderr
    assert late.returncode == 0 and "Confirming the best" not in late.stdout
    third = run(*SMALL, "--confirm", "3x2", "--json", MLFLOW_TRACKING_URI=store)
    events = [json.loads(line) for line in third.stdout.splitlines()]
    assert [(each["event"], each.get("trial")) for each in events[:-1]] == [("repeat", rows[2]["trial"])] * 2
    assert all(0 < each["score"] <= 1 and each["first"] == rows[2]["score"] for each in events[:-1])
    assert [each["ended"] for each in events] == [1, 2, "complete"]
    more = run("confirm", "--top", "1", "--seeds", "3", MLFLOW_TRACKING_URI=store)
    assert more.returncode == 0, more.stderr
    assert "[1/1]" in more.stdout and "over 3 new seeds" in more.stdout
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("cnnsearch/digits_cnn")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    repeats = [each for each in runs if "cnnsearch.repeats" in each.data.tags]
    trials = {each.info.run_id: each for each in runs if "cnnsearch.trial" in each.data.tags}
    assert len(repeats) == 7 and len(trials) == 3
    for each in repeats:
        above = trials[each.data.tags["mlflow.parentRunId"]]
        assert above.data.tags["cnnsearch.trial"] == each.data.tags["cnnsearch.repeats"]
        assert "score" in each.data.metrics


@pytest.mark.slow
def test_the_time_that_is_left_is_used_for_new_seeds(run: Run) -> None:
    """Workers that were busy when the search's share was up are gone by then."""
    line = ("run", "--space", "digits_cnn", "--trials", "500", "--jobs", "1", "--pruner", "none", *TINY)
    done = run(*line, "--timeout", "60", "--confirm", "1x1")
    assert done.returncode == 0 and "The time is up" in done.stdout, done.stdout + done.stderr
    assert "[1/1] trial" in done.stdout and "over 1 new seed is" in done.stdout


@pytest.mark.slow
def test_a_stopped_confirmation_can_be_resumed(run: Run, tmp_path: Path, store: str) -> None:
    assert run(*SMALL).returncode == 0
    line = [sys.executable, "-m", "cnnsearch", "confirm", "--top", "2", "--seeds", "2", "--jobs", "1"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store}
    with subprocess.Popen(line, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "[1/4]" in process.stdout.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130 and time.monotonic() - began < 20
    done = run(*SMALL, "--confirm", "2x2")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 trials are done. " in done.stdout and " trainings on new seeds are missing" in done.stdout
    assert "Raise --trials" not in done.stdout
    # the one under training when it was stopped may have ended just then
    assert "[3/3]" in done.stdout or "[2/2]" in done.stdout
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    assert [row["n"] for row in rows][:2] == [2, 2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("run", "--space", "digits_cnn", "--confirm", "3"),
            "--confirm 3: expected 0, or trials x seeds",
        ),
        (("run", "--space", "digits_cnn", "--confirm", "0x3"), "--confirm 0x3: expected 0"),
        (("confirm",), "There is no study in runs/ yet."),
        (
            ("run", "--space", "digits_cnn", "--objective", "params"),
            "expected a metric first, such as val_accuracy,params",
        ),
        (
            ("run", "--space", "digits_cnn", "--objective", "val_loss,params", "--pruner", "hyperband"),
            "--pruner hyperband works with only one objective; with val_loss,params use median or percentile.",
        ),
    ],
)
def test_bad_input_is_one_line(run: Run, arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_rows_are_sorted_and_filtered(run: Run, searched: Path) -> None:
    def board(*arguments: str) -> list[dict[str, object]]:
        done = run("leaderboard", "--runs", str(searched / "runs"), "--format", "json", *arguments)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, object]] = json.loads(done.stdout)
        return found

    sizes = [int(str(row["params"])) for row in board("--sort", "params")]
    assert sizes == sorted(sizes) and len(sizes) == 5
    assert [int(str(row["params"])) for row in board("--sort", "-params")] == sorted(sizes, reverse=True)
    assert len(board("--where", f"params<={sizes[1]}")) == sum(size <= sizes[1] for size in sizes)
    assert {row["trial"] for row in board("--where", "origin=default")} == {0}
    assert board("--where", "filters/first=8", "--where", "filters/first=4") == []
    nothing = run("leaderboard", "--runs", str(searched / "runs"), "--where", "params<1")
    assert nothing.stdout == "digits_cnn: no trial matches.\n"
    rates = [row["trial"] for row in board("--sort", "learning_rate/rate")]
    assert sorted(map(int, map(str, rates))) == [0, 1, 2, 3, 4]
    front = board("--where", "pareto=*", "--sort", "macs")
    assert front and [row["score"] for row in front] == sorted(float(str(row["score"])) for row in front)
    for arguments, said in (
        (("--where", "parms<3"), "there is no column 'parms'. Did you mean 'params'?"),
        (("--where", "params"), "is not a condition; expected for example"),
        (("--where", "score>abc"), "'abc' is not a number, and > needs one."),
        (("--sort", "-skore"), "there is no column 'skore'. Did you mean 'score'?"),
    ):
        done = run("leaderboard", "--runs", str(searched / "runs"), *arguments)
        assert done.returncode == 2 and said in done.stderr


def test_the_quantile_is_students() -> None:
    for freedom in (*range(1, 31), 100, 999):
        assert score_interval.t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)
