"""Several models as one whose answer is their mean, and whether that is better than the best of them."""

import math
from typing import Any, NamedTuple

from numpy.typing import NDArray

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.data.dataset import Labels


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


def average(models: dict[int, Any], reads: dict[int, str] | None = None, classes: int = 0) -> Any:
    """One Keras model that gives the mean of the probabilities of `models`, by the numbers of their trials.

    `reads` tells how each one's answers are read (`heads.read`); the mean has a column for each of the `classes`.

    Raises:
        CnnsearchError: if one has more outputs than there are classes, or cannot be asked inside another model.
    """
    import keras

    members = list(models.values())
    pixels = keras.Input(members[0].input_shape[1:], dtype="float32", name="pixels")
    for number, member in models.items():
        # a model's layers need names of their own, and two of a hypermodel's have the same
        member.name = f"trial_{number}"
    told = [_probabilities(member(pixels), (reads or {}).get(number, ""), classes) for number, member in models.items()]
    mean = keras.layers.Average(name="probabilities")(told)
    return keras.Model(pixels, mean, name="ensemble")


def _probabilities(answers: Any, reads: str, classes: int) -> Any:
    """A member's symbolic answers as probabilities (n, classes), by layers that every format knows."""
    from keras import layers

    if reads in ("softmax logits", "sigmoid logits"):
        answers = layers.Activation(reads.removesuffix(" logits"))(answers)
    elif reads == "sign":
        answers = layers.Rescaling(0.5, 0.5)(answers)
    if answers.shape[-1] == 1:
        return layers.Concatenate()([layers.Rescaling(-1.0, 1.0)(answers), answers])
    if classes and answers.shape[-1] != classes:
        said = f"a model has {answers.shape[-1]} outputs for {classes} classes"
        raise CnnsearchError(f"--ensemble averages models of one output a class, and {said}. Export the best alone.")
    return answers


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
