"""Pace: how long candidates take, which draws are passed over for it, and that a limited time is used up."""

import csv
import json
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from cnnsearch.core.messages import Decision
from cnnsearch.results import origin
from cnnsearch.results.export import exported_model
from cnnsearch.study import listing
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.trial import COUNTED, Trial
from cnnsearch.tuning import runtime_model
from cnnsearch.tuning.active_trial import ActiveTrial
from cnnsearch.tuning.runtime_model import (
    DRAWS,
    Budget,
    RuntimeModel,
    fit_runtime_model,
    over_cost_budget,
    remaining_seconds,
)
from cnnsearch.tuning.time_limit import TimeLimit
from tests.conftest import TINY, Run

BOARD = Path(__file__).parents[2] / "benchmarks" / "results" / "mnist_cnn_50" / "leaderboard.csv"
BEGUN: dict[str, Any] = {"space": None, "dataset": None, "name": "s", "epochs": 4, "metric": "m", "runs": Path()}


def timed(macs: int, epochs: int, seconds: float) -> Trial:
    return Trial(number=0, state="complete", macs=macs, epochs=epochs, seconds=seconds)


def test_there_is_no_model_without_a_measured_time() -> None:
    assert fit_runtime_model([]) is None
    assert fit_runtime_model([Trial(number=0), replace(timed(1, 1, 9.0), failure="nan"), timed(1, 0, 3.0)]) is None


def test_the_parts_of_the_runtime_are_recovered() -> None:
    true = RuntimeModel(2.0, 0.5, 3e-6)
    every = [
        timed(macs, epochs, true.seconds(macs, epochs)) for macs in range(0, 3_000_000, 10_000) for epochs in (1, 9)
    ]
    found = fit_runtime_model(every)
    assert found is not None and found == pytest.approx(true, rel=0.05)


@pytest.mark.parametrize("macs", [0, 1_000_000])
def test_one_trial_is_enough_for_a_model(macs: int) -> None:
    found = fit_runtime_model([timed(macs, 9, 20.0)])
    assert found is not None and found.seconds(macs, 9) == pytest.approx(20, rel=0.02)
    assert found.seconds(2 * macs, 9) >= found.seconds(macs, 9) and min(found) >= 0


def test_without_multiply_adds_each_epoch_takes_the_mean() -> None:
    found = fit_runtime_model([timed(0, 4, 9.0), timed(0, 4, 11.0)])
    assert found is not None and found.seconds(0, 4) == pytest.approx(10, rel=0.05) and found.rate == 0


def test_epochs_before_an_interruption_are_not_timed() -> None:
    cut = [replace(timed(0, 6, 10.0), resumed=2), timed(0, 4, 10.0)]
    assert fit_runtime_model(cut) == pytest.approx(fit_runtime_model([cut[1]] * 2))


def test_how_well_it_predicts_a_search_on_mnist() -> None:
    """49 trials of the README's search, each predicted from the others: the median error is 30%, by epochs alone 35%.

    Two workers shared two cores with a test suite, and seconds of equal plans differ by a third themselves.
    """
    with BOARD.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["macs"] and int(row["epochs"])]
    board = [timed(int(row["macs"]), int(row["epochs"]), float(row["seconds"])) for row in rows]

    def error(records: list[Trial]) -> float:
        others = [(record, fit_runtime_model(records[:i] + records[i + 1 :])) for i, record in enumerate(records)]
        return median(abs(p.seconds(r.macs, r.epochs) / r.seconds - 1) for r, p in others if p)

    assert len(board) == 49
    assert error(board) == pytest.approx(0.30, abs=0.01)
    assert error([replace(record, macs=0) for record in board]) == pytest.approx(0.35, abs=0.01)


def test_a_resumed_trial_keeps_its_own_speed() -> None:
    usual = RuntimeModel(1.0, 1.0, 0.0)
    assert remaining_seconds(Trial(number=0), usual, 9) == 10
    assert remaining_seconds(timed(0, 3, 8.0), usual, 9) == 2 * 7


def test_only_candidates_above_the_median_cost_are_skipped_and_fewer_later_on() -> None:
    drawn = [1, 10, 100, 1000]

    def passed(macs: int, cooled: float) -> int:
        return sum(over_cost_budget(Trial(number=number, macs=macs), drawn, cooled, seed=3) for number in range(1000))

    assert passed(55, 0) == passed(1000, 1) == passed(0, 0) == 0
    assert passed(110, 0) == pytest.approx(333, abs=60)
    assert passed(1000, 0) == pytest.approx(896, abs=40)
    assert passed(1000, 0.5) == pytest.approx(677, abs=60)
    assert not over_cost_budget(Trial(number=1, macs=1000), drawn[:1] * 2, 0, seed=3)


def budget(monkeypatch: pytest.MonkeyPatch, left: float, **options: Any) -> Budget:
    """One with so many seconds left and nothing else to it: a start of 1 s and epochs of 1 s a multiply-add."""
    made = Budget(SearchConfig.of(trials=10, **BEGUN, **options))
    monkeypatch.setattr(runtime_model, "fit_runtime_model", lambda known: RuntimeModel(1.0, 0.0, 1.0))
    made.note(time.monotonic() + left, [])
    return made


def test_late_candidates_are_skipped_until_none_can_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = Trial(number=0, macs=1), Trial(number=1, macs=50)
    made = budget(monkeypatch, left=30)
    for _ in range(DRAWS - 1):
        assert made.should_skip(large, 4, [small, large], begun=2) and not made.closed
    assert not made.should_skip(small, 4, [small, large], begun=2)
    for turn in range(DRAWS):
        assert made.should_skip(large, 4, [small, large], begun=2) and made.closed == (turn == DRAWS - 1)
    nothing = budget(monkeypatch, left=4)
    assert nothing.should_skip(small, 4, [small, large], begun=2) and nothing.closed


def test_a_grid_ends_with_the_first_candidate_that_is_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [Trial(number=number, macs=1 + 49 * (number == 2)) for number in range(3)]
    grid = budget(monkeypatch, left=30, sampler="grid", cost_aware=True)
    assert grid.should_skip(known[2], 4, known, begun=2) and grid.closed
    grid = budget(monkeypatch, left=1e6, sampler="grid", cost_aware=True)
    assert not any(grid.should_skip(replace(known[2], number=n), 4, known, begun=0) for n in range(50))


def test_skipped_candidates_are_not_counted(run: Run, tmp_path: Path) -> None:
    wide = ("--set", "dataset.limit=300", "--set", "filters.first=[4,64]", "--epochs", "1", "--seed", "1")
    line = ("run", "--space", "digits_cnn", "--trials", "5", "--jobs", "1", *wide, "--cost-aware")
    done = run(*line)
    assert done.returncode == 0, done.stdout + done.stderr
    opened = listing.load(None, tmp_path / "runs")
    records = opened.trials()
    assert sum(record.state in COUNTED for record in records) == 5
    passed = [record for record in records if record.state == "passed"]
    assert passed and not any(record.plan or record.history for record in passed)
    assert {opened.optuna.trials[record.number].state for record in passed} == {TrialState.FAIL}
    # by the seed and what was drawn before alone
    for record in records[1:]:
        drawn = [other.macs for other in records[: record.number + 1] if other.macs]
        begun = sum(other.state in COUNTED for other in records[: record.number])
        if record.state in ("passed", "complete", "pruned"):
            assert over_cost_budget(record, drawn, begun / 5, seed=1) == (record.state == "passed")
    board = json.loads(run("leaderboard", "--format", "json").stdout)
    assert not {record.number for record in passed} & {row["trial"] for row in board}


def unfinished(number: int, *scores: float) -> ActiveTrial:
    """A trial of a study of its own that has so many epochs with these scores, and can be paused."""
    history = [{"val_accuracy": score} for score in scores]
    trial = optuna.create_study().ask()
    return ActiveTrial(trial, Trial(number), "", 0.0, 0.0, history=history, resumable=True)


def test_at_the_time_limit_only_the_best_trial_ends() -> None:
    options: dict[str, Any] = {**BEGUN, "epochs": 3, "timeout": 60.0, "metric": "val_accuracy"}
    limit = TimeLimit(SearchConfig.of(trials=10, **options), maximize=True)
    best, other, last = unfinished(1, 0.5, 0.9), unfinished(2, 0.7), unfinished(3, 0.1, 0.2, 0.3)
    assert limit.decide(best, Decision.CONTINUE) is Decision.CONTINUE
    ended = [Trial(0, "complete", score=0.8), Trial(4, "pruned", score=0.95)]
    limit.reach([unfinished(5), other, best, last], ended)
    assert limit.best is best and limit.decide(best, Decision.CONTINUE) is Decision.STOP
    best.reported, best.history = 2, best.history[:1]
    assert limit.decide(best, Decision.CONTINUE) is Decision.CONTINUE, "its checkpoint was lost"
    assert limit.reason(best, 2) == "the time limit ended it after 2 of 3 epochs" and not limit.reason(other, 1)
    # a trial that has all its epochs ends as always, and so it is complete
    best.history = best.history * 3
    assert limit.decide(best, Decision.CONTINUE) is Decision.CONTINUE
    # the next run resumes what is paused
    assert limit.decide(other, Decision.CONTINUE) is Decision.PAUSE
    assert limit.decide(replace(other, resumable=False), Decision.CONTINUE) is Decision.CONTINUE
    assert limit.decide(last, Decision.CONTINUE) is Decision.CONTINUE
    assert not limit.is_over([other, best]) and limit.is_over([other])


def test_after_the_time_limit_the_best_trial_may_end_a_slow_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {**BEGUN, "epochs": 9, "timeout": 60.0, "metric": "val_accuracy"}
    now = time.monotonic()
    for epochs, resumed, later, over in (
        (5, 0, 10.5, True),
        (1, 0, 10.5, False),
        (1, 0, 30.5, True),
        (5, 4, 10.5, False),
    ):
        limit = TimeLimit(SearchConfig.of(trials=10, **options), maximize=True)
        best = replace(unfinished(1, *[0.5] * epochs), started=now - 20, last_message=now)
        best.record = replace(best.record, resumed=resumed)
        limit.reach([best], [])
        monkeypatch.setattr(time, "monotonic", lambda passed=later: now + passed)
        assert limit.is_over([best]) is over
        monkeypatch.undo()


def test_at_the_time_limit_no_trial_ends_that_is_worse_than_a_complete_one() -> None:
    options: dict[str, Any] = {**BEGUN, "epochs": 3, "timeout": 60.0, "metric": "val_loss"}
    limit = TimeLimit(SearchConfig.of(trials=10, **options), maximize=False)
    losses = unfinished(1)
    losses.history.append({"val_loss": 0.3})
    limit.reach([losses], [Trial(0, "complete", score=0.2)])
    assert limit.best is None and limit.is_over([losses])
    assert limit.decide(losses, Decision.CONTINUE) is Decision.PAUSE


@pytest.mark.slow
def test_at_the_time_limit_the_trial_with_the_best_epoch_ends_with_its_model(run: Run, tmp_path: Path) -> None:
    line = ("run", "--space", "digits_cnn", "--trials", "500", "--jobs", "1", "--epochs", "400")
    done = run(*line, "--timeout", "40", "--confirm", "0", "--scheduler", "topk")
    assert done.returncode == 0 and "The time limit is reached" in done.stdout, done.stdout + done.stderr
    records = listing.load(None, tmp_path / "runs").trials()
    best = max((epoch["val_accuracy"] for record in records for epoch in record.history), default=0)
    complete = [record for record in records if record.state == "complete"]
    assert max(record.score or 0 for record in complete) == pytest.approx(best)
    assert any("the time limit ended it after" in record.reason for record in complete)
    assert run("export", "--best").returncode == 0


WAITS = '''
from cnnsearch import Decision, TrialScheduler, scheduler


@scheduler
class Waits(TrialScheduler):
    """Pauses a trial for good as soon as an epoch is worse than an earlier one."""

    def on_trial_result(self, trial):
        values = [epoch[self.context.metric] for epoch in trial.curve]
        return Decision.PAUSE if values[-1] < max(values) else Decision.CONTINUE

    def choose_trial_to_resume(self, running, more_to_come, in_time):
        return None
'''


def test_a_paused_trial_that_ends_at_the_time_limit_has_the_weights_of_its_best_epoch(run: Run, tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    line = ("run", "--space", "digits_cnn", "--plugins", "waits.py", "--scheduler", "Waits", "--epochs", "400")
    done = run(*line, "--trials", "500", "--jobs", "1", "--timeout", "20", "--confirm", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    study = listing.load(None, tmp_path / "runs")
    (best,) = [record for record in study.trials() if record.state == "complete"]
    assert "the time limit ended it" in best.reason and best.best_epoch < best.epochs and best.score is not None
    known = origin.origin_of(study, best, ())
    answers = exported_model.trained_model(known)(known.parts.x_val.astype("float32"))
    accuracy = float((answers.numpy().argmax(1) == known.parts.y_val).mean())
    assert accuracy == pytest.approx(best.score, abs=0.002)


@pytest.mark.slow
def test_a_limited_time_ends_with_the_last_trial_that_could_end(run: Run, tmp_path: Path) -> None:
    """With predictions as they are, one trial a worker may still be cut."""
    line = ("run", "--space", "digits_cnn", "--trials", "500", "--jobs", "1", "--pruner", "none", *TINY)
    done = run(*line, "--timeout", "30")
    assert done.returncode == 0 and "The time limit is reached" in done.stdout, done.stdout + done.stderr
    opened = listing.load(None, tmp_path / "runs")
    states = [record.state for record in opened.trials()]
    assert states.count("interrupted") <= 1 and states.count("passed") <= DRAWS
    assert not [t for t in opened.optuna.trials if not t.state.is_finished() and t.state != TrialState.WAITING]
