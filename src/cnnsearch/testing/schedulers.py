"""The contracts of a scheduler: it gets through a simulated search of trials with known learning curves."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

from cnnsearch.core.messages import Decision
from cnnsearch.testing.contracts import Contract, Subject, contract, has_a_summary
from cnnsearch.tuning.schedulers.base import SchedulerContext, TrialScheduler

TRIALS, EPOCHS, WORKERS = 9, 9, 2
METRIC = "val_accuracy"

CONTRACTS = [Contract("has_a_summary", has_a_summary, False)]


class Simulation(NamedTuple):
    """A simulated search.

    Attributes:
        epochs: how many epochs each trial was trained, by its number.
        wrong: what was not a decision, or was resumed without being paused; empty if nothing was.
    """

    epochs: dict[int, int]
    wrong: tuple[str, ...]


class Scheduler(Subject):
    """A scheduler, or a function that makes it."""

    contracts = CONTRACTS

    def __init__(self, function: Callable[..., Any], given: dict[str, Any] | None = None) -> None:
        super().__init__(function, given or {}, "scheduler", ("context",))

    @cached_property
    def made(self) -> Any:
        """A scheduler for a search that maximizes the validation accuracy, without a pruner."""
        return self.function(
            SchedulerContext(
                name=self.function.__name__,
                epochs=EPOCHS,
                batch_size=32,
                metric=METRIC,
                maximize=True,
                pruner="none",
                should_prune=lambda trial: False,
            )
        )

    @cached_property
    def simulation(self) -> Simulation:
        """A search of TRIALS trials on WORKERS workers. The accuracy of trial n rises to n / TRIALS."""
        return _simulated(self.made)


@contract(CONTRACTS, basis=True)
def makes_a_scheduler(scheduler: Scheduler) -> None:
    """From a SchedulerContext it makes a TrialScheduler."""
    if not isinstance(scheduler.made, TrialScheduler):
        found = type(scheduler.made).__name__
        raise scheduler.broken(f"it makes {found}, expected a TrialScheduler", "Subclass cnnsearch.TrialScheduler")


@contract(CONTRACTS)
def decides_and_resumes_what_is_paused(scheduler: Scheduler) -> None:
    """After each epoch it returns a Decision, and it resumes only trials that are paused."""
    for wrong in scheduler.simulation.wrong[:1]:
        raise scheduler.broken(wrong, "Return cnnsearch.Decision, and a trial of self.paused")


@contract(CONTRACTS)
def trains_a_trial_to_its_end(scheduler: Scheduler) -> None:
    """It trains at least one trial to its last epoch."""
    most = max(scheduler.simulation.epochs.values(), default=0)
    if most < EPOCHS:
        raise scheduler.broken(
            f"of {TRIALS} trials with {EPOCHS} epochs none got more than {most}",
            "Resume paused trials in choose_trial_to_resume",
        )


def _simulated(scheduler: TrialScheduler) -> Simulation:
    # it imports Optuna
    from cnnsearch.study.trial import Trial
    from cnnsearch.tuning.active_trial import ActiveTrial

    trial: Any = None
    new = [
        ActiveTrial(trial, Trial(number), "none", started=0.0, last_message=0.0, resumable=True)
        for number in range(TRIALS)
    ]
    every, running, wrong = list(new), list[ActiveTrial](), list[str]()
    scheduler.on_start(images=1000, low_fidelity=False)
    while True:
        while len(running) < WORKERS:
            resumed = scheduler.choose_trial_to_resume(running, bool(new), lambda trial: True)
            if resumed is not None and scheduler.paused.pop(resumed.number, None) is not resumed:
                wrong.append(f"it resumed trial {resumed.number}, which is not paused")
            elif resumed is not None:
                running.append(resumed)
            elif new:
                running.append(new.pop(0))
                scheduler.on_trial_add(running[-1])
                scheduler.fidelity(running[-1])
            else:
                break
            if wrong:
                break
        if wrong or not running:
            return Simulation({each.number: len(each.history) for each in every}, tuple(wrong))
        _train_one_epoch(scheduler, running, wrong)


def _train_one_epoch(scheduler: TrialScheduler, running: list[Any], wrong: list[str]) -> None:
    trial = running.pop(0)
    epoch = len(trial.history) + 1
    trial.history.append({METRIC: (trial.number + 1) / (TRIALS + 1) * (1 - 0.5**epoch)})
    decision = scheduler.on_trial_result(trial)
    if not isinstance(decision, Decision):
        wrong.append(f"on_trial_result returned {decision!r}")
    elif decision is Decision.PAUSE and epoch < EPOCHS:
        scheduler.on_trial_pause(trial)
        scheduler.choose_trials_to_prune(running)
    elif decision is Decision.STOP or epoch == EPOCHS:
        history = tuple(trial.history)
        scheduler.on_trial_complete(replace(trial.record, state="complete", score=history[-1][METRIC], history=history))
    else:
        running.append(trial)
