"""Batch normalisation as the one operation that TensorFlow has for it, where Keras makes a dozen.

Keras' passes over the images cost more than the convolutions between them once those are in half precision. What is
computed is the same within rounding; the layer stays Keras' own.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

Norm = keras.layers.BatchNormalization
_by_keras = Norm.call

CHANNELS = 16
"""oneDNN normalises bfloat16 fast for multiples of so many channels, else up to ten times slower than float32."""


@contextlib.contextmanager
def norms() -> Iterator[None]:
    """What is traced within has its normalisations fused."""
    Norm.call = _call
    try:
        yield
    finally:
        Norm.call = _by_keras


def _call(layer: Any, inputs: Any, training: Any = None, mask: Any = None) -> Any:
    """`BatchNormalization.call` for images (n, height, width, channels); whatever else is left to Keras."""
    if not _suits(layer, inputs) or mask is not None:
        return _by_keras(layer, inputs, training=training, mask=mask)
    scale, offset, mean, variance = (
        tf.cast(each, "float32") for each in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    )
    learns = bool(training and layer.trainable)
    if learns:
        mean = variance = tf.zeros([0])
    told = tf.raw_ops.FusedBatchNormV3(
        x=inputs if inputs.shape[-1] % CHANNELS == 0 else tf.cast(inputs, "float32"),
        scale=scale,
        offset=offset,
        mean=mean,
        variance=variance,
        epsilon=layer.epsilon,
        is_training=learns,
    )
    if learns:
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], "float32")
        # it gives the variance of the population that the batch stands for; Keras keeps the batch's own
        _follow(layer.moving_mean, told.batch_mean, layer.momentum)
        _follow(layer.moving_variance, told.batch_variance * (count - 1) / count, layer.momentum)
    return tf.cast(told.y, inputs.dtype)


def _suits(layer: Any, inputs: Any) -> bool:
    """Whether it is plain, of the last of four axes."""
    # Keras 3.12 knew no renormalisation
    plain = layer.scale and layer.center and not layer.synchronized and not getattr(layer, "renorm", False)
    return bool(plain and len(inputs.shape) == 4 and layer.axis in (-1, 3))


def _follow(variable: Any, value: Any, momentum: float) -> None:
    variable.assign(variable * momentum + tf.cast(value, variable.dtype) * (1 - momentum))
