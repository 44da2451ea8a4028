"""The score of a constant answer: of always predicting the most frequent class of the validation images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnnsearch.core import metrics
from cnnsearch.core.metric_names import SHARES_RIGHT
from cnnsearch.study import ranking
from cnnsearch.study.confirmation import means
from cnnsearch.study.study import Study

ADVICE = "Search for --metric val_balanced_accuracy or val_auc."


@dataclass(frozen=True)
class Majority:
    """The most frequent class of the validation images.

    Attributes:
        name: the class.
        counts: the number of validation images of each class.
        metric: the metric of the study.
        best_score: the best trial's mean over new seeds, or its search score without new seeds; None without a trial.
    """

    name: str
    counts: tuple[int, ...]
    metric: str
    best_score: float | None = None

    @property
    def share(self) -> float:
        """The share of this class in the validation images."""
        return max(self.counts) / sum(self.counts)

    @property
    def constant(self) -> float | None:
        """The score of always predicting this class; None if the metric has no such value."""
        return constant(self.metric, self.counts)

    def __str__(self) -> str:
        """For example `A constant answer reaches 0.9700: 97.0% of the 200 validation images are of class 'no'.`"""
        images = f"{self.share:.1%} of the {sum(self.counts):,} validation images are of class '{self.name}'."
        return images if self.constant is None else f"A constant answer reaches {self.constant:.4f}: {images}"

    @property
    def warning(self) -> str:
        """A warning if the best trial is not better than a constant answer; else empty."""
        value, best = self.constant, self.best_score
        if value is None or best is None or best > value + 1e-9:
            return ""
        if self.metric not in SHARES_RIGHT:
            return f"{self} The best trial reaches {best:.4f}, which is not more."
        return (
            f"{value:.1%} of the validation images are of class '{self.name}': a constant answer reaches {value:.1%}, "
            f"and the best trial reaches {best:.1%}. {ADVICE}"
        )


def constant(metric: str, counts: Sequence[int]) -> float | None:
    """The score in `metric` of always predicting the most frequent class, for these counts; None if it has none."""
    ordered, present = sorted(counts, reverse=True), sum(count > 0 for count in counts)
    share = ordered[0] / sum(ordered)
    known = {
        **dict.fromkeys(SHARES_RIGHT, share),
        "val_balanced_accuracy": 1 / present,
        "val_f1_macro": 2 * share / (1 + share) / present,
        "val_auc": 0.5,
        "val_top5_accuracy": sum(ordered[: metrics.TOP]) / sum(ordered),
    }
    return known.get(metric)


def majority(study: Study) -> Majority | None:
    """The most frequent class of a study; None if its images were not counted, as before version 0.2."""
    data: dict[str, Any] = study.info.get("data", {})
    counts = data.get("counts", {}).get("val", ())
    if not sum(counts):
        return None
    name = str(data["classes"][counts.index(max(counts))])
    return Majority(name, tuple(counts), str(study.info["metric"]), _best_score(study))


def lines(study: Study) -> list[str]:
    """The line below a leaderboard: the score of a constant answer, or a warning."""
    found = majority(study)
    if found is None or found.best_score is None:
        return []
    return [f"WARNING: {found.warning}"] if found.warning else [str(found)]


def _best_score(study: Study) -> float | None:
    first = next((record for record in ranking.ranked(study) if record.score is not None), None)
    if first is None:
        return None
    return means(study).get(first.number, first.score)
