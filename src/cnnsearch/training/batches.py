"""Batches of images for Keras' `fit`: they are not copied as a whole, and each epoch has another order."""

import contextlib
import functools
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from cnnsearch.training.device import repeats_order


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
        return tuple(_as_keras_takes_it(part[rows]) for part in self._parts)

    def on_epoch_end(self) -> None:
        """Choose the order of the next epoch."""
        self._epoch += 1
        self._order()

    def _order(self) -> None:
        self._rows = np.arange(self._count)
        if self._shuffle:
            self._rows = np.random.default_rng((self._seed, self._epoch)).permutation(self._count)


MARK = "another_order_each_epoch"
"""The attribute of a `fit` that gives each epoch another order."""


def shuffle_each_epoch() -> None:
    """From now on Keras' `fit` gives each epoch of arrays another order, although a seed is set."""
    if repeats_order() and not hasattr(keras.Model.fit, MARK):
        keras.Model.fit = _in_another_order(keras.Model.fit)


@contextlib.contextmanager
def shuffled_each_epoch() -> Iterator[None]:
    """The same inside of it: the process may be the user's own."""
    before = keras.Model.fit
    shuffle_each_epoch()
    try:
        yield
    finally:
        keras.Model.fit = before


def _in_another_order(fit: Callable[..., Any]) -> Callable[..., Any]:
    known = inspect.signature(fit)

    @functools.wraps(fit)
    def shuffled(model: Any, *args: Any, **named: Any) -> Any:
        try:
            given = dict(known.bind(model, *args, **named).arguments)
        except TypeError:
            # Keras says what is wrong
            return fit(model, *args, **named)
        del given["self"]
        return fit(model, **_in_batches(given))

    setattr(shuffled, MARK, True)
    return shuffled


def _in_batches(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `fit` with Batches in place of arrays that Keras would shuffle; others unchanged."""
    weights = given.get("sample_weight")
    parts = [given.get("x"), given.get("y"), *([] if weights is None else [weights])]
    arrays = all(isinstance(part, np.ndarray) and part.ndim and part.dtype.kind in "biuf" for part in parts)
    if not arrays or len({len(part) for part in parts}) > 1:
        return given
    if given.get("shuffle", True) is not True or given.get("steps_per_epoch"):
        return given
    found = {name: value for name, value in given.items() if name not in ("y", "sample_weight", "batch_size")}
    size = given.get("batch_size") or 32
    if split := found.pop("validation_split", 0):
        # the last images, as Keras does
        at = math.floor(len(parts[0]) * (1 - split))
        if not 0 < at < len(parts[0]):
            return given
        if found.get("validation_data") is None:
            found["validation_data"] = tuple(part[at:] for part in parts)
            parts = [part[:at] for part in parts]
    found["validation_batch_size"] = found.get("validation_batch_size") or size
    weights = None if weights is None else parts[2]
    found["x"] = Batches(parts[0], parts[1], size, weights, shuffle=True, epoch=given.get("initial_epoch", 0))
    return {**found, "shuffle": False}


def _as_keras_takes_it(part: Any) -> Any:
    """Keras makes arrays of float64 its own type."""
    return part.astype(keras.backend.floatx()) if part.dtype == np.float64 else part
