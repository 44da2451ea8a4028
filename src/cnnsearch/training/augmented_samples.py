"""Training images as the augmentation of a plan changes them, for reports."""

import numpy as np

from cnnsearch.data import pixel_values
from cnnsearch.data.dataset import Images, Labels
from cnnsearch.spaces.plan import Plan

SAMPLES = 10
"""At most so many classes have a sample."""

VERSIONS = 3
"""How many augmented versions of each sample there are."""

SIDE = 96
"""Pixels. Larger images are made smaller."""


def samples(y: Labels, classes: int) -> list[int]:
    """The place of the first training image of each class, of at most SAMPLES classes."""
    return [int(np.flatnonzero(y == label)[0]) for label in range(min(classes, SAMPLES))]


def smaller(x: Images) -> Images:
    """Images (n, height, width, channels) with every second, third, … pixel, so that no side is longer than SIDE."""
    step = -(-max(x.shape[1:3]) // SIDE)
    return x[:, ::step, ::step]


def augmented(plan: Plan, x: Images) -> Images:
    """VERSIONS augmented versions of images, in 8 bits: (VERSIONS, n, height, width, channels)."""
    import keras

    from cnnsearch.training.keras_objects import layer

    versions = []
    for seed in range(VERSIONS):
        keras.utils.set_random_seed(seed)
        found = keras.ops.convert_to_tensor(pixel_values.to_unit(x, plan.value_range))
        for spec in plan.augment:
            found = layer(spec)(found, training=True)
        pixels = np.asarray(keras.ops.convert_to_numpy(found)) * 255
        versions.append(np.clip(pixels, 0, 255).astype(np.uint8))
    return np.stack([smaller(version) for version in versions])
