"""Batch normalisation and Adam as one operation of TensorFlow each, where Keras uses dozens of operations.

In half precision, Keras' operations for normalisation take longer than the convolutions. Keras' 41 operations for each
weight's step are nearly half of a small network's graph. The results are the same within rounding. The layer and the
optimizer remain Keras' own.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

Norm = keras.layers.BatchNormalization
Adam = keras.optimizers.Adam
_by_keras = Norm.call
_step_by_keras = Adam._backend_update_step
_adam = Adam.update_step

CHANNELS = 16
"""oneDNN normalises bfloat16 fast only for a multiple of these channels, else up to 10 times slower than float32."""


@contextlib.contextmanager
def operations() -> Iterator[None]:
    """Normalisations and Adam's steps that are traced inside this context are fused."""
    Norm.call, Adam._backend_update_step = _call, _step
    try:
        yield
    finally:
        Norm.call, Adam._backend_update_step = _by_keras, _step_by_keras


def _call(layer: Any, inputs: Any, training: Any = None, mask: Any = None) -> Any:
    """`BatchNormalization.call` for images (n, height, width, channels). Keras handles all other inputs."""
    if not _suits(layer, inputs) or mask is not None:
        return _by_keras(layer, inputs, training=training, mask=mask)
    mean, variance = (tf.cast(each, "float32") for each in (layer.moving_mean, layer.moving_variance))
    scale = tf.cast(layer.gamma, "float32") if layer.scale else tf.ones_like(mean)
    offset = tf.cast(layer.beta, "float32") if layer.center else tf.zeros_like(mean)
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
        # TensorFlow returns the estimate of the population's variance; Keras uses the variance of the batch
        _follow(layer.moving_mean, told.batch_mean, layer.momentum)
        _follow(layer.moving_variance, told.batch_variance * (count - 1) / count, layer.momentum)
    return tf.cast(told.y, inputs.dtype)


def _suits(layer: Any, inputs: Any) -> bool:
    """Whether the layer has no special options and normalises the last of four axes."""
    # Keras 3.12 knew no renormalisation
    plain = not layer.synchronized and not getattr(layer, "renorm", False)
    return bool(plain and len(inputs.shape) == 4 and layer.axis in (-1, 3))


def _follow(variable: Any, value: Any, momentum: float) -> None:
    variable.assign(variable * momentum + tf.cast(value, variable.dtype) * (1 - momentum))


def _step(optimizer: Any, gradients: Any, variables: Any, rate: Any) -> None:
    """Adam's step for all variables. Keras handles optimizers other than plain Adam."""
    if not _plain(optimizer, gradients, variables):
        _step_by_keras(optimizer, gradients, variables, rate)
        return
    told = (rate, optimizer.iterations + 1, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)
    rate, count, first, second, epsilon = (tf.cast(each, "float32") for each in told)
    powers = {"beta1_power": tf.pow(first, count), "beta2_power": tf.pow(second, count)}
    shared = {**powers, "lr": rate, "beta1": first, "beta2": second, "epsilon": epsilon}
    for gradient, variable in zip(gradients, variables, strict=True):
        at = optimizer._get_variable_index(variable)
        m, v = optimizer._momentums[at], optimizer._velocities[at]
        handles = {"var": variable.value.handle, "m": m.value.handle, "v": v.value.handle}
        tf.raw_ops.ResourceApplyAdam(**handles, **shared, grad=gradient)


def _plain(optimizer: Any, gradients: Any, variables: Any) -> bool:
    """Whether it is plain Adam with dense gradients, in float32, and on one device."""
    adam = type(optimizer).update_step is _adam and not optimizer.amsgrad
    dense = all(isinstance(each, tf.Tensor) and each.dtype == tf.float32 for each in gradients)
    whole = all(isinstance(each, keras.Variable) and each.dtype == "float32" for each in variables)
    return adam and dense and whole and not tf.distribute.has_strategy()
