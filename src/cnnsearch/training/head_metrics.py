"""Adapts Keras' metrics of a compiled model to its labels and answers."""

from typing import Any

import keras

from cnnsearch.training.heads import ABOUT_ZERO, Head

ZERO_ONE_METRICS = (
    keras.metrics.AUC,
    keras.metrics.BinaryAccuracy,
    keras.metrics.BinaryIoU,
    keras.metrics.F1Score,
    keras.metrics.FBetaScore,
    keras.metrics.FalseNegatives,
    keras.metrics.FalsePositives,
    keras.metrics.Precision,
    keras.metrics.PrecisionAtRecall,
    keras.metrics.Recall,
    keras.metrics.RecallAtPrecision,
    keras.metrics.SensitivityAtSpecificity,
    keras.metrics.SpecificityAtSensitivity,
    keras.metrics.TrueNegatives,
    keras.metrics.TruePositives,
)
"""Keras' metrics that expect labels of 0 and 1. Its hinge and regression metrics take -1 and 1."""


def adapt_metrics(model: Any, found: Head) -> None:
    """Adapt Keras' own metrics of a compiled model to its labels and answers, which `found` describes.

    Keras treats a single output as a probability. If it is not one, the threshold of the metric named `accuracy`
    becomes 0 instead of 0.5. A metric that is an object keeps its threshold, as its author chose it. Metrics that
    expect labels of 0 and 1 get such labels, even if the loss takes -1 and 1.
    """
    at_zero, signs = found.units == 1 and found.reads in ABOUT_ZERO, found.labels == "sign"
    compiled = getattr(model, "_compile_metrics", None)
    for kept in ("_user_metrics", "_user_weighted_metrics"):
        if (at_zero or signs) and hasattr(compiled, kept):
            # a new list, as the author may use the same list for every model
            setattr(compiled, kept, _adapted(getattr(compiled, kept), at_zero, signs))


def _adapted(metrics: Any, at_zero: bool, signs: bool) -> Any:
    if isinstance(metrics, dict) and "class_name" not in metrics:
        return {name: _adapted(inner, at_zero, signs) for name, inner in metrics.items()}
    if isinstance(metrics, list | tuple):
        return [_adapted(inner, at_zero, signs) for inner in metrics]
    name = metrics if isinstance(metrics, str) else ""
    if at_zero and name.lower() in ("accuracy", "acc", "binary_accuracy"):
        metrics = keras.metrics.BinaryAccuracy(name=name, threshold=0.0)
    if not signs or metrics is None or str(metrics).lower() in ("accuracy", "acc"):
        # with several outputs the largest one counts, also for labels of -1 and 1
        return metrics
    known = keras.metrics.get(metrics)
    # Keras also reports a metric under the name by which it was given
    return FromSigns(known, name) if type(known) in ZERO_ONE_METRICS else metrics


class FromSigns(keras.metrics.Metric):  # type: ignore[misc]
    """One of Keras' metrics that expects labels of 0 and 1, used with labels of -1 and 1."""

    def __init__(self, metric: Any, name: str = "") -> None:
        super().__init__(name=name or metric.name)
        self._inner = metric

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        zeros = keras.ops.cast(keras.ops.convert_to_tensor(y_true) > 0, "float32")
        return self._inner.update_state(zeros, y_pred, sample_weight=sample_weight)

    def result(self) -> Any:
        return self._inner.result()

    def reset_state(self) -> None:
        self._inner.reset_state()
