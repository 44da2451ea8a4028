"""Initial weights of layers that Keras' initializers do not give; some are computed from training images."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

PART = 4_000_000
"""So many numbers of patches are computed at once."""


class LayerInitializer(keras.initializers.Initializer):  # type: ignore[misc]
    """Sets the weights of a layer. `inputs` gives what the layer receives for the first training images."""

    def set_weights(self, layer: Any, inputs: Callable[[int], NDArray[np.float32] | None]) -> None:
        """Set the weights of a built `layer`; `inputs(count)` is None if there are no images."""
        raise NotImplementedError

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__} sets the weights of a whole layer")


@keras.saving.register_keras_serializable("cnnsearch")
class Dirac(LayerInitializer):
    """The first filters of a convolution pass one channel on each; the others are random, as in PyTorch.

    Kernels of more than one pixel have their 1 in the middle. From airbench94 (arXiv:2404.00498;
    github.com/KellerJordan/cifar10-airbench, legacy/airbench94.py).
    """

    def set_weights(self, layer: Any, inputs: Callable[[int], NDArray[np.float32] | None]) -> None:
        shape = tuple(layer.kernel.shape)
        if len(shape) != 4 or isinstance(layer, keras.layers.DepthwiseConv2D):
            raise ValueError(f"Dirac is for convolutions, and the kernel of {layer.name} has the shape {shape}")
        # uniform in 1 / sqrt(fan in) either way
        drawn = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")(shape)
        kernel = np.array(keras.ops.convert_to_numpy(drawn))
        height, width, channels, filters = shape
        same = np.arange(min(channels, filters))
        kernel[..., same] = 0
        kernel[height // 2, width // 2, same, same] = 1
        layer.kernel.assign(kernel)


@keras.saving.register_keras_serializable("cnnsearch")
class Whitening(LayerInitializer):
    """Filters that give patches of the training images components without correlation and of equal variance.

    They are the eigenvectors of the patches' second moments, largest first, divided by the root of their eigenvalue,
    and after them the same filters with the other sign. The bias makes each channel's mean 0. More filters than twice
    the numbers of a patch stay as they are. From airbench94 (arXiv:2404.00498;
    github.com/KellerJordan/cifar10-airbench, legacy/airbench94.py), which has it from Page (2018).

    Args:
        epsilon: is added to the eigenvalues, which belong to pixels with mean 0 and variance 1.
        images: from so many training images the filters are computed.
    """

    def __init__(self, epsilon: float = 5e-4, images: int = 5000) -> None:
        self.epsilon, self.images = epsilon, images

    def set_weights(self, layer: Any, inputs: Callable[[int], NDArray[np.float32] | None]) -> None:
        if len(layer.kernel.shape) != 4 or layer.bias is None:
            raise ValueError(f"Whitening is for convolutions with a bias, and {layer.name} is none")
        given = inputs(self.images)
        if given is None:
            return
        height, width, channels, filters = layer.kernel.shape
        mean, deviation = _statistics(given)
        # a channel may be constant
        deviation = np.where(deviation > 0, deviation, 1)
        found = _filters(given, mean, deviation, (height, width), self.epsilon)
        found = np.concatenate([found[: filters // 2], -found[: filters // 2]])
        kernel = np.array(keras.ops.convert_to_numpy(layer.kernel))
        bias = np.array(keras.ops.convert_to_numpy(layer.bias))
        scaled = np.moveaxis(found.reshape(-1, height, width, channels), 0, -1) / deviation[:, None]
        kernel[..., : len(found)] = scaled
        bias[: len(found)] = -np.einsum("hwcf,c->f", scaled, mean)
        layer.kernel.assign(kernel)
        layer.bias.assign(bias)

    def get_config(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon, "images": self.images}


def _statistics(images: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean and the standard deviation of each channel. NumPy's `std` would copy all images as float64."""
    mean = images.mean((0, 1, 2), dtype="float64")
    squares = sum(((image - mean) ** 2).sum((0, 1)) for image in images)
    return mean, np.sqrt(squares / (images.size // images.shape[-1]))


def _filters(
    images: NDArray[Any],
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    window: tuple[int, int],
    epsilon: float,
) -> NDArray[np.float64]:
    """The whitening filters (numbers of a patch, numbers of a patch), largest eigenvalue first.

    `mean` and `deviation` are those of each channel of the images.
    """
    size = window[0] * window[1] * images.shape[-1]
    moments, count = np.zeros((size, size)), 0
    # in parts: the patches of all images as float64 may need gigabytes
    step = max(1, PART // (images[0].size * window[0] * window[1]))
    for start in range(0, len(images), step):
        part = (images[start : start + step] - mean) / deviation
        patches = np.lib.stride_tricks.sliding_window_view(part, window, axis=(1, 2))
        flat = np.moveaxis(patches, 3, -1).reshape(-1, size)
        moments += flat.T @ flat
        count += len(flat)
    values, vectors = np.linalg.eigh(moments / max(1, count))
    order = np.argsort(values)[::-1]
    # rounding may make the smallest ones negative
    filters: NDArray[np.float64] = vectors.T[order] / np.sqrt(np.maximum(values[order], 0) + epsilon)[:, None]
    return filters
