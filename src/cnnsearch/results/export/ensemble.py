"""An ensemble: several models as one that returns their mean, compared with the best of them."""

import math
from typing import Any, NamedTuple

from numpy.typing import NDArray

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.data.dataset import Labels


class EnsembleGain(NamedTuple):
    """The accuracy of an ensemble of `models` models minus that of the best model, on the same `n` images.

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


def average(models: dict[int, Any], reads: dict[int, str] | None = None, classes: int = 0) -> Any:
    """One Keras model that returns the mean of the probabilities of `models`, whose keys are trial numbers.

    `reads` says how the outputs of each become probabilities (`heads.read`). The mean has one column for each class.

    Raises:
        CnnsearchError: if a model has more outputs than there are classes, or cannot be part of another model.
    """
    import keras

    members = list(models.values())
    pixels = keras.Input(members[0].input_shape[1:], dtype="float32", name="pixels")
    for number, member in models.items():
        # the layers of a model need different names, and two models of one hypermodel have the same name
        member.name = f"trial_{number}"
    outputs = [
        _probabilities(member(pixels), (reads or {}).get(number, ""), classes) for number, member in models.items()
    ]
    mean = keras.layers.Average(name="probabilities")(outputs)
    return keras.Model(pixels, mean, name="ensemble")


def _probabilities(outputs: Any, reads: str, classes: int) -> Any:
    """The symbolic outputs of a member as probabilities (n, classes), with layers that every format supports."""
    from keras import layers

    if reads in ("softmax logits", "sigmoid logits"):
        outputs = layers.Activation(reads.removesuffix(" logits"))(outputs)
    elif reads == "sign":
        outputs = layers.Rescaling(0.5, 0.5)(outputs)
    if outputs.shape[-1] == 1:
        return layers.Concatenate()([layers.Rescaling(-1.0, 1.0)(outputs), outputs])
    if classes and outputs.shape[-1] != classes:
        found = f"a model has {outputs.shape[-1]} outputs for {classes} classes"
        raise CnnsearchError(
            f"--ensemble averages models with one output for each class, and {found}. Export the best model alone."
        )
    return outputs


def compare(ensemble: NDArray[Any], best: NDArray[Any], y: Labels, models: int) -> EnsembleGain:
    """The gain of an ensemble, from its and the best model's probabilities (n, classes) for the same images.

    The interval is Bonett and Price's adjusted Wald interval for paired proportions (2012,
    doi:10.3102/1076998611411915). It depends only on the images that exactly one of both classifies correctly.
    """
    right, alone = ensemble.argmax(1) == y, best.argmax(1) == y
    n, gained, lost = len(y), int((right & ~alone).sum()), int((alone & ~right).sum())
    more, less = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = 1.959964 * math.sqrt((more + less - (more - less) ** 2) / (n + 2))
    return EnsembleGain((gained - lost) / n, more - less - half, more - less + half, n, models)
