"""A trial of a search that a worker has, or that is paused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cnnsearch.core.messages import RunTrial
from cnnsearch.spaces.recipes import ORIGIN
from cnnsearch.study.trial import CONTROLLED_ORIGIN, Trial

if TYPE_CHECKING:
    import optuna

BY_NAME = (ORIGIN, CONTROLLED_ORIGIN)
"""The prefixes of the origins of recipes and controlled trials. They have no limits and are never pruned."""


@dataclass
class ActiveTrial:
    """A trial that a worker has, or that is paused. Times are of `time.monotonic`.

    Attributes:
        trial: Optuna's trial; `record`: what is known of it.
        state: the address of its checkpoint; `resume`: whether its training resumes from there.
        earlier: the address of an older checkpoint, which is read if the other does not exist; or empty.
        has_checkpoint: whether there is a checkpoint to resume from. It may take seconds.
        started: when the worker got it; `last_message`: when the worker last sent a message.
        history: the metrics of each epoch; `reported`: how many of them Optuna and MLflow have.
        spent: seconds that it was trained before its last pause.
        resumable: whether it can be paused and resumed.
        added: whether the scheduler knows it.
        certain: the distributions and values that its worker knows without asking.
    """

    trial: optuna.Trial
    record: Trial
    state: str
    started: float
    last_message: float
    resume: bool = False
    earlier: str = ""
    has_checkpoint: Callable[[], bool] = bool
    history: list[dict[str, float]] = field(default_factory=list)
    reported: int = 0
    spent: float = 0.0
    resumable: bool = False
    added: bool = False
    certain: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """The trial's number."""
        return self.record.number

    @property
    def since(self) -> float:
        """When its training would have started without its pauses."""
        return self.started - self.spent

    @property
    def by_name(self) -> bool:
        """Whether it is a recipe or a controlled trial."""
        return self.record.origin.startswith(BY_NAME)

    @property
    def curve(self) -> tuple[dict[str, float], ...]:
        """The metrics of its epochs; after a resume, those that are stored, until its worker has as many."""
        return max(tuple(self.history), self.record.history, key=len)

    def timed(self) -> Trial:
        """The trial with its epochs and seconds so far; for a resumed trial, those at its last pause."""
        if self.spent:
            return self.record
        return replace(self.record, epochs=len(self.history), seconds=self.last_message - self.started)

    def assignment(self) -> RunTrial:
        """The message that makes a worker train it."""
        return RunTrial(
            trial=self.number,
            seed=self.record.seed,
            limited=not self.by_name,
            state=self.state,
            resume=self.resume,
            earlier=self.earlier,
        )
