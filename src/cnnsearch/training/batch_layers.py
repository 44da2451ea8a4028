"""Layers of the training model that see more than images: the labels of the batch, or the number of the epoch."""

import warnings
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("cnnsearch")
class AlternatingFlip(keras.layers.Layer):  # type: ignore[misc]
    """Mirrors half of the images left to right, and in the next epoch the other half.

    Which half an image belongs to depends on its pixels alone, so other changes of the images come after this layer.
    From airbench94 (arXiv:2404.00498; github.com/KellerJordan/cifar10-airbench, legacy/airbench94.py).

    Args:
        seed: for the same halves again.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        self.epoch = self.add_weight((), initializer="zeros", dtype="float32", trainable=False, name="epoch")

    def build(self, input_shape: Any) -> None:
        # whether the sum of some pixels is odd is a random bit
        drawn = keras.random.uniform(input_shape[1:], seed=self.generator)
        self.pixels = self.add_weight(input_shape[1:], dtype="float32", trainable=False, name="pixels")
        self.pixels.assign(ops.cast(drawn < 0.5, "float32"))

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return images
        # whole numbers: their sum is exact in every order of adding
        odd = ops.mod(ops.round(ops.cast(images, "float32") * 255) * self.pixels, 2.0)
        half = ops.mod(ops.sum(odd, axis=(1, 2, 3)) + self.epoch, 2.0)
        return ops.where(ops.equal(half, 1.0)[:, None, None, None], ops.flip(images, 2), images)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


class Mixing(keras.layers.Layer):  # type: ignore[misc]
    """Changes the images of a batch by a Keras layer such as MixUp, and afterwards the labels in the same way."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer
        # CutMix mixes labels in its own precision, and labels are float32
        layer.dtype_policy = "float32"
        self.generator = keras.random.SeedGenerator(getattr(layer, "seed", None))
        self._drawn: Any = None

    def build(self, input_shape: Any) -> None:
        self.layer.build(input_shape)

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return images
        with warnings.catch_warnings():
            # MixUp asks JAX for 64-bit numbers
            warnings.simplefilter("ignore", UserWarning)
            drawn = self.layer.get_random_transformation(images, training=True, seed=self.generator)
        # not by Keras, which would watch its parts
        object.__setattr__(self, "_drawn", drawn)
        mixed = self.layer.transform_images(images, drawn, training=True)
        return ops.cast(mixed, images.dtype)

    def labels(self, labels: Any) -> Any:
        """The one-hot labels of the images that were mixed last."""
        drawn, self._drawn = self._drawn, None
        return ops.cast(self.layer.transform_labels(labels, drawn, training=True), labels.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class MixedModel(keras.Sequential):  # type: ignore[misc]
    """A training model with layers that mix the images of a batch; its loss is that of the mixed labels."""

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        y = mixed_labels(self, y) if training else y
        return super().compute_loss(x, y, y_pred, sample_weight, training)


def mixed_labels(model: Any, labels: Any) -> Any:
    """The labels of the batch that `model` was called with last, changed as its layers have mixed the images."""
    for layer in model.layers:
        if isinstance(layer, Mixing):
            labels = layer.labels(labels)
    return labels


class EpochNumbers(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells each layer with a variable `epoch` the number of the epoch, from 0."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for variable in epoch_variables(self.model):
            variable.assign(float(epoch))


def epoch_variables(model: Any) -> list[Any]:
    """The variables `epoch` of the layers of `model`."""
    found = (getattr(layer, "epoch", None) for layer in model.layers)
    return [each for each in found if isinstance(each, keras.Variable)]
