"""Trains on smaller images in the first epochs, which takes less time; validation always sees whole images."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras

from cnnsearch.spaces.plan import Plan

STRIDED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
"""Convolutions of images."""


@keras.saving.register_keras_serializable("cnnsearch")
class ProgressiveSize(keras.layers.Layer):  # type: ignore[misc]
    """Makes the images of a training smaller, by another factor in each epoch.

    A compiled program has one size, so another program is needed when the size changes (`ChangedSizes`). From Howard
    2018, fast.ai's entry to DAWNBench (www.fast.ai/posts/2018-08-10-fastai-diu-imagenet.html).

    Args:
        sizes: factors of both sides in epoch 1, 2, …; 1 in later epochs.
    """

    def __init__(self, sizes: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes = tuple(sizes)
        self.size = self.in_epoch(0)

    def in_epoch(self, epoch: int) -> float:
        """The factor in an epoch, counted from 0."""
        return self.sizes[epoch] if epoch < len(self.sizes) else 1.0

    def call(self, images: Any, training: bool = False) -> Any:
        if not training or self.size == 1:
            return images
        small = keras.ops.image.resize(
            images, scaled(images.shape[1:3], self.size), "bilinear", data_format="channels_last"
        )
        return keras.ops.cast(small, images.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sizes": list(self.sizes)}


def scaled(sides: Iterable[int], size: float) -> tuple[int, ...]:
    """The sides of an image, in pixels, times the factor `size`."""
    return tuple(max(1, round(side * size)) for side in sides)


class ChangedSizes(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells the model's ProgressiveSize the epoch, and lets `fit` make a new program if the size is another one."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        layer = _layer(self.model)
        if layer is not None and layer.size != (size := layer.in_epoch(epoch)):
            layer.size = size
            self.model.make_train_function(force=True)


def present(model: Any) -> float:
    """The factor by which `model` makes its training images smaller at present; 1 if it does not."""
    layer = _layer(model)
    return 1.0 if layer is None else float(layer.size)


def varies(model: Any) -> bool:
    """Whether `model` makes its training images smaller in some epochs."""
    return _layer(model) is not None


def _layer(model: Any) -> Any:
    return next((layer for layer in model.layers if isinstance(layer, ProgressiveSize)), None)


def check(plan: Plan, layers: Sequence[Any]) -> None:
    """Raise a ValueError if the layers after the first one do not take images in one of the plan's sizes."""
    if plan.head.reduce == "flatten":
        raise ValueError("with sizes the head must reduce by 'average' or 'max', as 'flatten' needs one size of images")
    for size in sorted(set(plan.sizes)):
        height, width = scaled(plan.input_shape[:2], size)
        try:
            _check_size((None, height, width, plan.input_shape[2]), layers)
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise ValueError(
                f"images of {height} by {width} pixels, the size {size:g}, do not fit the network: {reason}"
            ) from error


def _check_size(shape: tuple[int | None, ...], layers: Sequence[Any]) -> None:
    end = keras.KerasTensor(shape)
    for layer in layers:
        # a stride over one pixel, which `build` leaves out for whole images
        if isinstance(layer, STRIDED) and max(layer.strides) > 1 and 1 in end.shape[1:3]:
            raise ValueError(f"{layer.name} has strides, and a side of its image has one pixel")
        # `compute_output_spec` takes any number of inputs, also where the layer has weights for another one
        for axis, size in (getattr(layer.input_spec, "axes", None) or {}).items():
            if size is not None and end.shape[axis] != size:
                raise ValueError(f"{layer.name} needs {size} inputs and gets {end.shape[axis]}")
        end = layer.compute_output_spec(end)
