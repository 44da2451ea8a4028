"""How a compiled Keras model takes its labels, and how its answers are read, found out from its loss and its output."""

import functools
import math
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import TrialFailure

FORMS = ("integer", "onehot", "binary", "sign")
"""Class numbers (n,); one column a class, 0 or 1; one column for two classes, 0 or 1; the same with -1 for 0."""

INTEGER = ("sparse_categorical_crossentropy",)
HINGE = ("hinge", "squared_hinge", "categorical_hinge")
SOFTMAX = (*INTEGER, "categorical_crossentropy", "categorical_focal_crossentropy", "kl_divergence")
SIGMOID = ("binary_crossentropy", "binary_focal_crossentropy")

ACTIVATIONS = {
    "softmax": "softmax",
    "log_softmax": "softmax logits",
    "sigmoid": "sigmoid",
    "hard_sigmoid": "sigmoid",
    "tanh": "sign",
}
"""How answers are read that come from a layer with one of these activations."""


ABOUT_ZERO = ("sigmoid logits", "sign")
"""Readings of one output that lies above 0 for the second class."""


OF_ZEROS = (
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
"""Metrics of Keras' that expect labels of 0 and 1; its hinge metrics, and those of regression, take -1 and 1."""


class Head(NamedTuple):
    """The end of a model: how many outputs it has, how its labels are given, and how its answers are read."""

    units: int
    labels: str
    reads: str


def head(model: Any, shape: tuple[int, ...], classes: int, asked: str = "") -> Head:
    """The head of a compiled Keras model for images of `shape` and so many classes; `asked` names its labels' form.

    Raises:
        TrialFailure: `invalid`, if the model does not fit the images or the classes, or its labels are not known.
    """
    check_input(model, shape)
    answers = None if outputs(model) else _tried_out(model, shape)
    units, loss = _units(model, answers), _unwrapped(model.loss)
    classes = classes or max(2, units)
    _check_units(units, classes, loss)
    known = _activation(model)
    if not known and not (_name(loss) or _is_linear(model)):
        known = _seen(_tried_out(model, shape)[0] if answers is None else answers[0])
    labels = _asked(asked, units) or _form(loss, units, classes, known)
    if labels == "sign" and known == "sigmoid":
        # answers by chance may all lie above 0
        known = "sign"
    return Head(units, labels, known or _read_by_loss(loss, labels, units))


def encoded(y: NDArray[Any], form: str, columns: int) -> NDArray[Any]:
    """Class numbers (n,) in one of FORMS, with so many columns where it has columns."""
    if form == "integer":
        return y
    if columns == 1:
        table = np.arange(2, dtype="float32")[:, None]
    else:
        table = np.eye(max(columns, int(y.max(initial=0)) + 1), columns, dtype="float32")
    found: NDArray[Any] = (2 * table - 1 if form == "sign" else table)[y]
    return found


def codes(y: NDArray[Any], form: str) -> NDArray[Any]:
    """The class numbers (n,) of labels that are `encoded` so."""
    if form == "integer":
        return y
    return y.argmax(-1) if y.shape[-1] > 1 else (y[:, 0] > 0).astype("int64")


def read(answers: Any, reads: str, classes: int) -> NDArray[Any]:
    """What a model answered, (n, units), as probabilities (n, classes) in float32.

    `reads` is one of `softmax`, `softmax logits`, `sigmoid`, `sigmoid logits` and `sign` (-1 to 1); one unit is the
    second of two classes.
    """
    found: NDArray[Any] = np.asarray(answers, "float32")
    if reads == "softmax logits":
        found = np.exp(found - found.max(-1, keepdims=True))
    elif reads == "sigmoid logits":
        found = 1 / (1 + np.exp(-np.clip(found, -60, 60)))
    elif reads == "sign":
        found = (found + 1) / 2
    elif reads in ("", "softmax") and found.shape[-1] == classes:
        return found
    if found.shape[-1] == 1:
        second = np.clip(found, 0, 1)
        return np.concatenate([1 - second, second], -1)
    found = np.maximum(found[..., :classes], 1e-12)
    return np.asarray(found / found.sum(-1, keepdims=True), "float32")


def check_input(model: Any, shape: tuple[int, ...]) -> None:
    """Refuse a model that was made for images of another shape.

    Raises:
        TrialFailure: `invalid`; it names both shapes.
    """
    given = getattr(model, "input_shape", None) if _is_graph(model) else None
    if not shape or not isinstance(given, tuple) or not all(side is None or isinstance(side, int) for side in given):
        return
    expected = tuple(given[1:])
    # Keras itself leaves out a last side of 1, or adds it
    fits = [shape, shape[:-1] if shape[-1] == 1 else shape, (*shape, 1)]
    if any(
        len(expected) == len(fit) and all(e in (None, f) for e, f in zip(expected, fit, strict=True)) for fit in fits
    ):
        return
    ours, theirs = ("x".join(str(side or "?") for side in sides) for sides in (shape, expected))
    hint = f"build it with keras.Input({shape})"
    if expected == (math.prod(shape),):
        hint += " and a Flatten layer"
    raise TrialFailure("invalid", f"the model takes inputs of {theirs}, and the images are of {ours}; {hint}")


class FromSigns(keras.metrics.Metric):  # type: ignore[misc]
    """A metric of Keras' that expects labels of 0 and 1, for labels of -1 and 1."""

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


def fit_metrics(model: Any, found: Head) -> None:
    """Let Keras' own metrics of a compiled model understand its labels and answers, as `found` tells them.

    Keras takes one output for a probability: where it is none, the name `accuracy` decides at 0 and not at 0.5. A
    metric that is an object keeps its threshold, which is the author's to set. Metrics that expect labels of 0 and 1
    get those where the loss takes -1 and 1.
    """
    at_zero, signs = found.units == 1 and found.reads in ABOUT_ZERO, found.labels == "sign"
    compiled = getattr(model, "_compile_metrics", None)
    for kept in ("_user_metrics", "_user_weighted_metrics"):
        if (at_zero or signs) and hasattr(compiled, kept):
            # a new list: the author may give the same one to every model
            setattr(compiled, kept, _fitted(getattr(compiled, kept), at_zero, signs))


def _fitted(metrics: Any, at_zero: bool, signs: bool) -> Any:
    if isinstance(metrics, dict) and "class_name" not in metrics:
        return {name: _fitted(inner, at_zero, signs) for name, inner in metrics.items()}
    if isinstance(metrics, list | tuple):
        return [_fitted(inner, at_zero, signs) for inner in metrics]
    name = metrics if isinstance(metrics, str) else ""
    if at_zero and name.lower() in ("accuracy", "acc", "binary_accuracy"):
        metrics = keras.metrics.BinaryAccuracy(name=name, threshold=0.0)
    if not signs or metrics is None or str(metrics).lower() in ("accuracy", "acc"):
        # of several outputs the largest counts, with labels of -1 and 1 too
        return metrics
    known = keras.metrics.get(metrics)
    # by a name, Keras calls the metric so as well
    return FromSigns(known, name) if type(known) in OF_ZEROS else metrics


def outputs(model: Any) -> list[Any]:
    """The outputs of a model that is a graph of layers; none are known of another."""
    return list(model.outputs) if _is_graph(model) else []


def _is_graph(model: Any) -> bool:
    """Whether a model knows its inputs and outputs: Sequential and Functional ones do."""
    try:
        return bool(model.inputs) and bool(model.outputs)
    except (AttributeError, ValueError):
        return False


def _tried_out(model: Any, shape: tuple[int, ...]) -> list[Any]:
    """What the model answers for some images by chance, the last of them beyond all bounds."""
    images = np.random.default_rng(0).uniform(0, 255, (4, *shape)).astype("float32")
    images[2:] *= 1000
    return [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(model(images, training=False))]


def _units(model: Any, answers: list[Any] | None) -> int:
    """How many numbers the model answers for an image; `answers` are those of a model that is no graph.

    Raises:
        TrialFailure: `invalid`, if it has several outputs, or one that is no row of numbers an image.
    """
    found = outputs(model) if answers is None else answers
    if len(found) != 1:
        names = ", ".join(map(str, getattr(model, "output_names", None) or ()))
        reason = f"the model has {len(found)} outputs{f' ({names})' if names else ''}; a classifier has one"
        raise TrialFailure("invalid", f"{reason}. Give back a model of that output alone")
    if len(found[0].shape) != 2:
        each = "x".join(str(side) for side in found[0].shape[1:]) or "no"
        reason = f"the model answers an image with {each} numbers; expected one row. Add a Flatten or pooling layer"
        raise TrialFailure("invalid", reason)
    return int(found[0].shape[-1])


def _check_units(units: int, classes: int, loss: Any) -> None:
    last = f"end it with Dense({classes}, activation='softmax')"
    if units == 1 and classes > 2:
        reason = f"the model has one output, which tells two classes apart, and the data has {classes}"
        raise TrialFailure("invalid", f"{reason}; {last}, and compile it with 'sparse_categorical_crossentropy'")
    if 1 < units < classes:
        raise TrialFailure("invalid", f"the model has {units} outputs, and the data has {classes} classes; {last}")
    if units == 1 and _name(loss) in SOFTMAX[:3]:
        reason = f"the model has one output, and the loss {_name(loss)} needs one for each class"
        raise TrialFailure("invalid", f"{reason}; compile it with 'binary_crossentropy', or {last}")


def _asked(asked: str, units: int) -> str:
    """The form that an author named.

    Raises:
        TrialFailure: `invalid`, if there is none of that name, or it does not fit the model.
    """
    if not asked:
        return ""
    if asked not in FORMS:
        raise TrialFailure("invalid", f"labels = {asked!r}: expected one of {', '.join(FORMS)}")
    if units > 1 and asked == "binary":
        raise TrialFailure("invalid", f"labels = 'binary' is for a model of one output; this one has {units}")
    # one column of two classes
    return "binary" if asked == "onehot" and units == 1 else asked


def _unwrapped(loss: Any) -> Any:
    """The one loss of what was given to `compile`: a name, an object, a class, a function, or one of these inside.

    Raises:
        TrialFailure: `invalid`, if there are several.
    """
    if isinstance(loss, dict) and "class_name" in loss:
        return keras.losses.get(loss)
    if isinstance(loss, dict | list | tuple):
        inside = [each for each in (loss.values() if isinstance(loss, dict) else loss) if each is not None]
        if len(inside) != 1:
            raise TrialFailure("invalid", f"the model is compiled with {len(inside)} losses; expected one")
        return _unwrapped(inside[0])
    if isinstance(loss, str):
        return loss if loss.lower() in ("crossentropy", "ce") else keras.losses.get(loss)
    return loss() if isinstance(loss, type) else loss


def _name(loss: Any) -> str:
    """Keras' name for one of its own losses; nothing for another's."""
    if isinstance(loss, functools.partial):
        return _name(loss.func)
    if isinstance(loss, str):
        return loss
    kind = loss if not isinstance(loss, keras.losses.Loss) else getattr(loss, "fn", type(loss))
    if not str(getattr(kind, "__module__", "")).startswith("keras."):
        return ""
    # of an object without a function, such as one of a subclass, the class is the author's
    return str(getattr(kind, "__name__", ""))


def _logits(loss: Any) -> bool:
    """Whether a loss is told that it gets logits."""
    if isinstance(loss, functools.partial):
        return bool(loss.keywords.get("from_logits")) or _logits(loss.func)
    kept = getattr(loss, "_fn_kwargs", {})
    return bool(getattr(loss, "from_logits", False) or kept.get("from_logits", False))


def _form(loss: Any, units: int, classes: int, activation: str) -> str:
    name = _name(loss)
    if name in ("crossentropy", "ce") or loss is None:
        return "binary" if units == 1 else "integer"
    if name in INTEGER:
        return "integer"
    # Keras' hinge losses make -1 of 0 themselves, and its accuracy knows 0 and 1 alone
    if name:
        return "binary" if units == 1 else "onehot"
    return _tried(loss, units, classes, activation)


class _Whole(keras.losses.Loss):  # type: ignore[misc]
    """A plain function as a loss, as Keras makes it one."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self._function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self._function(y_true, y_pred)


def _tried(loss: Any, units: int, classes: int, activation: str) -> str:
    """The form of labels by which a loss of the author's own is smaller for right answers than for wrong ones.

    Raises:
        TrialFailure: `invalid`, if there is none; it says how to name the form.
    """
    whole = loss if isinstance(loss, keras.losses.Loss) else _Whole(loss)
    # no more images than needed, and never as many as classes, which would let wrong shapes pass
    y = np.tile(np.arange(min(classes, 10)), 3)[: 2 * min(classes, 10) + 1]
    forms, said = ("binary", "sign") if units == 1 else ("integer", "onehot", "sign"), ""
    for form in forms:
        try:
            losses = [
                float(np.mean(whole(encoded(y, form, units), _answers(now, units, activation))))
                for now in (y, (y + 1) % min(classes, 10))
            ]
            each = [_alone(whole, form, units, label, min(classes, 10), activation) for label in (0, 1)]
        except Exception as error:  # a loss of the author's may raise anything
            said = said or f": {type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
            continue
        if all(map(math.isfinite, losses)) and losses[0] < losses[1] - 1e-7 and all(each):
            return form
    name = getattr(loss, "__name__", type(loss).__name__)
    reason = f"the loss {name} takes neither integer nor one-hot labels{said}"
    if units == 1:
        reason = f"the loss {name} takes labels neither of 0 and 1 nor of -1 and 1{said}"
    raise TrialFailure(
        "invalid", f"{reason}. Name their form: set `labels` of the function or HyperModel to one of {', '.join(FORMS)}"
    )


def _alone(whole: Any, form: str, units: int, label: int, classes: int, activation: str) -> bool:
    """Whether the right answer is better than a wrong one for images of one class."""
    y = np.full(2 * classes + 1, label)
    right, wrong = (
        float(np.mean(whole(encoded(y, form, units), _answers(now, units, activation))))
        for now in (y, (y + 1) % classes)
    )
    return right < wrong - 1e-7


def _answers(y: NDArray[Any], units: int, activation: str) -> Any:
    """Nearly certain answers for these classes, as a layer of that activation would give them."""
    low, high = {"sign": (-0.98, 0.98), "sigmoid": (0.01, 0.99)}.get(activation, (-4.0, 4.0))
    found = np.where(encoded(y, "onehot", units) > 0.5, high, low).astype("float32")
    if activation == "softmax":
        found = np.exp(found)
        found /= found.sum(-1, keepdims=True)
    return keras.ops.convert_to_tensor(found)


def _last(model: Any) -> Any:
    """The layer that gives the answers, as far as that is known."""
    found = outputs(model)
    if found:
        layer = getattr(getattr(found[0], "_keras_history", None), "operation", None)
        return _last(layer) if isinstance(layer, keras.Model) else layer
    return None


def _activation(model: Any) -> str:
    """How the answers are read by the activation of the last layer; nothing where that is not known, or linear."""
    layer = _last(model)
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    return ACTIVATIONS.get(str(getattr(getattr(layer, "activation", None), "__name__", "")), "")


def _is_linear(model: Any) -> bool:
    return str(getattr(getattr(_last(model), "activation", None), "__name__", "")) == "linear"


def _read_by_loss(loss: Any, labels: str, units: int) -> str:
    """How answers are read of which only the loss is known."""
    name = _name(loss)
    if name in HINGE or labels == "sign":
        # several outputs have no bounds where no layer gives them some: the largest is the answer
        return "sign" if units == 1 else "softmax logits"
    if not name or _logits(loss):
        return "sigmoid logits" if units == 1 or name in SIGMOID else "softmax logits"
    return "softmax" if units > 1 and name in (*SOFTMAX, "crossentropy", "ce") else "sigmoid"


def _seen(answers: NDArray[Any]) -> str:
    """How answers (n, units) are read by what they look like; nothing for those without bounds."""
    if answers.min() < -1 or answers.max() > 1:
        return ""
    if answers.min() < 0:
        return "sign"
    return "softmax" if answers.shape[-1] > 1 and np.allclose(answers.sum(-1), 1, atol=1e-3) else "sigmoid"
