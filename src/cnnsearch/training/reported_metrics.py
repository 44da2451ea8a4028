"""Finds out which metrics a candidate reports, with a few images and without a compiled graph."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cnnsearch.core import metric_names, metrics
from cnnsearch.data.splits import Split
from cnnsearch.training import fit_results, fitting, lazy_keras, numbered_metrics, training_data
from cnnsearch.training.candidate import Candidate
from cnnsearch.training.training_data import TrainingData

IMAGES = 32
"""The number of images of each part."""


def reported(candidate: Candidate, hp: Any, parts: Split, classes: int, asked: str, own_fit: bool = True) -> list[str]:
    """The names of the metrics that a candidate reports.

    Its own `fit` is called if `own_fit`, unless the model is compiled with the metric that the user `asked` for.
    """
    some, names = training_data.for_candidate(candidate, few(parts), classes), list[str]()
    if lazy_keras.is_model(candidate.model):
        candidate.model.run_eagerly = True
        names = _evaluated(candidate.model, some, asked)
    if candidate.fit is None or not own_fit or (asked and metric_names.matching_metric(asked, names)):
        return names
    return _fitted(candidate, hp, some, asked)


def check_computed(asked: str, names: Collection[str], y: Any, classes: Sequence[str]) -> None:
    """Refuse the metric `asked` if it would be computed, as the candidate reports only `names`, but cannot be.

    Raises:
        DataError: if it has no meaning for the validation labels (n,).
    """
    # a single number that fit returns is the value of the metric that was asked for
    if names and asked in metrics.COMPUTED and asked not in names and metric_names.RETURNED not in names:
        metrics.check_labels(asked, y, classes)


def few(parts: Split) -> Split:
    """`parts` with IMAGES of training and of validation, evenly spread, as a folder's images are sorted by class."""
    rows, rows_val = (np.unique(np.linspace(0, len(x) - 1, IMAGES).astype(int)) for x in (parts.x, parts.x_val))
    clean = None if parts.x_clean is None else parts.x_clean[rows]
    some = {"x": parts.x[rows], "y": parts.y[rows], "x_val": parts.x_val[rows_val], "y_val": parts.y_val[rows_val]}
    return replace(parts, **some, x_clean=clean)


def _evaluated(model: Any, some: TrainingData, asked: str) -> list[str]:
    told = model.evaluate(some.x_val[:2], some.y_val[:2], batch_size=2, verbose=0, return_dict=True)
    # a metric such as F1Score may have one number for each class
    found = {name: value for name, value in told.items() if np.size(value) == 1}
    names = list(numbered_metrics.plain(found, numbered_metrics.numbered(model), asked.removeprefix("val_")))
    return [*names, *(f"val_{name}" for name in names), "learning_rate"]


class _Seen(lazy_keras.Callback):
    """Keeps the names of the metrics of the first epoch, and ends the training after it."""

    names: Collection[str] = ()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.names = list(logs or {})
        self.model.stop_training = True


def _fitted(candidate: Candidate, hp: Any, some: TrainingData, asked: str) -> list[str]:
    seen = _Seen()
    seen.set_model(candidate.model)
    given = candidate.fit(hp, candidate.model, some.x, some.y, **fitting.keywords(some, 1, [seen]))
    told = fit_results.epochs(given, metric_names.RETURNED)
    names = dict.fromkeys([*seen.names, *(name for metrics in told[-1:] for name in metrics)], 0.0)
    return list(numbered_metrics.plain(names, numbered_metrics.numbered(candidate.model), asked))
