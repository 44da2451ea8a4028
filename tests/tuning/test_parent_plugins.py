"""Schedulers, callbacks, samplers, pruners and launchers of others: found by name, and their failures named."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from cnnsearch import Decision, TrialScheduler, TunerCallback
from cnnsearch.core.errors import CnnsearchError, PluginError
from cnnsearch.spaces import parent_plugins, plugins
from cnnsearch.study import samplers
from cnnsearch.study.study import Study
from cnnsearch.testing import LauncherSuite, callbacks, check_contracts, schedulers
from cnnsearch.tuning.callbacks.base import Callbacks
from cnnsearch.tuning.launchers.local import LocalLauncher
from cnnsearch.tuning.schedulers.rung_scheduler import RungScheduler
from cnnsearch.tuning.trial_source import End, EndReason
from tests.conftest import TINY, Run

MINE = '''
import optuna
from cnnsearch import TunerCallback, callback, launcher, pruner, sampler
from cnnsearch.tuning.launchers.local import LocalLauncher


@callback
class Fails(TunerCallback):
    """Fails after the first epoch."""

    def on_epoch_end(self, trial, epoch, metrics):
        raise ValueError("the disk of my own\\nis full")


@launcher
def noted(config, jobs):
    """Processes of this machine; the number of workers is written to a file."""
    (config.study.runs / "workers.txt").write_text(str(jobs))
    return LocalLauncher(config, jobs)


@sampler
def always_the_same(seed):
    """Draw from one seed."""
    return optuna.samplers.RandomSampler(seed=1)


@pruner
def broken(epochs):
    """Fail."""
    raise RuntimeError("no rule")
'''


class TestLocalLauncher(LauncherSuite):
    launcher = LocalLauncher


@pytest.fixture
def known(tmp_path: Path) -> plugins.Catalog:
    (tmp_path / "mine.py").write_text(MINE)
    return plugins.load([tmp_path / "mine.py"])


def test_a_callback_that_fails_ends_the_search_in_order(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    line = ("run", "--space", "digits_cnn", "--plugins", "mine.py", "--trials", "2", *TINY)
    done = run(*line, "--callback", "Fails", "--sampler", "always_the_same", "--launcher", "noted")
    assert done.returncode == 2
    assert (tmp_path / "runs" / "workers.txt").read_text() == "1"
    assert done.stderr.splitlines()[-1] == (
        "Error: The callback Fails failed in on_epoch_end: ValueError: the disk of my own\\nis full"
    )
    study = optuna.load_study(study_name="digits_cnn", storage=f"sqlite:///{tmp_path / 'runs' / 'cnnsearch.db'}")
    waiting = study.get_trials(states=[optuna.trial.TrialState.WAITING])
    assert len(waiting) == 1, "the trial in training is requeued"


def test_samplers_and_pruners_are_found_by_name(known: plugins.Catalog) -> None:
    assert samplers.sampler("always_the_same", 5, known)._label == "sampler 'always_the_same'"
    study = optuna.create_study(sampler=samplers.sampler("always_the_same", 5, known))
    expected = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    assert study.ask().suggest_float("x", 0, 1) == expected.ask().suggest_float("x", 0, 1)
    with pytest.raises(PluginError, match="The pruner 'broken' failed when it was made: RuntimeError: no rule"):
        samplers.pruner("broken", 9, known)


def test_a_wrong_name_lists_the_right_ones(known: plugins.Catalog) -> None:
    with pytest.raises(CnnsearchError, match=r"--sampler always: .* Expected one of: tpe, always_the_same\."):
        parent_plugins.check_name("sampler", "always", ["tpe"], known)


def test_every_callback_ends_before_a_failure_is_raised() -> None:
    ended = []

    class Good(TunerCallback):
        def on_study_end(self, study: Study, end: End) -> None:
            ended.append(end.reason)

    class Bad(TunerCallback):
        def on_study_end(self, study: Study, end: End) -> None:
            raise OSError("gone")

    every = Callbacks([Bad(), Good()])
    with pytest.raises(PluginError, match="The callback Bad failed in on_study_end: OSError: gone"):
        every.on_study_end(Study(optuna.create_study()), End(EndReason.COMPLETE))
    assert ended == [EndReason.COMPLETE]


class NeverResumes(TrialScheduler):
    """Pauses every trial for good."""

    def on_trial_result(self, trial: Any) -> Decision:
        return Decision.PAUSE

    def choose_trial_to_resume(self, running: Any, more_to_come: bool, in_time: Any) -> None:
        return None


class NoDecision(TrialScheduler):
    """Returns a word."""

    def on_trial_result(self, trial: Any) -> Any:
        return "continue"


@pytest.mark.parametrize(
    ("scheduler", "broken"),
    [
        (TrialScheduler, ""),
        (RungScheduler, ""),
        (NeverResumes, "of 9 trials with 9 epochs none got more than 1"),
        (NoDecision, "on_trial_result returned 'continue'"),
    ],
)
def test_the_contracts_of_a_scheduler_find_what_is_wrong(scheduler: Any, broken: str) -> None:
    scheduler.__name__ = "halving" if scheduler is RungScheduler else scheduler.__name__
    results = list(check_contracts(schedulers.Scheduler(scheduler, {})))
    wrong = [result.why for result in results if result.mark != "ok"]
    assert (broken in wrong[0]) if broken else not wrong, wrong


def test_the_contracts_of_a_callback_find_what_is_wrong(known: plugins.Catalog) -> None:
    function = known.get("callback", "Fails").function
    assert function is not None
    results = list(check_contracts(callbacks.Callback(function, {})))
    assert [result.mark for result in results] == ["ok", "ok", "!!"]
    assert "it raises ValueError: the disk of my own" in results[-1].why
