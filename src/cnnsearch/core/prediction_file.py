"""The file of a trial's predictions for the validation images, which is beside its model's file."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.whole_file import replaced

PREFIX = "predictions-"


class Predictions(NamedTuple):
    """What a model predicted for the validation images, in their order.

    Attributes:
        labels: the true classes, as integers (n,).
        predicted: the predicted classes, as integers (n,).
        confidence: the probabilities of the predicted classes, float16 (n,).
        augmented: augmented training images (versions, classes, height, width, channels); None without augmentation.
    """

    labels: NDArray[Any]
    predicted: NDArray[Any]
    confidence: NDArray[Any]
    augmented: NDArray[Any] | None = None


def of(probabilities: NDArray[Any], labels: NDArray[Any]) -> Predictions:
    """The predictions in these probabilities (n, classes)."""
    kind = np.min_scalar_type(probabilities.shape[-1])
    predicted = probabilities.argmax(1).astype(kind)
    return Predictions(np.asarray(labels).astype(kind), predicted, probabilities.max(1).astype("float16"))


def beside(model: Path) -> Path:
    """The file for the predictions of the model in the file `model`, such as `trial-00007.keras`."""
    return model.with_name(f"{PREFIX}{model.name.partition('.')[0]}.npz")


def write(path: Path, found: Predictions) -> None:
    """Write the file completely or not at all.

    Raises:
        OSError: if it cannot be written.
    """
    with replaced(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **{name: part for name, part in found._asdict().items() if part is not None})


def read(path: Path) -> Predictions | None:
    """The predictions in the file; None if there is none, or it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Predictions(**{name: stored[name] for name in Predictions._fields if name in stored})
    # a damaged file may raise any error
    except Exception:
        return None
