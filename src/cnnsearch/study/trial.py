"""A trial as frozen data. It is stored as an attribute of Optuna's trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

OWN_ATTRIBUTES = (
    *("cnnsearch", "origin", "seed", "state", "earlier", "look"),
    *("retried", "moves", "moved_from", "resumes"),
)
"""The attributes of a trial in Optuna's storage that a search reads. Those of an objective get another name."""

ATTRIBUTE = "cnnsearch"
COUNTED = ("complete", "pruned", "failed")
"""The states that count as trials."""

COSTS = {"params": "weights", "macs": "macs"}
"""The costs that a search can minimize, and their fields in `Trial`. They are known before the first epoch."""

CONTROLLED_ORIGIN = "twin of "
"""The prefix of the origin of a controlled trial; the number of the trial that it is compared with follows."""


@dataclass(frozen=True)
class Trial:
    """What is known of one trial, kept as one attribute of Optuna's trial.

    `state` is one of complete, pruned, failed (these count as trials), refused (infeasible: too large), duplicate,
    passed (skipped for its cost or the time limit), interrupted, running, waiting (paused at a rung).
    `score` is the metric at `best_epoch`; `history` has one dict of metrics for each epoch. The first `resumed` epochs
    were trained before the training was interrupted and resumed. `look` is the metric of the low-fidelity evaluation on
    a part of the images, which is not part of the training; it is the score of a trial that had no other training.
    `seconds` is the training time; `weights` is the number of weights; `macs` are multiply-adds for one image.
    `checkpoint` is the model's file relative to the study's folder; earlier versions stored an absolute path.
    `reads` says how the model's outputs become probabilities (`heads.read`); empty: they are probabilities.
    """

    number: int
    state: str = "running"
    origin: str = "sampler"
    params: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    score: float | None = None
    best_epoch: int = 0
    epochs: int = 0
    seconds: float = 0.0
    weights: int = 0
    macs: int = 0
    key: str = ""
    plan: str = ""
    seed: int = 0
    failure: str = ""
    reason: str = ""
    checkpoint: str = ""
    resumed: int = 0
    look: float | None = None
    reads: str = ""
    history: tuple[dict[str, float], ...] = ()

    @property
    def cut(self) -> bool:
        """Whether the time limit ended its training, so that its model has fewer epochs than its plan."""
        return self.state == "complete" and bool(self.reason)

    def to_attribute(self) -> dict[str, Any]:
        """The fields that Optuna does not store itself."""
        own = ("number", "origin", "params", "choices")
        return {key: value for key, value in vars(self).items() if key not in own}


def counts(records: Iterable[Trial]) -> dict[str, int]:
    """The number of trials by state; failed trials are counted by their kind of failure."""
    return dict(Counter(record.failure or record.state for record in records if record.state in COUNTED))


FIELDS = frozenset(Trial.__dataclass_fields__)


def from_optuna(trial: FrozenTrial) -> Trial:
    """The trial that is stored in one of Optuna's trials."""
    # fields of newer versions are ignored, so that a list of studies can still be shown
    kept = {key: value for key, value in trial.user_attrs.get(ATTRIBUTE, {}).items() if key in FIELDS}
    kept["history"] = tuple(kept.get("history", ()))
    single = {name for name, dist in trial.distributions.items() if dist.single()}
    return Trial(
        number=trial.number,
        origin=str(trial.user_attrs.get("origin", "sampler")),
        params=dict(trial.params),
        choices={name: value for name, value in trial.params.items() if name not in single},
        **kept,
    )
