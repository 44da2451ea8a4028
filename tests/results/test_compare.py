"""Effects of hyperparameters: intervals on simulated studies with known effects, and trained controlled trials."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from scipy.stats import ttest_rel

from cnnsearch.results.comparison import controlled_trials, effects, evidence, levels
from cnnsearch.results.comparison.evidence import MATCHED, MODELLED, Case, Evidence
from cnnsearch.results.comparison.points import Points
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.study import listing
from cnnsearch.study.trial import CONTROLLED_ORIGIN, Trial
from tests.conftest import TINY, Run, invoke

# -- simulated studies -----------------------------------------------------------------------------

SPACE = {
    **{f"two/{n}": Distribution("choice", "a", ("a", "b")) for n in range(4)},
    **{f"three/{n}": Distribution("choice", "a", ("a", "b", "c")) for n in range(3)},
    **{f"number/{n}": Distribution("float", 0.0, low=0.0, high=1.0) for n in range(3)},
    "rate/log": Distribution("float", 1e-4, low=1e-4, high=1e-2, log=True),
}
EFFECTS = {"a": 0.0, "b": 0.5, "c": -0.3}
DEFAULT = {name: distribution.default for name, distribution in SPACE.items()}


def effect(name: str, value: Any, strength: float) -> float:
    """The true effect of a value: strong for a few names, 0 for the others."""
    if name not in ("two/0", "three/0", "number/0"):
        return 0.0
    return strength * (EFFECTS[value] if isinstance(value, str) else value - 0.5)


def drawn(name: str, generator: np.random.Generator, good: list[Case]) -> Any:
    distribution = SPACE[name]
    if good and generator.random() < 0.6:
        return good[generator.integers(len(good))].values[name]
    if distribution.kind == "choice":
        return str(generator.choice(distribution.choices))
    return levels.value_at(distribution, generator.random())


def simulated(seed: int, trials: int, strength: float, adaptive: bool = False, collapsing: float = 0.0) -> Evidence:
    """A study of known effects under noise of 1; an adaptive sampler takes values from the best quarter so far."""
    generator = np.random.default_rng(seed)
    cases: list[Case] = []
    for number in range(trials):
        best = sorted(cases, key=lambda case: -case.score)[: len(cases) // 4] if adaptive and number > 10 else []
        values = {name: drawn(name, generator, best) for name in SPACE}
        score = sum(effect(name, value, strength) for name, value in values.items()) + generator.normal()
        cases.append(Case(number, score - 100 * (generator.random() < collapsing), values))
    far = evidence.outliers(cases, True)
    return Evidence(tuple(case for case in cases if case not in far), SPACE, DEFAULT, far)


def truth(name: str, value: str, against: str, strength: float) -> float:
    if SPACE[name].kind == "choice":
        return effect(name, value, strength) - effect(name, against, strength)
    # the middles of the two halves are half the range apart
    half = 0.5 if value.startswith("above") else -0.5
    return half * (effect(name, 1.0, strength) - effect(name, 0.0, strength))


@pytest.mark.parametrize(
    ("trials", "strength", "adaptive", "collapsing"),
    [(20, 3.0, False, 0.0), (40, 3.0, False, 0.0), (40, 0.0, True, 0.0), (40, 3.0, True, 0.0), (40, 3.0, True, 0.1)],
)
def test_about_95_percent_of_the_models_intervals_contain_the_true_difference(
    trials: int, strength: float, adaptive: bool, collapsing: float
) -> None:
    held = []
    for seed in range(40):
        for found in evidence.comparisons(simulated(seed, trials, strength, adaptive, collapsing), list(SPACE)):
            assert found.how == MODELLED and found.effect.ci_half_width is not None
            true = truth(found.name, found.value, found.against, strength)
            held.append(abs(found.effect.difference - true) <= found.effect.ci_half_width)
    assert len(held) > 400
    assert 0.92 < np.mean(held) < 0.985


def test_strong_effects_come_first_and_are_clear() -> None:
    first, second, *_ = evidence.comparisons(simulated(3, 60, 8.0), list(SPACE))
    assert {first.name, second.name} <= {"two/0", "three/0", "number/0"}
    assert first.effect.excludes_zero and second.effect.excludes_zero


@pytest.mark.parametrize("columns", [3, 80])
def test_the_model_gives_what_generalized_least_squares_gives(columns: int) -> None:
    """Whether there are more trials than columns or fewer: a matrix of all trials would give the same."""
    generator = np.random.default_rng(columns)
    fixed = generator.integers(0, 2, (50, 1)).astype(float)
    random = generator.normal(size=(50, columns))
    y = fixed[:, 0] + random @ generator.normal(size=columns) + generator.normal(size=50)
    random -= random.mean(axis=0)
    x = np.column_stack([fixed, np.ones(50)])

    def solved(ratio: float) -> tuple[float, float]:
        """The restricted likelihood and the coefficient for one ratio of variances."""
        covariance = np.eye(50) + ratio * random @ random.T
        weights = np.linalg.inv(covariance)
        beta = np.linalg.solve(x.T @ weights @ x, x.T @ weights @ y)
        residual = (y - x @ beta) @ weights @ (y - x @ beta)
        likelihood = -48 * np.log(residual) - np.linalg.slogdet(covariance)[1] - np.linalg.slogdet(x.T @ weights @ x)[1]
        return float(likelihood), float(beta[0])

    (found,) = effects.mixed_model(y, fixed, random)
    assert found.difference == pytest.approx(max(map(solved, effects.VARIANCE_RATIOS))[1])


def test_pairs_that_share_a_trial_make_one_difference() -> None:
    on = {"drop": "on", "rate": 0.2, "size": 3}
    cases = [
        Case(0, 0.50, {"drop": "off", "size": 3}),
        # both hang on the same other trial: what only they chose hangs on `drop`
        Case(1, 0.60, on),
        Case(2, 0.70, {**on, "rate": 0.4}),
        Case(3, 0.10, {"drop": "off", "size": 5}),
        Case(4, 0.15, {**on, "size": 5}),
        Case(5, 0.99, {**on, "size": 7}),
    ]
    ones, others = [c for c in cases if "rate" in c.values], [c for c in cases if "rate" not in c.values]
    assert sorted(evidence.matched_differences("drop", ones, others)) == pytest.approx([0.05, 0.15])


def test_enough_matched_pairs_are_preferred_to_the_model() -> None:
    space = {
        "drop": Distribution("choice", "off", ("off", "on")),
        "size": Distribution("int", 0, low=0, high=9, step=1),
    }
    cases = tuple(
        Case(2 * size + (drop == "on"), size + (drop == "on") * (1 + size / 10), {"drop": drop, "size": size})
        for size in range(5)
        for drop in ("off", "on")
    )
    (found,) = evidence.comparisons(Evidence(cases, space, {"drop": "off"}), ["drop"])
    assert found[:3] == ("drop", "on", "off") and found.how == MATCHED and found.effect.n == 5
    assert found.effect.difference == pytest.approx(1.2)


def test_the_interval_of_pairs_is_students() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=7), generator.normal(size=7)
    expected = ttest_rel(one, other).confidence_interval(0.95)
    found = effects.mean_difference(list(one - other))
    assert found.ci_half_width is not None
    assert (found.difference - found.ci_half_width, found.difference + found.ci_half_width) == pytest.approx(
        tuple(expected)
    )
    assert effects.mean_difference([1.0]).ci_half_width is None and not effects.mean_difference([1.0]).excludes_zero


def test_base_trials_of_each_level_in_turn_cancel_the_bias_of_their_choice() -> None:
    """No hyperparameter has an effect here; each base is among the best of 40 by chance alone."""
    held: dict[str, list[bool]] = {"the best": [], "in turn": []}
    for seed in range(400):
        generator = np.random.default_rng(seed)
        bases = [Trial(number, score=generator.normal()) for number in range(40)]
        # most trials have `a`, as after a sampler that prefers it
        own = {base.number: "a" if generator.random() < 0.8 else "b" for base in bases}
        bases.sort(key=lambda base: -(base.score or 0))
        for how, order in (("the best", bases), ("in turn", list(controlled_trials.alternate_levels(bases, own)))):
            signs = [1 if own[base.number] == "a" else -1 for base in order[:6]]
            scores = [base.score or 0 for base in order[:6]]
            found = effects.mean_difference(
                [s * (score - generator.normal()) for s, score in zip(signs, scores, strict=True)]
            )
            held[how].append(not found.excludes_zero)
    assert np.mean(held["the best"]) < 0.9
    assert np.mean(held["in turn"]) > 0.93


# -- values and points -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "labels", "values"),
    [
        (Distribution("choice", "x", ("x", "y", "z")), ["x", "y", "z"], ["x", "y", "z"]),
        (Distribution("int", 1, low=1, high=3, step=1), ["1", "2", "3"], [1, 2, 3]),
        (Distribution("int", 1, low=1, high=8, step=1), ["up to 4", "above 4"], [3, 6]),
        (Distribution("float", 0, low=0, high=0.5, step=0.125), ["up to 0.25", "above 0.25"], [0.125, 0.375]),
        (
            Distribution("float", 1e-4, low=1e-4, high=1e-2, log=True),
            ["up to 0.001", "above 0.001"],
            [3.16e-4, 3.16e-3],
        ),
    ],
)
def test_levels_are_values_or_halves(distribution: Distribution, labels: list[str], values: list[Any]) -> None:
    known = levels.levels(distribution)
    assert [level.label for level in known.levels] == labels
    for level, value in zip(known.levels, values, strict=True):
        assert level.value == pytest.approx(value, rel=1e-2) if isinstance(value, float) else level.value == value
        assert known.label_of(level.value) == level.label and distribution.contains(level.value)


def test_a_value_that_optuna_drew_is_one_of_the_levels() -> None:
    known = levels.levels(Distribution("float", 0.2, low=0.2, high=0.4, step=0.1))
    assert [level.label for level in known.levels] == ["0.2", "0.3", "0.4"]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = {study.ask().suggest_float("x", 0.2, 0.4, step=0.1) for _ in range(20)}
    assert {known.label_of(value) for value in drawn} == {"0.2", "0.3", "0.4"}
    assert {level.value for level in known.levels} == drawn


def test_dropout_of_rate_0_is_none_and_a_controlled_trial_with_dropout_has_some(searched: Path) -> None:
    study = listing.load(None, searched / "runs")
    points = Points(study, ())
    first = study.trials()[0]
    assert first.params["norm_dropout/drop"] == "block" and first.params["norm_dropout/rate"] == 0.0
    simplest = points.simplest(first)
    assert simplest["norm_dropout/drop"] == "none" and "norm_dropout/rate" not in simplest
    changed = points.changed(simplest, "norm_dropout/drop", "block")
    assert changed is not None and changed.key != first.key
    assert changed.values["norm_dropout/rate"] == pytest.approx(0.2)
    same = {name: value for name, value in changed.values.items() if not name.startswith("norm_dropout/")}
    assert same == {name: value for name, value in simplest.items() if not name.startswith("norm_dropout/")}
    assert points.changed(first.params, "norm_dropout/drop", "none") is None


def test_controlled_trials_differ_in_one_hyperparameter_and_no_trial_is_in_two_groups(searched: Path) -> None:
    study = listing.load(None, searched / "runs")
    points = Points(study, ())
    known = evidence.evidence(study, points)
    found = controlled_trials.controlled_groups(study, points, known, "norm_dropout/norm", 5)
    assert found and sum(len(group.identities) for group in found) == len(set().union(*(g.identities for g in found)))
    for group in found:
        assert {group.base_level, *group.members, *group.missing} == {"after_conv", "none", "after_act"}
        for label, (origin, values) in group.missing.items():
            assert origin == f"twin of {group.base.number}: norm_dropout/norm={label}"
            point = points.simplest(group.base)
            assert {name for name in point if point[name] != values[name]} == {"norm_dropout/norm"}
    # the reference value is trained first
    wanted = controlled_trials.points_to_train(found, "none")
    ends = [origin.rpartition("=")[2] == "none" for origin in wanted]
    assert ends == sorted(ends, reverse=True)
    assert {seed for _, seed in wanted.values()} <= {record.seed for record in study.trials()}


# -- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Too few trials to compare hyperparameters: study 'digits_cnn' has"),
        (("--by", "norm_dropuot"), "Did you mean 'norm_dropout'?"),
        (("--controlled",), "--controlled needs one hyperparameter. Name it with --by"),
        (("--by", "head", "--controlled", "--timeout", "soon"), "'soon' is not a duration"),
        (("nothing",), "There is no study 'nothing'."),
    ],
)
def test_impossible_comparisons_are_refused_in_one_line(searched: Path, arguments: tuple[str, ...], said: str) -> None:
    done = invoke(searched, "compare", *arguments)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


COMPARE = ("compare", "--by", "norm_dropout/drop", "--controlled", "--pairs", "2", "--jobs", "1")


def test_controlled_trials_are_trained_once_with_all_epochs_and_the_seeds_of_their_base_trials(
    run: Run, tmp_path: Path, store: str
) -> None:
    drop = ("--set", 'norm_dropout.drop=["block","none"]')
    assert run("run", "--space", "digits_cnn", "--trials", "3", "--jobs", "1", *TINY, *drop).returncode == 0
    done = run(*COMPARE, "--format", "json")
    assert done.returncode == 0 and "2 controlled trials are missing for norm_dropout/drop" in done.stderr, done.stderr
    (row,) = json.loads(done.stdout)
    study = listing.load(None, tmp_path / "runs")
    records = {record.number: record for record in study.trials()}
    controlled = [record for record in records.values() if record.origin.startswith(CONTROLLED_ORIGIN)]
    assert len(controlled) == 2 and all(record.state == "complete" and record.epochs == 2 for record in controlled)
    bases = [records[int(record.origin.removeprefix(CONTROLLED_ORIGIN).partition(":")[0])] for record in controlled]
    assert [record.seed for record in controlled] == [base.seed for base in bases]
    points = Points(study, ())
    differences = []
    for one, base in zip(controlled, bases, strict=True):
        sides = {points.simplest(record)["norm_dropout/drop"]: record.score or 0 for record in (one, base)}
        differences.append(sides["block"] - sides["none"])
        changed = {name for name in one.params if one.params[name] != base.params.get(name, one.params[name])}
        assert changed <= {"norm_dropout/drop", "norm_dropout/rate"}
    assert (row["value"], row["against"], row["n"], row["how"]) == ("block", "none", 2, "controlled pairs")
    assert row["difference"] == pytest.approx(np.mean(differences))
    assert row["low"] <= row["difference"] <= row["high"]
    parent = study.fact("mlflow")["run_id"]
    client = MlflowClient(store)
    children = client.search_runs(
        [client.get_run(parent).info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'"
    )
    assert {record.origin for record in controlled} <= {child.data.tags["cnnsearch.origin"] for child in children}
    # the same command has nothing to train, and the command that made the study is still the one on record
    again = run(*COMPARE, "--format", "csv")
    assert [float(r["difference"]) for r in csv.DictReader(io.StringIO(again.stdout))] == [row["difference"]]
    reopened = listing.load(None, tmp_path / "runs")
    assert len(reopened.trials()) == len(records) and "run --space" in reopened.info["command"]


@pytest.mark.slow
def test_an_interrupted_comparison_resumes_with_the_missing_trials(run: Run, tmp_path: Path, store: str) -> None:
    small = (
        "--set",
        "dataset.limit=300",
        "--set",
        "filters.first=[8,4]",
        "--set",
        'norm_dropout.drop=["block","none"]',
    )
    assert run("run", "--space", "digits_cnn", "--trials", "1", "--jobs", "1", "--epochs", "25", *small).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnsearch", *COMPARE],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_TRACKING_URI": store},
        stdout=-1,
        stderr=-1,
        text=True,
    )
    _wait_for(lambda: _epochs_of_controlled_trials(tmp_path) >= 2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "every controlled trial that ended is kept" in said
    done = run(*COMPARE, "--format", "md")
    assert done.returncode == 0, done.stderr
    assert "| norm_dropout/drop | block | none |" in done.stdout and "| 1 | controlled pairs | unclear |" in done.stdout
    controlled = [r for r in listing.load(None, tmp_path / "runs").trials() if r.origin.startswith(CONTROLLED_ORIGIN)]
    assert [record.state for record in controlled] == ["interrupted", "complete"]
    assert controlled[0].seed == controlled[1].seed and controlled[1].epochs == 25 and controlled[1].resumed > 0


def _wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _epochs_of_controlled_trials(folder: Path) -> int:
    trials = listing.load(None, folder / "runs").optuna.trials
    return max(
        (
            len(trial.intermediate_values)
            for trial in trials
            if trial.user_attrs.get("origin", "").startswith(CONTROLLED_ORIGIN)
        ),
        default=0,
    )
