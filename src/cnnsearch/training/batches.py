"""Batches of images for Keras' `fit`: they are not copied as a whole, and each epoch has another order."""

import math
from typing import Any

import keras
import numpy as np


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of images and labels, and weights if there are any; with `shuffle` each epoch has another order.

    If a seed is set, Keras' own shuffling of arrays gives every epoch the same order on TensorFlow (3.15).
    `epoch`: how many epochs are trained already.
    """

    def __init__(
        self, x: Any, y: Any, batch_size: int, weights: Any = None, shuffle: bool = False, epoch: int = 0
    ) -> None:
        super().__init__()
        self._parts = [part for part in (x, y, weights) if part is not None]
        self._count, self._size, self._shuffle = len(x), batch_size, shuffle
        self._seed, self._epoch = np.random.randint(2**31 - 1) if shuffle else 0, epoch
        self._order()

    def __len__(self) -> int:
        return math.ceil(self._count / self._size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        # sorted, as the images may be on a disk
        rows = np.sort(self._rows[index * self._size : (index + 1) * self._size])
        return tuple(part[rows] for part in self._parts)

    def on_epoch_end(self) -> None:
        """Choose the order of the next epoch."""
        self._epoch += 1
        self._order()

    def _order(self) -> None:
        self._rows = np.arange(self._count)
        if self._shuffle:
            self._rows = np.random.default_rng((self._seed, self._epoch)).permutation(self._count)
