"""What other studies teach comes first, weighs the sampler's draws, fades, and is marked."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces.prior import ORIGIN, Prior, PriorPoint
from cnnsearch.spaces.space import Space, Use
from cnnsearch.study import listing, prior, samplers, trial_queue
from cnnsearch.study.config import StudyConfig, TunerConfig
from cnnsearch.study.prior_weights import FADE, PriorWeights
from cnnsearch.study.study import Study
from tests.conftest import invoke

MODEL = f"{Path(__file__).parents[2] / 'benchmarks' / 'trivial.py'}:Trivial"
WEIGHTS = {"kind": (("b", 1.0),), "rate": ((0.01, 1.0),), "unknown": ((3, 1.0),)}


def drawn(name: str, weights: Any, trials: int = 30, seed: int = 1) -> list[tuple[Any, ...]]:
    """What a sampler draws; each value of `kind` scores the same."""
    study, found = optuna.create_study(sampler=samplers.sampler(name, seed, weights=weights)), []
    for _ in range(trials):
        trial = study.ask()
        rate, kind = trial.suggest_float("rate", 1e-4, 1, log=True), trial.suggest_categorical("kind", ["a", "b", "c"])
        width = trial.suggest_int("width", 8, 64, step=8) if kind == "a" else 0
        found.append((rate, kind, width))
        study.tell(trial, 1.0)
    return found


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_a_seed_fixes_the_points_and_no_weights_change_none(name: str) -> None:
    assert drawn(name, {}) == drawn(name, None)
    assert drawn(name, WEIGHTS) == drawn(name, WEIGHTS) != drawn(name, None)
    # a weight of a hyperparameter that the space lacks changes nothing
    assert drawn(name, {"unknown": ((3, 1.0),)}, 5) == drawn(name, None, 5)


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_first_draws_are_biased(name: str) -> None:
    first = [draw for seed in range(30) for draw in drawn(name, WEIGHTS, 3, seed)]
    kinds = Counter(kind for _, kind, _ in first)
    assert kinds["b"] > 60 and kinds["a"] + kinds["c"] > 3
    assert sum(0.001 < rate < 0.1 for rate, _, _ in first) > 60


def test_the_weights_fade_as_trials_come_in() -> None:
    weights, study = PriorWeights(WEIGHTS), optuna.create_study()
    powers = []
    for _ in range(50):
        powers.append(weights.power(study))
        study.tell(study.ask(), 1.0)
    assert powers[:6] == [1.0] * 6 and powers[-1] == FADE / 49
    assert powers == sorted(powers, reverse=True)


def test_points_come_after_the_default_in_their_order_and_none_twice() -> None:
    study = Study(optuna.create_study())
    study.remember(default={"a": 1, "b": 1})
    trial_queue.enqueue_default(study, study.info["default"])
    asked = Prior(tuple(PriorPoint(name, {"a": 1}) for name in ("one", "one", "two", "two", "two")))
    nearest: list[dict[str, Any]] = [{"a": 3, "b": 1}, {"a": 1, "b": 1}, {}, {"a": 3, "b": 1}, {"a": 2, "b": 2}]
    line = trial_queue.enqueue_prior(study, TunerConfig(5, prior=asked), nearest)
    assert line == "Prior: points that were good in other studies come first (1 of one, 1 of two)."
    queued = [study.optuna.ask() for _ in range(3)]
    assert [trial.user_attrs["origin"] for trial in queued] == ["default", "prior one", "prior two"]
    assert [trial.suggest_int("a", 1, 5) for trial in queued] == [1, 3, 2]
    assert trial_queue.has_prior(study)
    other = TunerConfig(5, prior=Prior((*asked.points, PriorPoint("three", {"a": 5}))))
    assert trial_queue.left_out_prior(study, TunerConfig(5, prior=asked)) == ""
    assert trial_queue.left_out_prior(study, other).endswith("and gets none of three.")


FUNCTION = """
def objective(trial):
    kind, share = trial.suggest_categorical("kind", KINDS), trial.suggest_float("share", 0.0, HIGH)
    return share + (kind == "b")
"""


def test_a_function_gets_the_points_once_as_its_ranges_are_now(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    line = ("run", "--space", f"{file}:objective", "--sampler", "random", "--direction", "maximize", "--quiet")
    file.write_text(FUNCTION.replace("KINDS", '["a", "b"]').replace("HIGH", "1.0"))
    assert invoke(tmp_path, *line, "--study", "first", "--trials", "12").returncode == 0
    file.write_text(FUNCTION.replace("KINDS", '["a", "c"]').replace("HIGH", "0.2"))
    done = invoke(tmp_path, *line, "--study", "second", "--trials", "10", "--prior", "first", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    trials = listing.load("second", tmp_path / "runs").trials()
    taught = [trial for trial in trials if trial.origin == f"{ORIGIN}first"]
    assert len(taught) == prior.OF_STUDY, "two workers were ready before the first one had answered"
    shares = {trial.params["share"] for trial in listing.load("first", tmp_path / "runs").trials()}
    assert {trial.params["share"] for trial in taught} <= {0.2, *shares}
    assert all(0 <= trial.params["share"] <= 0.2 and trial.params["kind"] in "ac" for trial in trials)
    assert sum(trial.params["share"] == 0.2 for trial in taught) >= 3, "the nearest value"


def test_a_search_learns_from_a_study_and_marks_what_it_took(tmp_path: Path) -> None:
    one = ("run", "--space", MODEL, "--dataset", "digits", "--epochs", "2", "--scheduler", "none", "--quiet")
    assert invoke(tmp_path, *one, "--study", "first", "--trials", "6").returncode == 0
    assert invoke(tmp_path, *one, "--study", "second", "--trials", "5", "--prior", "first").returncode == 0
    first, second = (listing.load(name, tmp_path / "runs") for name in ("first", "second"))
    taught = prior.of_study(first, 3).points
    assert taught[0].values == max(first.trials(), key=lambda trial: trial.score or 0).params
    trials = second.trials()
    assert trials[0].origin == "default" and {trial.origin for trial in trials[1:]} == {"prior first"}
    assert [each.params for each in trials[1:3]] == [each.values for each in taught if each.values != trials[0].params][
        :2
    ]
    board = list(csv.DictReader((tmp_path / "runs" / "second" / "leaderboard.csv").read_text("utf-8").splitlines()))
    assert sum(row["origin"] == f"{ORIGIN}first" for row in board) == 4
    # both studies have ended and searched the same model, one of them is the study itself
    config = StudyConfig(Space.from_dict(second.info["space"]), Use("digits", {}), "second", 2, "", tmp_path / "runs")
    assert prior.found("auto", config).sources == ["first"]
    assert prior.found("none", config) == Prior()
    for asked, expected in (("frist", "Did you mean 'first'"), ("second", "cannot be its own prior")):
        with pytest.raises(CnnsearchError, match=expected):
            prior.found(asked, config)
    broken = tmp_path / "mine.json"
    broken.write_text(json.dumps({"points": 3}))
    done = invoke(tmp_path, *one, "--study", "third", "--prior", str(broken))
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith(f"Error: {broken} is no prior: ")
