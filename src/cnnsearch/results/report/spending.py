"""What a study cost: time and epochs that went into its trials, what pruning saved, what failures took."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from cnnsearch.study.trial import COUNTED, Record


class Part(NamedTuple):
    """The trials of one state together."""

    state: str
    trials: int
    epochs: int
    seconds: float


class Failed(NamedTuple):
    """The failures of one kind together, and the reason that the first of them gave."""

    kind: str
    trials: int
    seconds: float
    reason: str


@dataclass(frozen=True)
class Spending:
    """Where time and epochs went.

    `saved_epochs` is how many epochs the pruned trials had left of the most that they might train; `saved_seconds`
    is what these would have taken, each trial at its own pace. An early stop of their own may have spared some of it.
    """

    parts: tuple[Part, ...]
    saved_epochs: int
    saved_seconds: float
    failures: tuple[Failed, ...]
    refused: tuple[Failed, ...]

    @property
    def trials(self) -> int:
        """How many trials ended."""
        return sum(part.trials for part in self.parts)

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return sum(part.epochs for part in self.parts)

    @property
    def seconds(self) -> float:
        """Seconds of all trials, those side by side counted each."""
        return sum(part.seconds for part in self.parts)

    def part(self, state: str) -> Part:
        """The trials in this state."""
        return next((part for part in self.parts if part.state == state), Part(state, 0, 0, 0.0))


def spending(records: Sequence[Record], most: int) -> Spending:
    """What `records` cost; `most` is the most epochs of a trial whose plan does not say it."""
    pruned = [(r, max(0, full_length(r, most) - r.epochs)) for r in records if r.state == "pruned"]
    # what was only looked at has no pace of its own
    typical = median(paces) if (paces := [pace(record) for record in records if record.epochs]) else 0.0
    return Spending(
        parts=tuple(_part(state, records) for state in COUNTED),
        saved_epochs=sum(left for _, left in pruned),
        saved_seconds=sum(left * (pace(record) if record.epochs else typical) for record, left in pruned),
        failures=_by_kind(record for record in records if record.state == "failed"),
        refused=_by_kind(record for record in records if record.state == "refused"),
    )


def full_length(record: Record, most: int) -> int:
    """The most epochs that the trial might have trained."""
    return int(json.loads(record.plan)["epochs"]) if record.plan else most


def pace(record: Record) -> float:
    """Seconds an epoch; those before a cut were not timed."""
    return record.seconds / max(1, record.epochs - record.resumed)


def _part(state: str, records: Sequence[Record]) -> Part:
    own = [record for record in records if record.state == state]
    return Part(state, len(own), sum(record.epochs for record in own), sum(record.seconds for record in own))


def _by_kind(records: Iterable[Record]) -> tuple[Failed, ...]:
    """The most frequent kind first."""
    kinds: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        kinds[record.failure or "unknown"].append(record)
    found = [Failed(kind, len(own), sum(r.seconds for r in own), own[0].reason) for kind, own in kinds.items()]
    return tuple(sorted(found, key=lambda failed: (-failed.trials, failed.kind)))
