"""Trains one candidate: by a trainer, by its own `fit`, by compiled epochs, or by Keras' `fit`."""

import contextlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from cnnsearch.core import metrics as computed_metrics
from cnnsearch.core.errors import CnnsearchError, TrialFailure
from cnnsearch.core.metrics import Measures
from cnnsearch.study import config as study_config
from cnnsearch.training import checkpoint, fit_results, heads, label_forms
from cnnsearch.training.candidate import Candidate
from cnnsearch.training.copies import too_many
from cnnsearch.training.epoch_callback import EpochReporter, Measurer, Report, TrainingResult
from cnnsearch.training.failures import failure
from cnnsearch.training.lazy_keras import is_loaded, is_model
from cnnsearch.training.training_data import TrainingData


class CheckpointOptions(NamedTuple):
    """How the state of a training is saved and resumed.

    Attributes:
        address: the checkpoint's address.
        key: the candidate's key.
        saved: the state to resume from.
        pauses: whether the training ends at this epoch to be resumed later, so that its state must be saved.
        tried: is called with whether a checkpoint was written.
    """

    address: str
    key: str
    saved: checkpoint.Checkpoint | None = None
    pauses: Callable[[], bool] = bool
    tried: Callable[[bool], object] = bool


def fit(
    hp: Any,
    model: Any,
    data: TrainingData,
    *,
    epochs: int,
    callbacks: list[Any],
    first_epoch: int = 0,
    by_epochs: bool = False,
    measures: Measures | None = None,
) -> Any:
    """The trainer of spaces that name none: compiled epochs if they are allowed and possible, else Keras' `fit`.

    The features of a frozen stem are computed once.

    Args:
        hp: the drawn values; not used.
        model: a compiled Keras model.
        data: training and validation images (n, height, width, channels) with their labels.
        epochs: the last epoch.
        callbacks: Keras callbacks.
        first_epoch: how many epochs are trained already.
        by_epochs: whether compiled epochs are allowed.
        measures: computes more metrics from the outputs for the validation images, after each epoch.

    Returns:
        Keras' History.
    """
    from cnnsearch.training import compiled, feature_cache
    from cnnsearch.training.batches import Batches

    model, x, x_val = feature_cache.with_cached_features(model, data.x, data.x_val)
    data = data._replace(x=x, x_val=x_val)
    if by_epochs and compiled.suits(model, callbacks) and compiled.holds(data):
        return compiled.fit(model, data, epochs=epochs, callbacks=callbacks, first_epoch=first_epoch, measures=measures)
    if by_epochs:
        # a reused model may have a program of Keras' with the numbers of an earlier plan
        model.train_function = model.test_function = None
    rest = keywords(data, epochs, _with_measures(model, data, measures, callbacks))
    if too_many(data.x, data.x_val):
        rest["validation_data"] = Batches(data.x_val, data.y_val, rest.pop("validation_batch_size"))
    weights = rest.pop("sample_weight", None)
    some = Batches(data.x, data.y, data.batch_size, weights, shuffle=True, epoch=first_epoch)
    return model.fit(some, initial_epoch=first_epoch, shuffle=False, **rest)


def keywords(data: TrainingData, epochs: int, callbacks: list[Any]) -> dict[str, Any]:
    """The keyword arguments of Keras' `fit`, or of an author's own."""
    weighted = {} if data.weights is None else {"sample_weight": data.weights}
    return {
        **weighted,
        "epochs": epochs,
        "validation_data": (data.x_val, data.y_val),
        "callbacks": callbacks,
        "verbose": 0,
        "validation_batch_size": max(512, data.batch_size),
    }


def resumed(candidate: Candidate, address: str, key: str) -> checkpoint.Checkpoint | None:
    """The saved state of this candidate's training, loaded into its model; None if the training begins anew."""
    saved = checkpoint.load(address, key)
    if saved is None:
        return None
    try:
        saved.restore(candidate.model)
    except ValueError:
        return None
    return saved


def train(
    candidate: Candidate,
    trainer: Any,
    hp: Any,
    data: TrainingData,
    epochs: int,
    metric: str,
    report: Report,
    keep: CheckpointOptions | None = None,
    maximize: bool | None = None,
) -> TrainingResult:
    """Train `candidate` for at most `epochs`. The weights of its best epoch are in `candidate.core` afterwards.

    Without a `trainer` the candidate's own `fit` is used, or else Keras'. Only with Keras' `fit` can a training be
    saved and resumed (`keep`). If no epoch of an own `fit` reports the metric, what it returns counts as its epochs,
    and the weights are those at its end. `maximize`: whether a larger metric is better; None: what its name says.

    Raises:
        TrialFailure: `nan` if the loss diverges; else the kind that `failure` gives the error.
        CnnsearchError: if there is no such metric.
    """
    started = time.perf_counter()
    own = trainer is None and candidate.fit is not None
    larger = study_config.maximize(metric) if maximize is None else maximize
    reporter = EpochReporter(candidate.core, metric, report, larger, lenient=own)
    # for trainers that only call its `on_epoch_end`
    reporter.set_model(candidate.model)
    try:
        with _shuffled_each_epoch():
            returned = _call_fit(candidate, trainer, hp, data, epochs, metric, reporter, keep)
    except CnnsearchError:
        raise
    except Exception as error:
        raise failure(error, "plugin_error") from error
    if own and not reporter.failure and not reporter.result.weights:
        reporter.take_returned(fit_results.epochs(returned, metric, larger), epochs)
    result = _checked(reporter, own)
    if own and isinstance(returned, list | tuple) and len(returned) > 1:
        # the result of several trainings is their mean
        result.score = fit_results.epochs(returned, metric, larger)[0].get(metric, result.score)
    candidate.core.set_weights(result.weights)
    result.seconds += time.perf_counter() - started
    return result


def _shuffled_each_epoch() -> contextlib.AbstractContextManager[None]:
    """Inside, the author's calls of Keras' `fit` give each epoch another order; nothing if Keras is not loaded."""
    if not is_loaded():
        return contextlib.nullcontext()
    from cnnsearch.training.batches import shuffled_each_epoch

    return shuffled_each_epoch()


def _call_fit(
    candidate: Candidate,
    trainer: Any,
    hp: Any,
    data: TrainingData,
    epochs: int,
    metric: str,
    reporter: EpochReporter,
    keep: CheckpointOptions | None,
) -> Any:
    """Train by the trainer, by the candidate's own `fit` or by `fit`; what an own `fit` returns."""
    measures = _measures(candidate, metric, data.y_val)
    if trainer is None and candidate.fit is None:
        if not is_model(candidate.model):
            raise TrialFailure(
                "invalid", "it is not a Keras model, so its HyperModel needs a fit, or its space needs a trainer"
            )
        _fit_resumable(candidate, hp, data, epochs, reporter, keep, measures)
        return None
    callbacks = _with_measures(candidate.model, data, measures, [*candidate.callbacks, reporter])
    if trainer is not None:
        trainer(hp, candidate.model, data, epochs=epochs, callbacks=callbacks)
        return None
    return candidate.fit(hp, candidate.model, data.x, data.y, **keywords(data, epochs, callbacks))


def _fit_resumable(
    candidate: Candidate,
    hp: Any,
    data: TrainingData,
    epochs: int,
    reporter: EpochReporter,
    keep: CheckpointOptions | None,
    measures: Measures | None,
) -> None:
    """`fit` from the epoch at which the training was interrupted, if it was; its state is saved for the next time."""
    callbacks, own, first = [*candidate.callbacks, reporter], candidate.callbacks, 0
    if keep is not None:
        when = keep.pauses, keep.tried
        callbacks.append(
            checkpoint.CheckpointWriter(keep.address, keep.key, candidate.model, own, reporter.facts, *when)
        )
    if keep is not None and keep.saved is not None:
        reporter.resume(keep.saved)
        callbacks.append(checkpoint.CallbackRestorer(own, keep.saved.callbacks))
        first = keep.saved.epoch
    if first < epochs:
        told: dict[str, Any] = {"first_epoch": first, "by_epochs": candidate.compiled, "measures": measures}
        fit(hp, candidate.model, data, epochs=epochs, callbacks=callbacks, **told)


def _checked(reporter: EpochReporter, own: bool) -> TrainingResult:
    """The result of a training that ended.

    Raises:
        TrialFailure: if it failed, or ended no epoch.
    """
    if reporter.failure:
        raise reporter.failure
    if reporter.result.history:
        return reporter.result
    reason = "the trainer reported no epoch: it must pass its callbacks to fit"
    if own:
        reason += ", or return a number, a dict of metrics or the History"
    raise TrialFailure("plugin_error", reason)


def _measures(candidate: Candidate, metric: str, y_val: Any) -> Measures | None:
    """The function that computes `metric` from the candidate's answers, if it is a metric that we compute."""
    codes = label_forms.codes(y_val, candidate.labels)
    computed = computed_metrics.measures(metric, codes)
    if computed is None or candidate.reads == "softmax":
        return computed
    classes = max(2, candidate.units)
    return lambda found: computed(heads.read(found, candidate.reads, classes))


def _with_measures(model: Any, data: TrainingData, measures: Measures | None, callbacks: list[Any]) -> list[Any]:
    """`callbacks` after the one that adds what `measures` computes, so that all of them see it."""
    return callbacks if measures is None else [Measurer(model, data.x_val, measures), *callbacks]
