"""A candidate that fails is a failed trial with its type and reason, and the search goes on."""

import json
from pathlib import Path

import optuna
import pytest

from cnnsearch.study import samplers
from tests.conftest import Run

TRAP = '''
"""Candidates that fail on purpose."""

import os

from cnnsearch import dimension


@dimension
def trap(hp, plan, *, kinds=("none", "nan", "invalid", "raise", "exit", "oom")):
    """How the candidate fails."""
    kind = hp.Choice("kind", kinds)
    if kind == "nan":
        return plan.configure("optimizer", learning_rate=1e30)
    if kind == "invalid":
        return plan.replace(optimizer=("NoSuchOptimizer", {}))
    if kind == "raise":
        raise RuntimeError("on purpose")
    if kind == "exit":
        os._exit(3)
    if kind == "oom":
        raise MemoryError("on purpose")
    return plan
'''
SPACE = """
dataset = "digits"
dimensions = [{ use = "conv_depth", max = 1 }, { use = "filters", first = [4] }, { use = "trap", kinds = ["none"] }]
[defaults]
epochs = 1
"""


FAILURES = {
    "nan": ("nan", "loss was"),
    "invalid": ("invalid", "NoSuchOptimizer"),
    "raise": ("plugin_error", "RuntimeError: on purpose"),
    "exit": ("killed", "exit code 3"),
    "oom": ("oom", "MemoryError"),
}


@pytest.mark.slow
def test_each_failure_has_its_kind_and_the_search_continues(run: Run, tmp_path: Path) -> None:
    (tmp_path / "trap.py").write_text(TRAP)
    (tmp_path / "space.toml").write_text(SPACE.replace('["none"]', json.dumps(["none", *FAILURES])))
    done = run(
        *("run", "--space", "space.toml", "--plugins", "trap.py", "--json", "--jobs", "1", "--trials", "50"),
        *("--sampler", "grid", "--set", "conv_depth.convs=1", "--set", "filters.growth=1.0"),
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and events[-1]["ended"] == "exhausted", done.stdout + done.stderr
    trials = {event["params"]["trap/kind"]: event for event in events[:-1]}
    assert trials.pop("none")["state"] == "complete"
    assert {kind: trial["failure"] for kind, trial in trials.items()} == {k: v[0] for k, v in FAILURES.items()}
    for kind, trial in trials.items():
        assert FAILURES[kind][1] in trial["reason"]
    states = {row["state"] for row in json.loads(run("leaderboard", "--format", "json").stdout)}
    assert states == {"complete", *(name for name, _ in FAILURES.values())}


def test_too_large_candidates_are_infeasible_and_not_counted(run: Run) -> None:
    done = run(
        *("run", "--space", "digits_cnn", "--trials", "3", "--epochs", "1", "--jobs", "1", "--json"),
        *("--max-params", "9000", "--set", "filters.first=[8,64]"),
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["state"] for event in events[:-1]].count("complete") + [
        event["state"] for event in events[:-1]
    ].count("pruned") == 3
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    refused = [row for row in rows if row["state"] == "too_large"]
    assert refused and all("the limit max_params is 9,000" in row["reason"] for row in refused)
    assert all(row["params"] <= 9000 for row in rows if row["state"] != "too_large")


def test_a_space_with_few_points_ends_when_it_is_exhausted(run: Run, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(SPACE.replace(', { use = "trap", kinds = ["none"] }', ""))
    done = run(
        *("run", "--space", "space.toml", "--trials", "50", "--jobs", "1", "--json"),
        *("--set", "conv_depth.convs=[1,2]", "--set", "filters.growth=[1.0]"),
    )
    end = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0 and end["ended"] == "exhausted", done.stdout + done.stderr
    rows = json.loads(run("leaderboard", "--format", "json").stdout)
    assert len(rows) == 2


def test_the_grid_sampler_tries_every_point_once(run: Run, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(SPACE.replace(', { use = "trap", kinds = ["none"] }', ""))
    command = ("run", "--space", "space.toml", "--trials", "50", "--sampler", "grid", "--jobs", "2", "--json")
    done = run(
        *command, "--set", "conv_depth.convs=[1,2]", "--set", "filters.first=[2,4]", "--set", "filters.growth=[1.0]"
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and events[-1]["ended"] == "exhausted", done.stdout + done.stderr
    points = {json.dumps(event["params"], sort_keys=True) for event in events[:-1]}
    assert len(points) == len(events) - 1 == 4


def test_a_grid_goes_on_if_a_trial_that_ran_at_its_end_shows_more_choices() -> None:
    study = optuna.create_study(sampler=samplers.sampler("grid", 0))
    first, second = study.ask(), study.ask()
    assert {each.suggest_categorical("x", [0, 1]) for each in (first, second)} == {0, 1}
    study.tell(first, 1.0)
    assert study.sampler.exhausted  # type: ignore[attr-defined]
    assert second.suggest_categorical("y", [0, 1]) in (0, 1)
    study.tell(second, 1.0)
    assert not study.sampler.exhausted  # type: ignore[attr-defined]
