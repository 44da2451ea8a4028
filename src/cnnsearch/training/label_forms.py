"""The forms of labels, and which form a model's loss takes."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.errors import TrialFailure, error_line
from cnnsearch.training.losses import INTEGER, loss_name

FORMS = ("integer", "onehot", "binary", "sign")
"""Class numbers (n,); one column for each class, 0 or 1; one column for two classes, 0 or 1; the same with -1 for 0."""


def encoded(y: NDArray[Any], form: str, columns: int) -> NDArray[Any]:
    """Class numbers (n,) in one of FORMS. `columns` is the number of columns, for forms that have columns."""
    if form == "integer":
        return y
    if columns == 1:
        table = np.arange(2, dtype="float32")[:, None]
    else:
        table = np.eye(max(columns, int(y.max(initial=0)) + 1), columns, dtype="float32")
    found: NDArray[Any] = (2 * table - 1 if form == "sign" else table)[y]
    return found


def codes(y: NDArray[Any], form: str) -> NDArray[Any]:
    """The class numbers (n,) of labels in this form: the inverse of `encoded`."""
    if form == "integer":
        return y
    return y.argmax(-1) if y.shape[-1] > 1 else (y[:, 0] > 0).astype("int64")


def named_form(asked: str, units: int) -> str:
    """The form of labels that an author named; empty if the author named none.

    Raises:
        TrialFailure: `invalid`, if there is no such form, or it does not fit the model.
    """
    if not asked:
        return ""
    if asked not in FORMS:
        raise TrialFailure("invalid", f"labels = {asked!r}: expected one of {', '.join(FORMS)}")
    if units > 1 and asked == "binary":
        raise TrialFailure("invalid", f"labels = 'binary' is for a model of one output; this one has {units}")
    # one column of two classes
    return "binary" if asked == "onehot" and units == 1 else asked


def form_of(loss: Any, units: int, classes: int, activation: str) -> str:
    """The form of labels that this loss takes, for a model with so many outputs and this activation.

    Raises:
        TrialFailure: `invalid`, if no form fits an author's loss.
    """
    name = loss_name(loss)
    if name in ("crossentropy", "ce") or loss is None:
        return "binary" if units == 1 else "integer"
    if name in INTEGER:
        return "integer"
    # Keras' hinge losses turn 0 into -1 themselves, and its accuracy knows only 0 and 1
    if name:
        return "binary" if units == 1 else "onehot"
    return _form_by_trial(loss, units, classes, activation)


def _form_by_trial(loss: Any, units: int, classes: int, activation: str) -> str:
    """The form of labels with which an author's loss is smaller for right answers than for wrong answers.

    Raises:
        TrialFailure: `invalid`, if there is no such form. The message says how to name the form.
    """
    whole = _as_loss(loss)
    # few images, and never as many as classes, since then a wrong shape would go unnoticed
    y = np.tile(np.arange(min(classes, 10)), 3)[: 2 * min(classes, 10) + 1]
    forms, said = ("binary", "sign") if units == 1 else ("integer", "onehot", "sign"), ""
    for form in forms:
        try:
            losses = [
                float(np.mean(whole(encoded(y, form, units), _confident_answers(now, units, activation))))
                for now in (y, (y + 1) % min(classes, 10))
            ]
            each = [_right_is_better(whole, form, units, label, min(classes, 10), activation) for label in (0, 1)]
        except Exception as error:  # an author's loss may raise anything
            said = said or f": {error_line(error)}"
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


def _right_is_better(whole: Any, form: str, units: int, label: int, classes: int, activation: str) -> bool:
    """Whether the right answer has a smaller loss than a wrong one for images of one class."""
    y = np.full(2 * classes + 1, label)
    right, wrong = (
        float(np.mean(whole(encoded(y, form, units), _confident_answers(now, units, activation))))
        for now in (y, (y + 1) % classes)
    )
    return right < wrong - 1e-7


def _confident_answers(y: NDArray[Any], units: int, activation: str) -> Any:
    """Confident answers for these classes, as a layer with that activation would give them."""
    low, high = {"sign": (-0.98, 0.98), "sigmoid": (0.01, 0.99)}.get(activation, (-4.0, 4.0))
    import keras

    found = np.where(encoded(y, "onehot", units) > 0.5, high, low).astype("float32")
    if activation == "softmax":
        found = np.exp(found)
        found /= found.sum(-1, keepdims=True)
    return keras.ops.convert_to_tensor(found)


def _as_loss(loss: Any) -> Any:
    """A loss of Keras as it is; a plain function as Keras wraps it."""
    import keras

    class FunctionLoss(keras.losses.Loss):  # type: ignore[misc]
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return loss(y_true, y_pred)

    return loss if isinstance(loss, keras.losses.Loss) else FunctionLoss()
