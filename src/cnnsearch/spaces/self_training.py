"""Functions that train for themselves: the trial that such a function gets, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cnnsearch.spaces.distributions import Distribution, Value

if TYPE_CHECKING:
    from cnnsearch.spaces.data_files import DataFiles

Report = dict[str, float]
"""The metrics of one epoch, or of one report."""


class OwnTrial(Protocol):
    """A trial of a function that trains for itself. The worker makes it.

    Attributes:
        number: the trial's number.
        seed: the seed of its weights and batches.
        epochs: the epochs of a trial at full length; 0 if they are not known.
        metric: the name of the metric that is the score; `maximize`: whether a larger value is better.
        names: the names of all values that the function returns; `metric` is the first.
        history: what was reported so far, also before an interruption or a pause.
        goes_on: whether the trial continues after its last report.
        paused: whether it is to pause now, and be resumed later.
    """

    number: int
    seed: int
    epochs: int
    metric: str
    maximize: bool
    names: tuple[str, ...]
    history: list[Report]
    goes_on: bool
    paused: bool

    def draw(self, name: str, distribution: Distribution) -> Value:
        """The value of a hyperparameter."""

    def begin(self, key: str = "", params: int = 0, resumable: bool = False) -> None:
        """Say that the training begins. Without this call it begins with the first report.

        Args:
            key: equal for equal candidates; empty: like no other one.
            params: the number of weights.
            resumable: whether the training can be paused and resumed.
        """

    def report(self, metrics: Report) -> bool:
        """Report an epoch; whether the training continues."""

    def set_attribute(self, name: str, value: Any) -> None:
        """Store plain data with the trial in Optuna's study."""

    def state(self) -> Any:
        """Where the training's state is saved, as `fitting.CheckpointOptions`; None if it cannot be resumed."""

    def places(self) -> list[str]:
        """The addresses of checkpoints to resume from, the newest first."""

    def resume(self, history: list[Report]) -> bool:
        """Report the epochs of a checkpoint that was loaded; whether the training continues."""


@dataclass
class Outcome:
    """What a function that trains for itself returns.

    Attributes:
        score: the value of the metric.
        best_epoch: the report of that value, counted from 1; 0 if none has it.
        params: the number of weights; 0 if not known.
        pruned: whether the function ended its trial early.
        metrics: the metrics at the end, for a trial without a report.
        format: the suffix of the file that `save` writes; without `save` there is no model.
        save: writes the model to a file.
        rest: is called when the trial has ended.
    """

    score: float
    best_epoch: int = 0
    params: int = 0
    pruned: bool = False
    metrics: Report = field(default_factory=dict)
    format: str = ""
    save: Callable[[Path], None] | None = None
    rest: Callable[[], object] = bool


class SelfTraining:
    """A function that trains for itself. A worker calls `train` for each trial.

    Attributes:
        images: how many examples it trains on in an epoch; 0 if not known.
        batch_size: how many of them make one update of the weights.
        settings: fields of the search's configuration.
        digests: digests of its data by name, which must be the same when the study is resumed.
        files: the files of its data.
    """

    images: int = 0
    batch_size: int = 128
    settings: Mapping[str, Any] = {}
    digests: Mapping[str, str] = {}
    files: DataFiles | None = None

    def build(self, hp: Any) -> Any:
        """Not used: it has no model for others to train."""
        raise NotImplementedError

    def own_parts(self) -> Any:
        """What must be the same when the study is resumed: the user's functions and values."""
        return self

    def train(self, trial: OwnTrial) -> Outcome:
        """Draw, build and train one trial."""
        raise NotImplementedError
