"""One candidate trained: every epoch reported, a stop obeyed, the best epoch kept, a failure given its type."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from cnnsearch.core import metric_names
from cnnsearch.core import metrics as measuring
from cnnsearch.core.errors import CnnsearchError, TrialFailure, out_of_memory, reason
from cnnsearch.data.dataset import Images
from cnnsearch.data.splits import Split
from cnnsearch.spaces.plan import Plan
from cnnsearch.study.config import maximize
from cnnsearch.training import build, feature_cache, fit_results, heads, model_io, numbered_metrics
from cnnsearch.training import checkpoint as resuming
from cnnsearch.training import compiled as lean
from cnnsearch.training.batches import MOST, Batches, too_many

Report = Callable[[int, dict[str, float]], bool]
"""Told (epoch from 1, its metrics); answers whether to go on."""

DIVERGED = 1e8
"""A loss above this is taken for divergence: Keras' TerminateOnNaN let a loss of 4e29 pass."""


class Fold(NamedTuple):
    """What a trainer may see: training and validation, never test. Labels are in one of `heads.FORMS`.

    `x_clean` is `x` without its noise, for datasets that know it. `weights`, float32 (n,), is how much each training
    image counts in the loss; None where all count alike.
    """

    x: Images
    y: Any
    x_val: Images
    y_val: Any
    batch_size: int
    x_clean: Images | None = None
    weights: NDArray[np.float32] | None = None


class Keep(NamedTuple):
    """Where a training's state is kept after its epochs, for which candidate, and what it goes on from."""

    path: Path
    key: str
    saved: resuming.Saved | None = None
    waits: Callable[[], bool] = bool
    """Whether the training ends here to be gone on with later, so that its state must be kept."""


class Candidate(NamedTuple):
    """A model to train, the network in it that is kept, and what is known about it.

    Attributes:
        labels: how its labels are given, one of `heads.FORMS`, with so many columns as `units` (0: as classes).
        reads: how the network's answers are read, as `heads.read` takes it.
        lean: whether it may be trained by `lean.fit`.
        class_weight: how much the images of a class count in its loss, as `Plan.class_weight`.
    """

    model: Any
    core: Any
    batch_size: int
    callbacks: list[Any]
    labels: str
    fit: Any = None
    lean: bool = False
    class_weight: str = "none"
    units: int = 0
    reads: str = "softmax"


@dataclass
class Outcome:
    """What a training gave: `score` is the metric of `best_epoch`, whose weights are in `weights`."""

    score: float = math.nan
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    stopped: bool = False
    weights: list[Any] = field(default_factory=list)


def from_plan(plan: Plan, images: int, by_epochs: bool = True, passes: int = 0) -> Candidate:
    """The candidate that `plan` describes, compiled for a training set of that many images.

    `by_epochs` is whether an epoch may be one compiled program; else it is always Keras' `fit`. A schedule is scaled to
    so many `passes` over the images; 0: to the plan's epochs.
    """
    core = build.core(plan)
    model = build.training_model(plan, core)
    steps = math.ceil(images / plan.batch_size)
    build.compile_(model, plan, steps * passes / plan.epochs if passes else steps)
    made = Candidate(model, core, plan.batch_size, build.callbacks(plan), "onehot")
    return made._replace(lean=by_epochs, class_weight=plan.class_weight)


def from_hypermodel(
    hypermodel: Any, hp: Any, batch_size: int, shape: tuple[int, ...] = (), classes: int = 0
) -> Candidate:
    """The candidate that a `build(hp)` function or a HyperModel makes; its own `fit` is honoured.

    A model that was given no input is built for images of this `shape`, and of so many `classes` (0: as it has
    outputs). An attribute `labels` of the function or HyperModel names the form of its labels (`heads.FORMS`), where
    the loss does not tell it.

    Raises:
        TrialFailure: if it is neither a compiled Keras model nor a `models.Classifier`, or does not fit the data.
    """
    model = hypermodel.build(hp) if hasattr(hypermodel, "build") else hypermodel(hp)
    own_fit, asked = getattr(hypermodel, "fit", None), str(getattr(hypermodel, "labels", None) or "")
    if not isinstance(model, keras.Model):
        lacking = model_io.missing(model)
        if lacking:
            reason = f"the hypermodel gave {type(model).__name__}; expected a compiled Keras model"
            raise TrialFailure("invalid", f"{reason}, or a classifier with {', '.join(lacking)} too")
        return Candidate(model, model, batch_size, [], asked or "integer", own_fit)
    if not model.compiled:
        reason = "the hypermodel gave a model that is not compiled; expected a compiled Keras model"
        raise TrialFailure("invalid", reason)
    if shape and not model.built:
        _build(model, shape)
    found = heads.head(model, shape, classes, asked)
    heads.fit_metrics(model, found)
    core = model_io.plain_output(model)
    return Candidate(model, core, batch_size, [], found.labels, own_fit, units=found.units, reads=found.reads)


def _build(model: Any, shape: tuple[int, ...]) -> None:
    """Make the weights of a model that was given no input."""
    if isinstance(model, keras.Sequential):
        model.build((None, *shape))
    else:
        # Keras warns of layers that `build` does not reach
        model(np.zeros((1, *shape), "float32"), training=False)


def part(parts: Split, share: float, seed: int) -> Split:
    """`parts` with only a share of the training images, at most MOST bytes, the same ones for every candidate."""
    count = max(1, min(round(share * len(parts.x)), MOST // max(1, parts.x[:1].nbytes)))
    rows = np.sort(np.random.default_rng(seed).permutation(len(parts.x))[:count])
    clean = None if parts.x_clean is None else parts.x_clean[rows]
    return replace(parts, x=parts.x[rows], y=parts.y[rows], x_clean=clean)


def fold(candidate: Candidate, parts: Split, classes: int) -> Fold:
    """Training and validation as `candidate`'s loss wants its labels, and the weights that its plan asks for."""
    weights = measuring.class_weights(parts.y, classes) if candidate.class_weight == "balanced" else None
    columns = candidate.units or classes
    y, y_val = (heads.encoded(part, candidate.labels, columns) for part in (parts.y, parts.y_val))
    return Fold(parts.x, y, parts.x_val, y_val, candidate.batch_size, parts.x_clean, weights)


def fit(
    hp: Any,
    model: Any,
    data: Fold,
    *,
    epochs: int,
    callbacks: list[Any],
    first_epoch: int = 0,
    by_epochs: bool = False,
    measures: measuring.Measures | None = None,
) -> Any:
    """The trainer of spaces that name none: Keras' `fit`, or `lean.fit` where that is allowed and can.

    What a frozen stem gives is computed once. What `measures` gives of the answers to the validation images is
    reported with each epoch.
    """
    model, x, x_val = feature_cache.past(model, data.x, data.x_val)
    data = data._replace(x=x, x_val=x_val)
    if by_epochs and lean.suits(model, callbacks) and lean.holds(data):
        return lean.fit(model, data, epochs=epochs, callbacks=callbacks, first_epoch=first_epoch, measures=measures)
    rest = keywords(data, epochs, _with_measures(model, data, measures, callbacks))
    if too_many(data.x, data.x_val):
        rest["validation_data"] = Batches(data.x_val, data.y_val, rest.pop("validation_batch_size"))
        some = Batches(data.x, data.y, data.batch_size, rest.pop("sample_weight", None), shuffle=True)
        return model.fit(some, initial_epoch=first_epoch, shuffle=False, **rest)
    return model.fit(data.x, data.y, batch_size=data.batch_size, initial_epoch=first_epoch, **rest)


def resumed(candidate: Candidate, path: Path, key: str) -> resuming.Saved | None:
    """What was kept of this candidate's training, put into its model; None where it begins anew."""
    saved = resuming.load(path, key)
    if saved is None:
        return None
    try:
        saved.put_into(candidate.model)
    except ValueError:
        return None
    return saved


def train(
    candidate: Candidate,
    trainer: Any,
    hp: Any,
    data: Fold,
    epochs: int,
    metric: str,
    report: Report,
    keep: Keep | None = None,
) -> Outcome:
    """Train `candidate` for at most `epochs`; the weights of its best epoch end up in `candidate.core`.

    Without a `trainer` it is the candidate's own `fit`, else Keras'; only that can `keep` a training's state and go
    on from it. What an own `fit` gives back stands for its epochs where none of them reports the metric; then
    the weights are those that it leaves.

    Raises:
        TrialFailure: `nan` if the loss diverges; else the type that `failure` gives the error.
        CnnsearchError: if there is no such metric.
    """
    started = time.perf_counter()
    own = trainer is None and candidate.fit is not None
    watch = Watch(candidate.core, metric, report, lenient=own)
    measures = _measures(candidate, metric, data.y_val)
    # for trainers that only call its `on_epoch_end`
    watch.set_model(candidate.model)
    if trainer is None and candidate.fit is None and not isinstance(candidate.model, keras.Model):
        raise TrialFailure("invalid", "it is no Keras model, so its HyperModel needs a fit, or its space a trainer")
    given: Any = None
    try:
        callbacks = [*candidate.callbacks, watch]
        if trainer is not None:
            callbacks = _with_measures(candidate.model, data, measures, callbacks)
            trainer(hp, candidate.model, data, epochs=epochs, callbacks=callbacks)
        elif own:
            callbacks = _with_measures(candidate.model, data, measures, callbacks)
            given = candidate.fit(hp, candidate.model, data.x, data.y, **keywords(data, epochs, callbacks))
        else:
            _fit_kept(candidate, hp, data, epochs, watch, keep, measures)
    except CnnsearchError:
        raise
    except Exception as error:
        raise failure(error, "plugin_error") from error
    if own and not watch.failure and not watch.outcome.weights:
        watch.take(fit_results.epochs(given, metric), epochs)
    if watch.failure:
        raise watch.failure
    outcome = watch.outcome
    if not outcome.history:
        said = "the trainer ended no epoch: it must pass its callbacks on to fit"
        if own:
            said += ", or give back a number, a dict of metrics or the History"
        raise TrialFailure("plugin_error", said)
    if own and isinstance(given, list | tuple) and len(given) > 1:
        # several trainings: what they have in common is their mean
        outcome.score = fit_results.epochs(given, metric)[0].get(metric, outcome.score)
    candidate.core.set_weights(outcome.weights)
    outcome.seconds += time.perf_counter() - started
    return outcome


def _fit_kept(
    candidate: Candidate,
    hp: Any,
    data: Fold,
    epochs: int,
    watch: "Watch",
    keep: Keep | None,
    measures: measuring.Measures | None,
) -> None:
    """`fit` from where the training was cut off, if it was; its state is kept for the next time."""
    callbacks, own, first = [*candidate.callbacks, watch], candidate.callbacks, 0
    if keep is not None:
        callbacks.append(resuming.Keeper(keep.path, keep.key, candidate.model, own, watch.facts, keep.waits))
    if keep is not None and keep.saved is not None:
        watch.go_on(keep.saved)
        callbacks.append(resuming.Restorer(own, keep.saved.callbacks))
        first = keep.saved.epoch
    if first < epochs:
        told: dict[str, Any] = {"first_epoch": first, "by_epochs": candidate.lean, "measures": measures}
        fit(hp, candidate.model, data, epochs=epochs, callbacks=callbacks, **told)


def _measures(candidate: Candidate, metric: str, y_val: Any) -> measuring.Measures | None:
    """What computes `metric` from the candidate's answers, if it is one that is computed."""
    codes = heads.codes(y_val, candidate.labels)
    computed = measuring.measures(metric, codes)
    if computed is None or candidate.reads == "softmax":
        return computed
    classes = max(2, candidate.units)
    return lambda found: computed(heads.read(found, candidate.reads, classes))


def _with_measures(model: Any, data: Fold, measures: measuring.Measures | None, callbacks: list[Any]) -> list[Any]:
    """`callbacks` behind the one that adds what `measures` gives, so that all of them see it."""
    return callbacks if measures is None else [Measurer(model, data.x_val, measures), *callbacks]


class Measurer(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds to each epoch's logs what `measures` gives of the answers of `model` to the images `x`."""

    def __init__(self, model: Any, x: Any, measures: measuring.Measures) -> None:
        super().__init__()
        # not `model`, which is what `fit` trains
        self._asked, self._x, self._measures = model, x, measures

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is None:
            return
        found = self._measures(model_io.answers(self._asked, self._x))
        own = numbered_metrics.plain(logs, numbered_metrics.numbered(self._asked))
        # a model's own metric of that name is what its author means
        logs.update({name: value for name, value in found.items() if name not in own})


class Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports each epoch, keeps the best one's weights, and ends the training when told to.

    A `lenient` one lets epochs pass that do not report the metric: what `fit` gives back may.
    """

    def __init__(self, core: Any, metric: str, report: Report, lenient: bool = False) -> None:
        super().__init__()
        self.outcome = Outcome()
        self.failure: TrialFailure | None = None
        self._core, self._metric, self._report, self._lenient = core, metric, report, lenient
        self._sign = 1 if maximize(metric) else -1
        self._began = time.perf_counter()
        self._last: dict[str, float] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        told = {name: float(value) for name, value in (logs or {}).items()}
        metrics = numbered_metrics.plain(told, numbered_metrics.numbered(self.model))
        if isinstance(self.model, keras.Model):
            metrics["learning_rate"] = build.learning_rate(self.model)
        self._last = metrics
        if self._metric not in metrics:
            if self._lenient:
                return
            raise self._unknown(metrics)
        self.outcome.history.append(metrics)
        if not _healthy(metrics):
            self._fail(epoch, metrics)
            return
        self._keep(epoch, metrics[self._metric])
        if not self._report(epoch + 1, metrics):
            self.outcome.stopped = True
            # never raise to stop: `on_train_end` of the other callbacks would be skipped
            self.model.stop_training = True

    def take(self, given: list[dict[str, float]], epochs: int) -> None:
        """Take what `fit` gave back for its epochs. Each is reported as the last of `epochs`, so that none is pruned.

        Raises:
            CnnsearchError: if the metric is not in it.
        """
        given = [numbered_metrics.plain(told, numbered_metrics.numbered(self.model)) for told in given]
        if not given and self._last:
            raise self._unknown(self._last)
        for epoch, metrics in enumerate(given):
            told = {**(self._last if len(given) == 1 else {}), **metrics}
            if self._metric not in told:
                raise self._unknown(told)
            self.outcome.history.append(told)
            if not _healthy(told):
                self._fail(epoch, told)
                return
            self._keep(epoch, told[self._metric])
            self._report(epochs, told)

    def _unknown(self, metrics: dict[str, float]) -> CnnsearchError:
        return CnnsearchError(metric_names.unknown_metric(self._metric, metrics))

    def facts(self) -> dict[str, Any]:
        """The outcome so far, for a training that goes on later."""
        told = {"history": self.outcome.history, "score": self.outcome.score, "best_epoch": self.outcome.best_epoch}
        seconds = self.outcome.seconds + time.perf_counter() - self._began
        return {**told, "seconds": seconds, "weights": self.outcome.weights}

    def go_on(self, saved: resuming.Saved) -> None:
        """Take over the outcome of a training that was cut off."""
        self.outcome = Outcome(**saved.facts, weights=saved.weights)

    def _keep(self, epoch: int, score: float) -> None:
        best = self.outcome.score
        if math.isnan(best) or self._sign * score > self._sign * best:
            self.outcome.score, self.outcome.best_epoch = score, epoch + 1
            self.outcome.weights = self._core.get_weights()

    def _fail(self, epoch: int, metrics: dict[str, float]) -> None:
        name = next((name for name, value in metrics.items() if not math.isfinite(value)), "loss")
        said = f"the {name} was {metrics.get(name, math.nan):g} in epoch {epoch + 1}"
        self.failure = TrialFailure("nan", said)
        self.model.stop_training = True


def failure(error: BaseException, otherwise: str) -> TrialFailure:
    """`error` as a typed failure: `oom` where it speaks of memory, else `otherwise`."""
    if isinstance(error, TrialFailure):
        return error
    if isinstance(error, CnnsearchError):
        return TrialFailure(otherwise, error.message)
    message = f"{type(error).__name__}: {reason(error)}"
    return TrialFailure("oom" if out_of_memory(error) else otherwise, message)


def _healthy(metrics: dict[str, float]) -> bool:
    return all(math.isfinite(value) for value in metrics.values()) and metrics.get("loss", 0) < DIVERGED


def keywords(data: Fold, epochs: int, callbacks: list[Any]) -> dict[str, Any]:
    """What Keras' `fit`, or an author's own, is given beside images and labels."""
    weighted = {} if data.weights is None else {"sample_weight": data.weights}
    return {
        **weighted,
        "epochs": epochs,
        "validation_data": (data.x_val, data.y_val),
        "callbacks": callbacks,
        "verbose": 0,
        "validation_batch_size": max(512, data.batch_size),
    }
