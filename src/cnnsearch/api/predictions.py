"""What a model says of images."""

from typing import Any, NamedTuple

from numpy.typing import NDArray


class Predictions(NamedTuple):
    """The answers for n images.

    Attributes:
        classes: the name of the most probable class of each image, (n,).
        probabilities: float32 of shape (n, k), a column for each of the k classes.
        names: the classes' names in the order of the columns.
    """

    classes: NDArray[Any]
    probabilities: NDArray[Any]
    names: tuple[str, ...]
