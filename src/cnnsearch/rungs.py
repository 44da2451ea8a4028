"""Which candidates are trained on: all of them to a first rung, the best of each rung to the next.

`halving` is asynchronous successive halving (ASHA; Li et al., A System for Massively Parallel Hyperparameter Tuning,
2020), `topk` trains all to the first rung and then only the best few to their end (arXiv 2307.15422). Unlike Optuna's
pruners, which only stop, both continue a candidate from where it was left.
"""

from collections.abc import Callable, Container, Iterable
from typing import NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from cnnsearch.record import ATTRIBUTE

STEP = 3
"""Each rung has so many times the epochs of the one before."""

PROMOTED = 0.5
"""The share of a rung that is trained on. Mild: in Optuna's own study of pruners the aggressive ones did worst
(optuna#2906)."""

BEST = 3
"""So many does `topk` train to their end."""


class Stand(NamedTuple):
    """Where a candidate stands: its metric after each epoch so far (more is better), and whether it waits there.

    One that does not wait is in training, or has ended.
    """

    number: int
    values: tuple[float, ...]
    waits: bool

    def at(self, epochs: int) -> float:
        """The best value in so many epochs."""
        return max(self.values[:epochs])


def rungs(epochs: int) -> tuple[int, ...]:
    """The epochs after which candidates are compared, the full length last: 9 gives (1, 3, 9)."""
    found, length = {epochs}, float(epochs)
    while length > STEP / 2 + 0.5:
        length /= STEP
        found.add(max(1, round(length)))
    return tuple(sorted(found))


def halving(stands: list[Stand], steps: tuple[int, ...], more_to_come: bool) -> int | None:
    """The best that waits among the upper share of its rung, the highest rung first."""
    for step in reversed(steps[:-1]):
        there = _ranked(stands, step)
        # at the end a rung of one still sends it on
        most = int(len(there) * PROMOTED) if more_to_come else max(1, round(len(there) * PROMOTED))
        for stand in there[:most]:
            if stand.waits and len(stand.values) == step:
                return stand.number
    return None


def topk(stands: list[Stand], steps: tuple[int, ...], more_to_come: bool) -> int | None:
    """The best few of the first rung, once all have been there."""
    if more_to_come:
        return None
    return next((stand.number for stand in _ranked(stands, steps[0])[:BEST] if stand.waits), None)


def _ranked(stands: list[Stand], step: int) -> list[Stand]:
    there = [stand for stand in stands if len(stand.values) >= step]
    return sorted(there, key=lambda stand: (-stand.at(step), stand.number))


Choose = Callable[[list[Stand], tuple[int, ...], bool], int | None]
"""Given every candidate's stand, the rungs and whether new candidates are still to come: the number of the one that is
trained on next, or None."""

SCHEDULERS: dict[str, Choose] = {"halving": halving, "topk": topk}


class Scheduler:
    """One of SCHEDULERS over candidates of `epochs` epochs; `none` lets each be trained to its end at once."""

    def __init__(self, name: str, epochs: int, maximize: bool) -> None:
        every = rungs(epochs)
        self._choose = SCHEDULERS.get(name)
        self._steps = {"halving": every, "topk": (every[0], epochs)}.get(name, (epochs,))
        self._sign = 1 if maximize else -1

    def waits_at(self, epochs: int) -> bool:
        """Whether a candidate waits after so many epochs."""
        return epochs in self._steps[:-1]

    def next(self, stands: Iterable[tuple[int, list[float], bool]], more_to_come: bool) -> int | None:
        """The number of the waiting candidate to be trained on; `stands` are (number, metrics, whether it waits)."""
        if self._choose is None:
            return None
        every = [Stand(number, tuple(self._sign * v for v in seen), waits) for number, seen, waits in stands]
        return self._choose([stand for stand in every if stand.values], self._steps, more_to_come)


class Seen(optuna.Study):
    """A study whose waiting candidates the sampler sees as ended at their rung, so that it learns from all rungs.

    In the storage they are running still; a sampler would take them for bad until they end.
    """

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        found = super()._get_trials(deepcopy, None, use_cache)
        shown = [_as_pruned(trial) if _waits(trial) else trial for trial in found]
        return [trial for trial in shown if states is None or trial.state in states]


def _waits(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.RUNNING and trial.user_attrs.get(ATTRIBUTE, {}).get("state") == "waiting"


def _as_pruned(trial: FrozenTrial) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState.PRUNED,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )
