"""The output shape, weights and multiply-adds of Keras layers, by class name."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

Shape = tuple[int, ...]
Config = dict[str, Any]


class Layer(NamedTuple):
    """The cost of a layer for one image.

    Attributes:
        shape: the output shape, without the batch axis.
        params: weights.
        macs: multiply-adds.
        outputs: numbers that are kept for the backward pass; None for all numbers of the output.
    """

    shape: Shape
    params: int = 0
    macs: int = 0
    outputs: int | None = None

    @property
    def activations(self) -> int:
        """Numbers that are kept for the backward pass."""
        return math.prod(self.shape) if self.outputs is None else self.outputs


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _sides(config: Config, shape: Shape, window: tuple[int, int], strides: Any, padding: str) -> tuple[int, ...]:
    """Height and width after a layer that moves a window over the image."""
    padding, reach = config.get("padding", padding), _pair(config.get("dilation_rate", 1))
    taken = [0 if padding == "same" else (side - 1) * far for side, far in zip(window, reach, strict=True)]
    steps = _pair(strides)
    return tuple(-(-(side - less) // step) for side, less, step in zip(shape[:2], taken, steps, strict=True))


def _conv(config: Config, shape: Shape) -> Layer:
    kernel, filters = _pair(config["kernel_size"]), int(config["filters"])
    sides = _sides(config, shape, kernel, config.get("strides", 1), "valid")
    weights = math.prod(kernel) * (shape[2] // int(config.get("groups", 1))) * filters
    bias = filters if config.get("use_bias", True) else 0
    return Layer((*sides, filters), weights + bias, weights * math.prod(sides))


def _depthwise(config: Config, shape: Shape) -> Layer:
    kernel, channels = _pair(config["kernel_size"]), shape[2] * int(config.get("depth_multiplier", 1))
    sides = _sides(config, shape, kernel, config.get("strides", 1), "valid")
    weights = math.prod(kernel) * channels
    bias = channels if config.get("use_bias", True) else 0
    return Layer((*sides, channels), weights + bias, weights * math.prod(sides))


def _separable(config: Config, shape: Shape) -> Layer:
    first = _depthwise({**config, "use_bias": False}, shape)
    across = {"filters": config["filters"], "kernel_size": 1, "use_bias": config.get("use_bias", True)}
    second = _conv(across, first.shape)
    kept = first.activations + second.activations
    return Layer(second.shape, first.params + second.params, first.macs + second.macs, kept)


def _pool(config: Config, shape: Shape) -> Layer:
    window = _pair(config["pool_size"])
    # the default padding of Keras' pooling is 'valid': an incomplete window is dropped
    return Layer((*_sides(config, shape, window, config.get("strides") or window, "valid"), shape[2]))


def _global(config: Config, shape: Shape) -> Layer:
    return Layer((1, 1, shape[-1]) if config.get("keepdims") else (shape[-1],))


def _up(config: Config, shape: Shape) -> Layer:
    height, width = _pair(config.get("size", 2))
    return Layer((shape[0] * height, shape[1] * width, shape[2]))


def _dense(config: Config, shape: Shape) -> Layer:
    units = int(config["units"])
    weights = shape[-1] * units
    bias = units if config.get("use_bias", True) else 0
    return Layer((*shape[:-1], units), weights + bias, weights * math.prod(shape[:-1]))


def _normal(moments: int) -> Callable[[Config, Shape], Layer]:
    def count(config: Config, shape: Shape) -> Layer:
        learned = bool(config.get("center", True)) + bool(config.get("scale", True))
        return Layer(shape, (moments + learned) * shape[-1])

    return count


LAYERS: dict[str, Callable[[Config, Shape], Layer]] = {
    "Conv2D": _conv,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "Dense": _dense,
    "MaxPooling2D": _pool,
    "AveragePooling2D": _pool,
    "GlobalAveragePooling2D": _global,
    "GlobalMaxPooling2D": _global,
    "UpSampling2D": _up,
    # flattening makes no new numbers
    "Flatten": lambda config, shape: Layer((math.prod(shape),), outputs=0),
    "BatchNormalization": _normal(2),
    "LayerNormalization": _normal(0),
    "GroupNormalization": _normal(0),
}
"""The layers with a known cost. Every other layer counts as one that keeps the shape and has no weights."""


def layer(name: str, config: Config, shape: Shape) -> Layer:
    """The cost of the layer `name` on an input of `shape` (without the batch axis).

    Raises:
        ValueError: if its configuration does not fit the image.
    """
    try:
        return LAYERS[name](config, shape) if name in LAYERS else Layer(shape)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"the layer {name} does not take {config} on {shape}: {error}") from error


def merged(name: str, ends: list[Shape]) -> Layer:
    """The cost of the layer that merges the paths of a fork; `ends` are the shapes after each path.

    Raises:
        ValueError: if their shapes do not fit.
    """
    if name == "Concatenate":
        fits = len({end[:-1] for end in ends}) == 1
        shape = (*ends[0][:-1], sum(end[-1] for end in ends))
    else:
        # sides of 1 are broadcast
        shape = tuple(max(sides) for sides in zip(*ends, strict=False))
        fits = all(side in (1, most) for end in ends for side, most in zip(end, shape, strict=True))
    if not fits:
        raise ValueError(f"the paths of {name} end in {' and '.join(map(str, ends))}, which do not fit together")
    return Layer(shape)
