"""An Optuna objective, which trains for itself and returns a number, runs as it is."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

import cnnsearch
from cnnsearch.core.errors import CnnsearchError, SpaceError, TrialFailure
from cnnsearch.spaces import objective as objectives
from cnnsearch.spaces import source_names
from cnnsearch.spaces.definition import NO_DATA, Space, Use
from cnnsearch.study import objectives as study_objectives
from tests.conftest import Run, working_in
from tests.own_trials import own_trial

OBJECTIVE = '''
import optuna

OFFSET = 20


def objective(trial):
    """A nested choice, reports, pruning and attributes; no Keras."""
    x = trial.suggest_float("x", -5, 5)
    kind = trial.suggest_categorical("kind", ["flat", "steep"])
    slope = trial.suggest_int("slope", 1, 3) if kind == "steep" else 1
    trial.set_user_attr("total", x + slope)
    # names that the search uses for itself
    trial.set_user_attr("origin", "mine")
    trial.set_user_attr("seed", [1, 2])
    for step in range(OFFSET):
        trial.report(slope * (x - 1) ** 2 + OFFSET - step, step)
        if trial.should_prune():
            raise optuna.TrialPruned(f"pruned at {step}")
    return slope * (x - 1) ** 2
'''


def test_an_objective_runs_from_the_command_line_and_resumes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(OBJECTIVE)
    line = ("run", "--space", "script.py:objective", "--jobs", "1", "--trials")
    first = run(*line, "4")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "objective: the best by value" in first.stdout and "default" not in first.stdout
    again = run(*line, "14", "--json")
    assert again.returncode == 0, again.stdout + again.stderr
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    scores = [row["score"] for row in rows if row["state"] == "complete"]
    assert len(rows) == 14 and scores == sorted(scores)
    pruned = [row for row in rows if row["state"] == "pruned"]
    assert pruned and all(row["epochs"] < 20 for row in pruned)
    optuna_study = cnnsearch.load("objective", runs=tmp_path / "runs").optuna
    assert optuna_study.direction.name == "MINIMIZE" and optuna_study.best_value == scores[0]
    assert optuna_study.best_trial.user_attrs["total"] == pytest.approx(
        optuna_study.best_params["x"] + optuna_study.best_params.get("slope", 1)
    )
    assert optuna_study.best_trial.user_attrs["objective:origin"] == "mine"
    assert optuna_study.best_trial.user_attrs["objective:seed"] == [1, 2] and "mine" not in {r["origin"] for r in rows}
    other = run(*line, "15", "--direction", "maximize")
    assert other.returncode == 2 and "started with direction" in other.stderr


def test_an_objective_is_known_without_running_its_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("raise SystemExit('run')\n\n\ndef objective(trial):\n    return 1.0\n")
    with_data = run("run", "--space", "bad.py:objective", "--dataset", "digits")
    assert with_data.returncode == 2 and "reads its own data. Leave out --dataset." in with_data.stderr
    for option in (("--set", "dataset.limit=100"), ("--image-size", "96")):
        refused = run("run", "--space", "bad.py:objective", *option)
        assert refused.returncode == 2 and "reads its own data" in refused.stderr, refused.stderr
    two = ("run", "--space", "bad.py:objective", "--direction", "maximize", "--direction", "minimize")
    for option, reason in (
        (("--pruner", "median"), "--pruner median does not work with several values: a pruner compares reports"),
        (("--sampler", "cmaes"), "--sampler cmaes works with only one objective"),
    ):
        refused = run(*two, *option)
        assert refused.returncode == 2 and reason in refused.stderr, refused.stderr
    model = run("run", "--space", "digits_cnn", "--direction", "maximize")
    assert model.returncode == 2 and "--direction is for Optuna objectives" in model.stderr


def test_a_result_near_the_time_limit_is_kept(run: Run, tmp_path: Path) -> None:
    """An objective that reports nothing is known to the search when it has ended."""
    slow = "import time\n\ndef objective(trial):\n    time.sleep(2)\n    return trial.suggest_float('x', 0, 1)\n"
    (tmp_path / "slow.py").write_text(slow)
    done = run("run", "--space", "slow.py:objective", "--jobs", "1", "--trials", "50", "--timeout", "20")
    assert done.returncode == 0, done.stdout + done.stderr
    states = [record.state for record in cnnsearch.load("objective", runs=tmp_path / "runs")._study().trials()]
    assert "complete" in states and "passed" not in states


SEVERAL = """
def objective(trial):
    x = trial.suggest_float("x", -2, 2)
    return -(x**2), abs(x - 1), 7 * trial.suggest_int("layers", 1, 2)
"""


def test_an_objective_of_several_values_has_a_pareto_front(run: Run, tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(SEVERAL)
    directions = ("--direction", "maximize", "--direction", "minimize", "--direction", "minimize")
    names = ("--metric", "near_0", "--metric", "seconds", "--metric", "params")
    line = ("run", "--space", "s.py:objective", "--jobs", "1", *directions, *names, "--trials")
    done = run(*line, "6")
    assert done.returncode == 0 and "objective: the best by near_0" in done.stdout, done.stdout + done.stderr
    again = run(*line, "8", "--json")
    values = [json.loads(row)["values"] for row in again.stdout.splitlines() if '"event": "trial"' in row]
    assert len(values) == 2 and all(set(each) == {"seconds", "params"} for each in values)
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    study = cnnsearch.load("objective", runs=tmp_path / "runs").optuna
    front = {trial.number for trial in study.best_trials}
    assert {row["trial"] for row in rows if row["pareto"]} == front and 0 < len(front)
    first = next(each for each in study.trials if each.number == rows[0]["trial"])
    # the leaderboard has columns called seconds and params; the latter has the same meaning
    assert first.values == [rows[0]["score"], rows[0]["value seconds"], rows[0]["params"]]
    assert [each.name for each in study.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    other = run("confirm", "objective")
    assert other.returncode == 2 and "has several values" in other.stderr


def test_the_values_of_a_search_have_names_and_directions() -> None:
    values = study_objectives.values
    own, model, plans = Space("own", dataset=Use(NO_DATA, {})), Space("model", model="a.py:build"), Space("plans")
    assert values((), (), own) == values((), (), model) == values((), (), plans) == (None, "", ())
    assert values(("val_loss",), ("maximize",), own) == ("val_loss", "maximize", ())
    assert values((), ("maximize", "minimize"), own) == ("value_0", "maximize", (("value_1", "minimize"),))
    assert values(("val_accuracy", "loss"), (), own) == ("val_accuracy", "maximize", (("loss", "minimize"),))
    assert values(("val_mine",), ("minimize",), model) == ("val_mine", "minimize", ())
    for names, directions, space, message in (
        (("a", "b"), ("maximize",), own, "The number of --metric is 2, and that of --direction 1"),
        (("a", "a"), (), own, "--metric a --metric a: each value of the objective needs a name of its own"),
        (("val_loss", "val_auc"), (), model, "only an Optuna objective returns several values"),
        ((), ("minimize",), model, "for a metric of your own model that --metric names"),
        (("val_accuracy",), ("minimize",), plans, "The direction of other metrics is known"),
    ):
        with pytest.raises(CnnsearchError, match=message):
            values(names, directions, space)
    with pytest.raises(CnnsearchError, match="direction and directions"):
        cnnsearch.optimize(lambda trial: 1.0, direction="maximize", directions=["maximize"])


def test_optimize_takes_a_function_with_what_it_uses(tmp_path: Path, store: str) -> None:
    import optuna

    weight = 3.0

    def measure(trial: Any) -> float | None:
        x = trial.suggest_float("x", -5, 5, step=0.5)
        if x > 3:
            raise optuna.TrialPruned
        if x < -3:
            return None
        return weight * x

    with working_in(tmp_path, MLFLOW_TRACKING_URI=store):
        places: dict[str, Any] = {"study": "sums", "jobs": 1, "quiet": True, "seed": 1, "runs": tmp_path / "runs"}
        found = cnnsearch.optimize(measure, n_trials=12, direction="maximize", **places)
        rows = found.leaderboard().to_dict("records")
    assert found.optuna.best_value == 3.0 * found.optuna.best_params["x"] <= 9
    # pruned before its first report: not counted; None: failed, as in Optuna
    reasons = {row["state"]: row["reason"] for row in rows}
    assert set(reasons) == {"complete", "plugin_error", "too_large"}
    assert "returned NoneType; expected a number" in reasons["plugin_error"]
    assert "before its first report" in reasons["too_large"]


def test_an_objective_gets_the_trial_of_optuna() -> None:
    def function(trial: Any) -> float:
        assert trial.suggest_loguniform("rate", 1e-4, 1e-1) == 0.01
        assert trial.suggest_discrete_uniform("drop", 0, 1, 0.25) == 0.5
        assert trial.suggest_uniform("free", 0, 1) == 0.3 and trial.suggest_int("size", 2, 64, log=True) == 8
        assert trial.params == {"rate": 0.01, "drop": 0.5, "free": 0.3, "size": 8}
        for step, value in ((0, 3.0), (1, 2.0), (1, 9.0), (2, 4.0)):
            trial.report(value, step)
        return 2.0

    trial, _ = own_trial(rate=0.01, drop=0.5, free=0.3, size=8)
    outcome = objectives.OptunaObjective(function).train(trial)
    # the second report of a step is ignored
    assert [each["value"] for each in trial.history] == [3.0, 2.0, 4.0]
    assert (outcome.score, outcome.best_epoch, outcome.pruned) == (2.0, 2, False)
    with pytest.raises(TrialFailure, match=r"returned 2 values; expected a number\. Say a direction for each"):
        objectives.OptunaObjective(lambda trial: (1.0, 2.0)).train(own_trial()[0])
    several = own_trial()[0]
    several.names = ("value", "size")
    assert objectives.OptunaObjective(lambda trial: (1, 2)).train(several).metrics == {"value": 1.0, "size": 2.0}
    for returns, message in (((1.0, float("nan")), "the size was nan"), (1.0, "returned float; expected 2 numbers")):
        with pytest.raises(TrialFailure, match=message):
            objectives.OptunaObjective(lambda trial, given=returns: given).train(several)
    with pytest.raises(NotImplementedError, match="not supported for multi-objective"):
        objectives.OptunaObjective(lambda trial: trial.report(1.0, 0)).train(several)
    with pytest.raises(TrialFailure, match="reported nan"):
        objectives.OptunaObjective(lambda trial: trial.report(float("nan"), 0)).train(own_trial()[0])


def test_which_functions_are_objectives(tmp_path: Path) -> None:
    text = """
def build(trial):
    return Model(trial.suggest_int("a", 1, 2))
def my_objective(trial):
    return 1.0
def reporting(trial):
    def inside():
        trial.report(1, 1)
    return inside() or 2
def other(hp):
    return hp.report
"""
    expected = {"build": False, "my_objective": True, "reporting": True, "other": False}
    source = ast.parse(text)
    functions: dict[str, Any] = {}
    exec(text, functions)
    for name, is_objective in expected.items():
        assert objectives.source_has_objective(source, name) == is_objective
        assert objectives.is_objective(functions[name]) == is_objective
    assert source_names.parsed(tmp_path / "none.py") is None
    (tmp_path / "broken.py").write_text("x = 1\ndef objective(trial):\n    return (\n")
    with pytest.raises(SpaceError, match=r"broken.py: line 3 is not valid Python: '\(' was never closed"):
        source_names.parsed(tmp_path / "broken.py")
