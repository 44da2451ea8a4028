"""Several models as one whose answer is their mean, and whether that is better than the best of them."""

import math
from typing import Any, NamedTuple

from numpy.typing import NDArray

from cnnsearch.data import Labels


class Compared(NamedTuple):
    """The accuracy of the mean of `models` models minus that of the best alone, on the same `n` images.

    `low` and `high` are its 95% interval.
    """

    difference: float
    low: float
    high: float
    n: int
    models: int

    @property
    def better(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    def __str__(self) -> str:
        return f"{self.difference:+.2%} (95% interval {self.low:+.2%} to {self.high:+.2%}, n = {self.n:,})"


def average(models: dict[int, Any]) -> Any:
    """One Keras model that gives the mean of the probabilities of `models`, by the numbers of their trials."""
    import keras

    members = list(models.values())
    pixels = keras.Input(members[0].input_shape[1:], dtype="float32", name="pixels")
    for number, member in models.items():
        # a model's layers need names of their own, and two of a hypermodel's have the same
        member.name = f"trial_{number}"
    mean = keras.layers.Average(name="probabilities")([member(pixels) for member in members])
    return keras.Model(pixels, mean, name="ensemble")


def compare(ensemble: NDArray[Any], best: NDArray[Any], y: Labels, models: int) -> Compared:
    """An ensemble's and the best model's probabilities (n, classes) for the same images.

    The interval is Bonett and Price's adjusted Wald interval for paired proportions (2012,
    doi:10.3102/1076998611411915): only the images that one of them alone gets right count.
    """
    right, alone = ensemble.argmax(1) == y, best.argmax(1) == y
    n, gained, lost = len(y), int((right & ~alone).sum()), int((alone & ~right).sum())
    more, less = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = 1.959964 * math.sqrt((more + less - (more - less) ** 2) / (n + 2))
    return Compared((gained - lost) / n, more - less - half, more - less + half, n, models)
