"""A stem whose weights stay as they are answers the same in every epoch: it is asked once."""

from typing import Any

import keras
import numpy as np

from cnnsearch.core.host import free_memory
from cnnsearch.training import build

SHARE = 0.08
"""Of the free memory is what the answers may take; above that they are computed anew in each epoch. The backend keeps
a copy of them, and other workers see the same free memory."""

BATCH = 256


def past(model: Any, x: Any, x_val: Any) -> tuple[Any, Any, Any]:
    """(what follows the stem, compiled as `model` is, and what the stem makes of `x` and `x_val`).

    They are given back as they are where there is no stem, it learns, or augmentation stands before it. The layers
    are shared, so that training what follows trains `model`.
    """
    stem = build.stem(model) if isinstance(model, keras.Sequential) else []
    if not stem or any(part.trainable_weights for part in stem):
        return model, x, x_val
    at = model.layers.index(stem[0])
    before, after = model.layers[:at], model.layers[at + len(stem) :]
    first = keras.Sequential([keras.Input(model.input_shape[1:]), *before, *stem])
    needed = 4 * (len(x) + len(x_val)) * int(np.prod(first.output_shape[1:]))
    if len(before) > 1 or needed > SHARE * free_memory():
        return model, x, x_val
    rest = keras.Sequential([keras.Input(first.output_shape[1:]), *after])
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    rest.compile(optimizer=model.optimizer, loss=model.loss, metrics=[accuracy])
    return rest, answers(first, x), answers(first, x_val)


def answers(model: Any, x: Any) -> Any:
    """What `model` makes of images, in float32 under every precision."""
    given = np.empty((len(x), *model.output_shape[1:]), "float32")
    # `predict` would hold all batches and their concatenation at once
    for start in range(0, len(x), BATCH):
        given[start : start + BATCH] = model.predict_on_batch(x[start : start + BATCH])
    return given
