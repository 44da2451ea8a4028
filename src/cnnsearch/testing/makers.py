"""The contracts of samplers and pruners."""

from collections.abc import Callable
from typing import Any

from cnnsearch.testing.contracts import Contract, Subject, contract, has_a_summary

SAMPLER_CONTRACTS = [Contract("has_a_summary", has_a_summary, False)]
PRUNER_CONTRACTS = [Contract("has_a_summary", has_a_summary, False)]


class Sampler(Subject):
    """A function that makes a sampler."""

    contracts = SAMPLER_CONTRACTS

    def __init__(self, function: Callable[..., Any], given: dict[str, Any]) -> None:
        super().__init__(function, given, "sampler", ("seed",))


class Pruner(Subject):
    """A function that makes a pruner."""

    contracts = PRUNER_CONTRACTS

    def __init__(self, function: Callable[..., Any], given: dict[str, Any]) -> None:
        super().__init__(function, given, "pruner", ("epochs",))


@contract(SAMPLER_CONTRACTS)
def draws_the_same_points_again(sampler: Sampler) -> None:
    """From a seed it makes an Optuna sampler. With the same seed it draws the same first points."""
    import optuna

    made = sampler.function(0)
    if not isinstance(made, optuna.samplers.BaseSampler):
        raise sampler.broken(f"it makes {type(made).__name__}, expected an Optuna sampler", "")
    if _points(made) != _points(sampler.function(0)):
        raise sampler.broken("with the same seed it draws other points", "Give the seed to each random generator")


@contract(PRUNER_CONTRACTS)
def makes_a_pruner(pruner: Pruner) -> None:
    """From a number of epochs it makes an Optuna pruner."""
    import optuna

    made = pruner.function(9)
    if not isinstance(made, optuna.pruners.BasePruner):
        raise pruner.broken(f"it makes {type(made).__name__}, expected an Optuna pruner", "")


def _points(sampler: Any) -> list[dict[str, Any]]:
    import optuna

    study = optuna.create_study(sampler=sampler)
    points = []
    for _ in range(3):
        trial = study.ask()
        trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        trial.suggest_categorical("units", [8, 16, 32])
        study.tell(trial, 0.5)
        points.append(dict(trial.params))
    return points
