"""TPE that remembers ended trials draws what Optuna's own draws."""

from typing import Any

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from cnnsearch.study.tpe import RememberingTPESampler


def drawn(kind: Any, costs: int) -> list[Any]:
    """What is drawn for pairs of trials; some are pruned, some are not feasible, and their parameters differ."""
    ways = ["maximize", *["minimize"] * costs]
    sampler = kind(seed=3, n_startup_trials=5, multivariate=True, constant_liar=True)
    study, found = optuna.create_study(directions=ways, sampler=sampler), []
    for pair in range(40):
        both = [study.ask(), study.ask()]
        for trial in both:
            rate, kept = trial.suggest_float("rate", 1e-4, 1, log=True), trial.suggest_categorical("kept", ["a", None])
            width = trial.suggest_int("width", 8, 64, step=8) if kept == "a" else 1
            found.append((rate, kept, width))
            if not costs:
                trial.report(float("nan") if pair == 12 else rate, pair % 3)
            if pair % 7 == 3:
                trial.set_constraint("feasible", 1.0)
            if pair % 7 == 3 or (pair % 5 == 4 and not costs):
                study.tell(trial, state=TrialState.PRUNED)
            else:
                study.tell(trial, [rate - width / 100, *[width] * costs])
    return found


@pytest.mark.parametrize("costs", [0, 1])
def test_it_draws_the_same_points(costs: int) -> None:
    assert drawn(RememberingTPESampler, costs) == drawn(TPESampler, costs)
