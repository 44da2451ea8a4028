"""Computes the features of a frozen stem once, as they are the same in every epoch."""

from typing import Any

import keras
import numpy as np

from cnnsearch.core.host import free_memory
from cnnsearch.training import build

SHARE = 0.08
"""The part of the free memory that the features may take. If they need more, they are computed anew in each epoch. The
backend keeps a copy of them, and other workers see the same free memory."""

BATCH = 256


def with_cached_features(model: Any, x: Any, x_val: Any) -> tuple[Any, Any, Any]:
    """The layers after the stem, compiled like `model`, and the stem's features of `x` and of `x_val`.

    Returns the arguments unchanged if there is no stem, if it is trained, if augmentation comes before it, or if the
    features are too large. The layers are shared with `model`, so that training them trains `model`.
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
    return rest, features(first, x), features(first, x_val)


def features(model: Any, x: Any) -> Any:
    """The features that `model` computes of images, in float32 with every precision."""
    found = np.empty((len(x), *model.output_shape[1:]), "float32")
    # `predict` would hold all batches and their concatenation at once
    for start in range(0, len(x), BATCH):
        found[start : start + BATCH] = model.predict_on_batch(x[start : start + BATCH])
    return found
