"""The predictions of a model for images."""

from typing import Any, NamedTuple

from numpy.typing import NDArray


class Predictions(NamedTuple):
    """The predictions for n images and k classes.

    Attributes:
        classes: the name of the most probable class of each image, (n,).
        probabilities: float32 of shape (n, k), one column per class.
        names: the names of the classes, in the order of the columns.
    """

    classes: NDArray[Any]
    probabilities: NDArray[Any]
    names: tuple[str, ...]
