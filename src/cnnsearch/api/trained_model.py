"""A trial's trained model, loaded in the user's own process."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnsearch.api.predictions import Predictions
from cnnsearch.core.errors import DataError, StudyError
from cnnsearch.data import from_python, pixel_values
from cnnsearch.study.study import Study


class TrainedModel(NamedTuple):
    """A trial's Keras model, and the source that it was built from."""

    model: Any
    source: Any

    def predict(self, images: Any) -> Predictions:
        """The model's predictions for images.

        Raises:
            DataError: if the images have another shape or scale than those of the search.
        """
        facts = self.source.study.info["data"]
        shape = tuple(facts["input_shape"])
        low, high = facts.get("value_range", pixel_values.BYTES)
        x = batch(from_python.images_of(images, grey=shape[-1] == 1), shape, (low, high))
        names = tuple(str(name) for name in facts["classes"])
        probabilities = self.source.predict(self.model, x)
        return Predictions(np.asarray(names)[probabilities.argmax(-1)], probabilities, names)


def load(study: Study, number: int | None, plugins: tuple[Path, ...]) -> TrainedModel:
    """The model of the best trial, or of trial `number`, in float32.

    Raises:
        StudyError: if there is no such trial, or its model is no longer on disk.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from cnnsearch.results.export import exported_model
    from cnnsearch.results.origin import dtype_policy, source_of

    chosen = exported_model.select_trials(study, number, 0)[0]
    path = study.checkpoint(chosen)
    if path is None:
        raise StudyError(
            f"The model of trial {chosen.number} is no longer on disk. A study keeps only its `keep` best models. "
            f"export(trial={chosen.number}) trains it again."
        )
    source = source_of(study, chosen, plugins)
    # the user's own models must not change their dtype
    with dtype_policy("float32"):
        return TrainedModel(exported_model.load_checkpoint(source, path), source)


def batch(images: NDArray[Any], shape: tuple[int, ...], values: pixel_values.Range) -> NDArray[Any]:
    """Images, or one image, as an array (n, *shape). Images of one channel may have no axis for it.

    `values`: the range of the training images.

    Raises:
        DataError: if they have another shape or scale, or values that are not numbers.
    """
    shapes = [shape, shape[:-1]] if shape[-1] == 1 else [shape]
    if images.shape in shapes:
        images = images[None]
    if images.shape[1:] not in shapes:
        raise DataError(
            f"The images have the shape {images.shape}; expected (n, {', '.join(map(str, shape))}), as in the search."
        )
    try:
        found = pixel_values.compact({"images": images.reshape(len(images), *shape)})["images"]
    except ValueError as error:
        raise DataError(f"The images cannot be used: {error}") from error
    if problem := pixel_values.other_scale(found, values):
        raise DataError(f"The values of the images {problem}")
    return found
