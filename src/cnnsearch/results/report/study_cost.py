"""The cost of a study: time and epochs of its trials by state, what pruning saved, and what failures cost."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from cnnsearch.study.trial import COUNTED, Trial


class StateCost(NamedTuple):
    """The number of trials in one state, and their epochs and seconds together."""

    state: str
    trials: int
    epochs: int
    seconds: float


class FailureCost(NamedTuple):
    """The number of trials that failed in one way, their seconds together, and the reason of the first."""

    kind: str
    trials: int
    seconds: float
    reason: str


@dataclass(frozen=True)
class StudyCost:
    """The cost of all trials of a study.

    Attributes:
        states: the cost of the trials in each state.
        saved_epochs: the epochs that the pruned trials did not train, up to their maximum.
        saved_seconds: the estimated seconds of these epochs, at each trial's own seconds per epoch. The estimate is
            too high if trials would have stopped early by themselves.
        failures: the cost of the failed trials, by the kind of failure.
        infeasible: the same for plans that were rejected before they were built.
    """

    states: tuple[StateCost, ...]
    saved_epochs: int
    saved_seconds: float
    failures: tuple[FailureCost, ...]
    infeasible: tuple[FailureCost, ...]

    @property
    def trials(self) -> int:
        """The number of trials that ended."""
        return sum(state.trials for state in self.states)

    @property
    def epochs(self) -> int:
        """The number of trained epochs."""
        return sum(state.epochs for state in self.states)

    @property
    def seconds(self) -> float:
        """The seconds of all trials; parallel trials count separately."""
        return sum(state.seconds for state in self.states)

    def of(self, state: str) -> StateCost:
        """The cost of the trials in this state."""
        return next((each for each in self.states if each.state == state), StateCost(state, 0, 0, 0.0))


def study_cost(records: Sequence[Trial], max_epochs: int) -> StudyCost:
    """The cost of `records`; `max_epochs` is the maximum for a trial without a plan."""
    pruned = [(r, max(0, full_length(r, max_epochs) - r.epochs)) for r in records if r.state == "pruned"]
    speeds = [seconds_per_epoch(record) for record in records if record.epochs]
    # a trial that was pruned before its first epoch has no speed of its own
    typical = median(speeds) if speeds else 0.0
    return StudyCost(
        states=tuple(_state_cost(state, records) for state in COUNTED),
        saved_epochs=sum(left for _, left in pruned),
        saved_seconds=sum(left * (seconds_per_epoch(r) if r.epochs else typical) for r, left in pruned),
        failures=_by_kind(record for record in records if record.state == "failed"),
        infeasible=_by_kind(record for record in records if record.state == "refused"),
    )


def full_length(record: Trial, max_epochs: int) -> int:
    """The maximum number of epochs of a trial."""
    return int(json.loads(record.plan)["epochs"]) if record.plan else max_epochs


def seconds_per_epoch(record: Trial) -> float:
    """The mean seconds of an epoch. For a resumed trial only the epochs after the interruption are timed."""
    return record.seconds / max(1, record.epochs - record.resumed)


def _state_cost(state: str, records: Sequence[Trial]) -> StateCost:
    own = [record for record in records if record.state == state]
    return StateCost(state, len(own), sum(record.epochs for record in own), sum(record.seconds for record in own))


def _by_kind(records: Iterable[Trial]) -> tuple[FailureCost, ...]:
    """The cost of each kind of failure, the most frequent kind first."""
    kinds: dict[str, list[Trial]] = defaultdict(list)
    for record in records:
        kinds[record.failure or "unknown"].append(record)
    found = [FailureCost(kind, len(own), sum(r.seconds for r in own), own[0].reason) for kind, own in kinds.items()]
    return tuple(sorted(found, key=lambda failure: (-failure.trials, failure.kind)))
