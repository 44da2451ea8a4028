"""What a constant answer reaches: the share of the most frequent class of the validation images, beside the scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnnsearch.core import metrics
from cnnsearch.study import ranking
from cnnsearch.study.confirmation import confirmed
from cnnsearch.study.study import Study

ADVICE = "Search for --objective val_balanced_accuracy or val_auc."

ACCURACIES = (
    *("val_accuracy", "val_acc", "val_binary_accuracy"),
    *("val_categorical_accuracy", "val_sparse_categorical_accuracy"),
)
"""Metrics in which a constant answer reaches the share of its class."""


@dataclass(frozen=True)
class Majority:
    """The most frequent class among the validation images, of which `counts` are of each class.

    `reached` is the best trial's value of `metric`, its mean over new seeds where there is one; None without a trial.
    """

    name: str
    counts: tuple[int, ...]
    metric: str
    reached: float | None = None

    @property
    def share(self) -> float:
        """The share of the validation images that are of this class."""
        return max(self.counts) / sum(self.counts)

    @property
    def constant(self) -> float | None:
        """What a model reaches that always gives this answer; None where the metric does not tell."""
        return constant(self.metric, self.counts)

    def __str__(self) -> str:
        """Such as `A constant answer reaches 0.9700: 97.0% of the 200 validation images are of class 'no'.`"""
        images = f"{self.share:.1%} of the {sum(self.counts):,} validation images are of class '{self.name}'."
        return images if self.constant is None else f"A constant answer reaches {self.constant:.4f}: {images}"

    @property
    def warning(self) -> str:
        """What is wrong with a best trial that is not above the constant answer; else nothing."""
        value, reached = self.constant, self.reached
        if value is None or reached is None or reached > value + 1e-9:
            return ""
        if self.metric not in ACCURACIES:
            return f"{self} The best trial reaches {reached:.4f}, which is not more."
        return (
            f"{value:.1%} of the validation images are of class '{self.name}': a constant answer reaches {value:.1%}, "
            f"and the best trial reaches {reached:.1%}. {ADVICE}"
        )


def constant(metric: str, counts: Sequence[int]) -> float | None:
    """What always answering the most frequent class gives in `metric`, for so many images of each class."""
    ordered, present = sorted(counts, reverse=True), sum(count > 0 for count in counts)
    share = ordered[0] / sum(ordered)
    known = {
        **dict.fromkeys(ACCURACIES, share),
        "val_balanced_accuracy": 1 / present,
        "val_f1_macro": 2 * share / (1 + share) / present,
        "val_auc": 0.5,
        "val_top5_accuracy": sum(ordered[: metrics.TOP]) / sum(ordered),
    }
    return known.get(metric)


def majority(study: Study) -> Majority | None:
    """That of a study; None where the images of each class were not counted, as before version 0.2."""
    data: dict[str, Any] = study.info.get("data", {})
    counts = data.get("counts", {}).get("val", ())
    if not sum(counts):
        return None
    name = str(data["classes"][counts.index(max(counts))])
    return Majority(name, tuple(counts), str(study.info["metric"]), _reached(study))


def lines(study: Study) -> list[str]:
    """What is said of it below a leaderboard: one line, and a warning where there is one."""
    found = majority(study)
    if found is None or found.reached is None:
        return []
    return [f"WARNING: {found.warning}"] if found.warning else [str(found)]


def _reached(study: Study) -> float | None:
    first = next((record for record in ranking.ranked(study) if record.score is not None), None)
    if first is None:
        return None
    again = confirmed(study).get(first.number)
    return again.mean if again else first.score
