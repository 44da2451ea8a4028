"""How much more accurate one model is than another on the same images."""

import math
from typing import Any, NamedTuple

from numpy.typing import NDArray

from cnnsearch.data.dataset import Labels


class Gain(NamedTuple):
    """The accuracy of a mean of `models` predictions minus that of one model alone, on the same `n` images.

    `low` and `high` are the ends of its 95% interval.
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


def compare(mean: NDArray[Any], best: NDArray[Any], y: Labels, models: int) -> Gain:
    """The gain of a mean, from its and one model's probabilities (n, classes) for the same images.

    The interval is Bonett and Price's adjusted Wald interval for paired proportions (2012,
    doi:10.3102/1076998611411915). It depends only on the images that exactly one of both classifies correctly.
    """
    right, alone = mean.argmax(1) == y, best.argmax(1) == y
    n, gained, lost = len(y), int((right & ~alone).sum()), int((alone & ~right).sum())
    more, less = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = 1.959964 * math.sqrt((more + less - (more - less) ** 2) / (n + 2))
    return Gain((gained - lost) / n, more - less - half, more - less + half, n, models)
