"""Times two convolutions and their gradients in float32 and in bfloat16, with TensorFlow as it trains them.

They are one compiled program, as an epoch is, and large: what TensorFlow needs for each single call takes as long in
both precisions, and hides the difference.
"""

import functools
import time
from typing import Any

import numpy as np
import tensorflow as tf

FILTERS = {8: (16, 32), 16: (32, 64), 32: (32, 64)}
"""The filters of the two convolutions by the side of the images, as networks for small images have few filters. Their
windows have 3 x 3 pixels; a max pooling is between them."""

MACS = 256_000_000
"""About so many multiply-adds are computed for the outputs in each repetition."""

BUDGET = 0.2
"""Seconds after which nothing is timed again."""

LEAST, MOST = 3, 12
"""How often each precision is timed."""


def timings(side: int) -> dict[str, list[float]]:
    """Seconds in float32 and in bfloat16, in turns, for images with `side` x `side` pixels."""
    images, kernels = _arrays(side)
    found: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    steps = {kind: tf.function(functools.partial(_gradients, kind), autograph=False) for kind in found}
    # the first time, TensorFlow compiles the program and prepares its kernels
    for step in steps.values():
        step(images, kernels)
    began = time.perf_counter()
    while (done := len(found["bfloat16"])) < MOST and (done < LEAST or time.perf_counter() - began < BUDGET):
        for kind, seconds in found.items():
            started = time.perf_counter()
            for gradient in steps[kind](images, kernels):
                # wait for the result
                gradient.numpy()
            seconds.append(time.perf_counter() - started)
    return found


def _arrays(side: int) -> tuple[Any, list[Any]]:
    # a generator of its own: the trials' random numbers must not depend on whether this was timed
    drawn = np.random.default_rng(0)
    first, second = FILTERS[side]
    count = max(1, MACS // (side * side * 9 * first * (first + second // 4)))
    images = drawn.random((count, side, side, first), "float32")
    kernels = [drawn.standard_normal((3, 3, first, filters), "float32") / 9 for filters in (first, second)]
    return tf.constant(images), [tf.constant(kernel) for kernel in kernels]


def _gradients(kind: str, images: Any, kernels: list[Any]) -> list[Any]:
    """The gradients of both kernels, with variables in float32 as in Keras' mixed precision."""
    with tf.GradientTape() as tape:
        tape.watch(kernels)
        first, second = (tf.cast(kernel, kind) for kernel in kernels)
        maps = tf.nn.relu(tf.nn.conv2d(tf.cast(images, kind), first, 1, "SAME"))
        maps = tf.nn.relu(tf.nn.conv2d(tf.nn.max_pool2d(maps, 2, 2, "SAME"), second, 1, "SAME"))
        loss = tf.reduce_mean(tf.cast(maps, "float32"))
    found: list[Any] = tape.gradient(loss, kernels)
    return found
