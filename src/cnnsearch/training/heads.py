"""The head of a compiled Keras model: its number of outputs, its form of labels, and how its answers are read."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import TrialFailure
from cnnsearch.training.label_forms import form_of, named_form
from cnnsearch.training.lazy_keras import is_model
from cnnsearch.training.losses import HINGE, SIGMOID, SOFTMAX, loss_name, single_loss, takes_logits

ACTIVATIONS = {
    "softmax": "softmax",
    "log_softmax": "softmax logits",
    "sigmoid": "sigmoid",
    "hard_sigmoid": "sigmoid",
    "tanh": "sign",
}
"""How the answers of a layer with one of these activations are read."""

ABOUT_ZERO = ("sigmoid logits", "sign")
"""Readings of a single output that is above 0 for the second class."""


class Head(NamedTuple):
    """The number of outputs of a model, the form of its labels (`label_forms.FORMS`), and how its answers are read."""

    units: int
    labels: str
    reads: str


def head(model: Any, shape: tuple[int, ...], classes: int, asked: str = "") -> Head:
    """The head of a compiled Keras model for images of `shape`.

    Args:
        classes: the number of classes; 0: as many as the model has outputs.
        asked: the form of its labels that the author named; empty: the form that its loss takes.

    Raises:
        TrialFailure: `invalid`, if the model does not fit the images or the classes, or its labels are not known.
    """
    check_input(model, shape)
    answers = None if outputs(model) else _sample_answers(model, shape)
    units, loss = _units(model, answers), single_loss(model.loss)
    classes = classes or max(2, units)
    _check_units(units, classes, loss)
    known = _activation(model)
    if not known and not (loss_name(loss) or _is_linear(model)):
        known = _read_by_values(_sample_answers(model, shape)[0] if answers is None else answers[0])
    labels = named_form(asked, units) or form_of(loss, units, classes, known)
    if labels == "sign" and known == "sigmoid":
        # the answers to random images may all be above 0
        known = "sign"
    return Head(units, labels, known or _read_by_loss(loss, labels, units))


def read(answers: Any, reads: str, classes: int) -> NDArray[Any]:
    """The answers of a model, (n, units), as probabilities (n, classes) in float32.

    `reads` is one of `softmax`, `softmax logits`, `sigmoid`, `sigmoid logits` and `sign` (-1 to 1). A single unit is
    the probability of the second of two classes.
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
    """Refuse a model that was built for images of another shape.

    Raises:
        TrialFailure: `invalid`; it names both shapes.
    """
    given = getattr(model, "input_shape", None) if _is_graph(model) else None
    if not shape or not isinstance(given, tuple) or not all(side is None or isinstance(side, int) for side in given):
        return
    expected = tuple(given[1:])
    # Keras itself removes or adds a last side of 1
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


def outputs(model: Any) -> list[Any]:
    """The outputs of a model that is a graph of layers; empty for other models."""
    return list(model.outputs) if _is_graph(model) else []


def _is_graph(model: Any) -> bool:
    """Whether a model knows its inputs and outputs: Sequential and Functional ones do."""
    try:
        return bool(model.inputs) and bool(model.outputs)
    except (AttributeError, ValueError):
        return False


def _sample_answers(model: Any, shape: tuple[int, ...]) -> list[Any]:
    """The model's answers to random images, some of which have much too large values."""
    import keras

    images = np.random.default_rng(0).uniform(0, 255, (4, *shape)).astype("float32")
    images[2:] *= 1000
    return [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(model(images, training=False))]


def _units(model: Any, answers: list[Any] | None) -> int:
    """How many numbers the model answers for an image; `answers` are those of a model that is not a graph.

    Raises:
        TrialFailure: `invalid`, if it has several outputs, or its output is not one row of numbers for each image.
    """
    found = outputs(model) if answers is None else answers
    if len(found) != 1:
        names = ", ".join(map(str, getattr(model, "output_names", None) or ()))
        reason = f"the model has {len(found)} outputs{f' ({names})' if names else ''}; a classifier has one"
        raise TrialFailure("invalid", f"{reason}. Return a model with only that output")
    if len(found[0].shape) != 2:
        each = "x".join(str(side) for side in found[0].shape[1:]) or "no"
        reason = f"the model returns {each} numbers for an image; expected one row. Add a Flatten or pooling layer"
        raise TrialFailure("invalid", reason)
    return int(found[0].shape[-1])


def _check_units(units: int, classes: int, loss: Any) -> None:
    last = f"end it with Dense({classes}, activation='softmax')"
    if units == 1 and classes > 2:
        reason = f"the model has one output, which is enough for 2 classes, and the data has {classes} classes"
        raise TrialFailure("invalid", f"{reason}; {last}, and compile it with 'sparse_categorical_crossentropy'")
    if 1 < units < classes:
        raise TrialFailure("invalid", f"the model has {units} outputs, and the data has {classes} classes; {last}")
    if units == 1 and loss_name(loss) in SOFTMAX[:3]:
        reason = f"the model has one output, and the loss {loss_name(loss)} needs an output for each class"
        raise TrialFailure("invalid", f"{reason}; compile it with 'binary_crossentropy', or {last}")


def _last(model: Any) -> Any:
    """The layer that gives the answers; None if it is not known."""
    found = outputs(model)
    if found:
        layer = getattr(getattr(found[0], "_keras_history", None), "operation", None)
        return _last(layer) if is_model(layer) else layer
    return None


def _activation(model: Any) -> str:
    """How the answers are read, by the activation of the last layer; empty if it is not known, or linear."""
    import keras

    layer = _last(model)
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    return ACTIVATIONS.get(str(getattr(getattr(layer, "activation", None), "__name__", "")), "")


def _is_linear(model: Any) -> bool:
    return str(getattr(getattr(_last(model), "activation", None), "__name__", "")) == "linear"


def _read_by_loss(loss: Any, labels: str, units: int) -> str:
    """How answers are read, by the loss."""
    name = loss_name(loss)
    if name in HINGE or labels == "sign":
        # several outputs have no bounds unless a layer sets them: the largest one counts
        return "sign" if units == 1 else "softmax logits"
    if not name or takes_logits(loss):
        return "sigmoid logits" if units == 1 or name in SIGMOID else "softmax logits"
    return "softmax" if units > 1 and name in (*SOFTMAX, "crossentropy", "ce") else "sigmoid"


def _read_by_values(answers: NDArray[Any]) -> str:
    """How answers (n, units) are read, by their values; empty if they have no bounds."""
    if answers.min() < -1 or answers.max() > 1:
        return ""
    if answers.min() < 0:
        return "sign"
    return "softmax" if answers.shape[-1] > 1 and np.allclose(answers.sum(-1), 1, atol=1e-3) else "sigmoid"
