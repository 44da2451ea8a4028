"""A trial of a search on its way through a worker."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cnnsearch.core.messages import Message, RunTrial
from cnnsearch.spaces.recipes import ORIGIN
from cnnsearch.study.trial import CONTROLLED_ORIGIN, Trial

if TYPE_CHECKING:
    import optuna

BY_NAME = (ORIGIN, CONTROLLED_ORIGIN)
"""The origins of trials that were asked for by name begin so: they have no limits, and are trained to their end."""


@dataclass
class ActiveTrial:
    """A trial that a worker has, or that is paused.

    Attributes:
        trial: Optuna's trial; `record`: what is known of it.
        state: the file of its checkpoint; `resume`: whether its training resumes from there.
        started: when the worker got it; `last_message`: when that last said something. By `time.monotonic`.
        history: the metrics of each epoch; `reported`: how many of them Optuna and MLflow have.
        spent: seconds of its earlier turns on a worker.
        resumable: whether it can be paused and resumed.
        added: whether the scheduler knows it.
    """

    trial: optuna.Trial
    record: Trial
    state: Path
    started: float
    last_message: float
    resume: bool = False
    history: list[dict[str, float]] = field(default_factory=list)
    reported: int = 0
    spent: float = 0.0
    resumable: bool = False
    added: bool = False

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.record.number

    @property
    def since(self) -> float:
        """When it would have started, had it been trained without a pause."""
        return self.started - self.spent

    @property
    def by_name(self) -> bool:
        """Whether it was asked for by name."""
        return self.record.origin.startswith(BY_NAME)

    @property
    def curve(self) -> tuple[dict[str, float], ...]:
        """Its epochs; one that was just resumed has those of before until its worker has read them."""
        return tuple(self.history) or self.record.history

    def timed(self) -> Trial:
        """What is measured of it by now; of one that was resumed, at its last rung."""
        if self.spent:
            return self.record
        return replace(self.record, epochs=len(self.history), seconds=self.last_message - self.started)

    def assignment(self) -> Message:
        """What a worker is sent to train it."""
        return RunTrial(
            trial=self.number,
            seed=self.record.seed,
            limited=not self.by_name,
            state=str(self.state),
            resume=self.resume,
        )
