"""Callbacks of a training: they report each epoch, keep the best weights, and end it if the parent decides so."""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cnnsearch.core import metric_names
from cnnsearch.core.errors import CnnsearchError, TrialFailure
from cnnsearch.core.metrics import Measures
from cnnsearch.training import lazy_keras, model_io, numbered_metrics
from cnnsearch.training.checkpoint import Checkpoint

Report = Callable[[int, dict[str, float]], bool]
"""Called with the epoch (from 1) and its metrics; returns whether the training continues."""

DIVERGED = 1e8
"""A loss above this counts as divergence. Keras' TerminateOnNaN accepts a loss of 4e29."""


@dataclass
class TrainingResult:
    """The result of a training: `score` is the metric in `best_epoch`, and `weights` are the weights of that epoch.

    `ended`: whether another callback ended it; `stopped`: whether the report did.
    """

    score: float = math.nan
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    stopped: bool = False
    ended: bool = False
    weights: list[Any] = field(default_factory=list)


class Measurer(lazy_keras.Callback):
    """Adds to each epoch's logs the metrics that `measures` computes from the answers of `model` to the images `x`."""

    def __init__(self, model: Any, x: Any, measures: Measures) -> None:
        super().__init__()
        # not `model`, which is what `fit` trains
        self._asked, self._x, self._measures = model, x, measures

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is None:
            return
        found = self._measures(model_io.answers(self._asked, self._x))
        own = numbered_metrics.plain(logs, numbered_metrics.numbered(self._asked))
        # the author means a model's own metric of that name
        logs.update({name: value for name, value in found.items() if name not in own})


class EpochReporter(lazy_keras.Callback):
    """Reports each epoch, keeps the weights of the best epoch, and ends the training when the report says so.

    Attributes:
        result: the result so far.
        failure: why the training failed, or None.
    """

    def __init__(self, core: Any, metric: str, report: Report, maximize: bool = True, lenient: bool = False) -> None:
        """An empty result.

        Args:
            maximize: whether a larger value of the metric is better.
            lenient: epochs without the metric are allowed, as the return value of an own `fit` may have it.
        """
        super().__init__()
        self.result = TrainingResult()
        self.failure: TrialFailure | None = None
        self._core, self._metric, self._report, self._lenient = core, metric, report, lenient
        self._sign = 1 if maximize else -1
        self._began = time.perf_counter()
        self._last: dict[str, float] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        told = _numbers(logs or {})
        metrics = self._usable(numbered_metrics.plain(told, numbered_metrics.numbered(self.model), self._metric))
        if lazy_keras.is_model(self.model):
            from cnnsearch.training import build

            metrics["learning_rate"] = build.learning_rate(self.model)
        self._last = metrics
        if self._metric not in metrics:
            if self._lenient:
                return
            raise self._unknown(metrics)
        self.result.history.append(metrics)
        if not _healthy(metrics):
            self._fail(epoch, metrics)
            return
        # a `fit` of an author's own may begin to count anew, or validate every second epoch
        done = len(self.result.history)
        self._keep_best(done - 1, metrics[self._metric])
        # a `fit` of an author's own may continue after it was told to stop
        if not self.result.stopped:
            self.result.ended = bool(getattr(self.model, "stop_training", False))
        if not self._report(done, metrics):
            self.result.stopped = not self.result.ended
            # never raise to stop: `on_train_end` of the other callbacks would be skipped
            self.model.stop_training = True

    def take_returned(self, given: list[dict[str, float]], epochs: int) -> None:
        """Use what an own `fit` returned as its epochs. Each is reported as the last epoch, so that none is pruned.

        Raises:
            CnnsearchError: if the metric is not in it.
        """
        known = numbered_metrics.numbered(self.model)
        given = [self._usable(numbered_metrics.plain(told, known, self._metric)) for told in given]
        if not given and self._last:
            raise self._unknown(self._last)
        for epoch, metrics in enumerate(given):
            told = {**(self._last if len(given) == 1 else {}), **metrics}
            if self._metric not in told:
                raise self._unknown(told)
            self.result.history.append(told)
            if not _healthy(told):
                self._fail(epoch, told)
                return
            self._keep_best(epoch, told[self._metric])
            self._report(epochs, told)

    def _usable(self, metrics: dict[str, float]) -> dict[str, float]:
        """`metrics` without those that are not finite, such as an F1 of 0/0, if the search does not need them."""
        needed = ("loss", "val_loss", self._metric)
        return {name: value for name, value in metrics.items() if name in needed or math.isfinite(value)}

    def _unknown(self, metrics: dict[str, float]) -> CnnsearchError:
        return CnnsearchError(metric_names.unknown_metric(self._metric, metrics))

    def facts(self) -> dict[str, Any]:
        """The result so far, for a checkpoint."""
        told = {"history": self.result.history, "score": self.result.score, "best_epoch": self.result.best_epoch}
        seconds = self.result.seconds + time.perf_counter() - self._began
        return {**told, "seconds": seconds, "weights": self.result.weights}

    def resume(self, saved: Checkpoint) -> None:
        """Continue from the result of an interrupted training."""
        self.result = TrainingResult(**saved.facts, weights=saved.weights)

    def _keep_best(self, epoch: int, score: float) -> None:
        best = self.result.score
        if math.isnan(best) or self._sign * score > self._sign * best:
            self.result.score, self.result.best_epoch = score, epoch + 1
            self.result.weights = self._core.get_weights()

    def _fail(self, epoch: int, metrics: dict[str, float]) -> None:
        name = next((name for name, value in metrics.items() if not math.isfinite(value)), "loss")
        said = f"the {name} was {metrics.get(name, math.nan):g} in epoch {epoch + 1}"
        self.failure = TrialFailure("nan", said)
        self.model.stop_training = True


def _numbers(logs: dict[str, Any]) -> dict[str, float]:
    """The metrics that are one number; such as F1Score may have one for each class."""
    found = {}
    for name, value in logs.items():
        with contextlib.suppress(TypeError, ValueError):
            found[name] = float(value)
    return found


def _healthy(metrics: dict[str, float]) -> bool:
    return all(math.isfinite(value) for value in metrics.values()) and metrics.get("loss", 0) < DIVERGED
