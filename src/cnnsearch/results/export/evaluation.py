"""Accuracy, loss and other metrics of a model on a set of images, with Wilson's interval of the accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core import metrics
from cnnsearch.data.dataset import Labels
from cnnsearch.data.splits import Split
from cnnsearch.study.score_interval import wilson


@dataclass(frozen=True)
class Evaluation:
    """Accuracy and loss over `n` images; `more` has other metrics of the same predictions, such as `auc`."""

    accuracy: float
    loss: float
    n: int
    more: dict[str, float] = field(default_factory=dict)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval of the accuracy (Wilson 1927)."""
        return wilson(self.accuracy, self.n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.accuracy:.2%} (95% interval {low:.2%} to {high:.2%}, n = {self.n:,})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the card."""
        return {"accuracy": self.accuracy, "interval": self.interval, "n": self.n, **self.more}


def evaluate(probabilities: NDArray[Any], y: Labels, metric: str = "") -> Evaluation:
    """The evaluation of probabilities (n, classes) against integer labels.

    If `metric` is one of `metrics.COMPUTED`, it is in `more`.
    """
    right = probabilities.argmax(1) == y
    likely = probabilities[np.arange(len(y)), y].astype("float64")
    computed = metrics.measured(y, probabilities) if metric in metrics.COMPUTED else {}
    more = {metric.removeprefix("val_"): computed[metric]} if metric in computed else {}
    return Evaluation(float(right.mean()), float(-np.log(np.maximum(likely, 1e-12)).mean()), len(y), more)


def from_stored(stored: dict[str, Any]) -> Evaluation:
    """An evaluation on the test set as it is stored in the study."""
    more = {name: stored[name] for metric in metrics.COMPUTED if (name := metric.removeprefix("val_")) in stored}
    return Evaluation(stored["accuracy"], stored["loss"], stored["n"], more)


def most_frequent_class(parts: Split, classes: Sequence[str]) -> dict[str, Any]:
    """The most frequent class of the validation images, and its share of the validation and of the test images."""
    label = int(np.bincount(parts.y_val).argmax())
    shares = {"validation": float((parts.y_val == label).mean()), "test": float((parts.y_test == label).mean())}
    return {"class": classes[label], **shares}
