"""What a plan costs, computed before anything is built: parameters, multiply-adds, memory."""

import math
from dataclasses import dataclass, replace
from typing import Any

from cnnsearch import backbones
from cnnsearch.plan import Block, Head, Item, Plan, sentence

Shape = tuple[int, ...]
LARGEST = 2**16
"""The largest side of the images that a backbone gets."""


@dataclass(frozen=True)
class Cost:
    """The price of one candidate.

    Attributes:
        params: all weights, those that are not trained included, as Keras' `count_params` has them.
        macs: multiply-adds of one image forward, of convolutions and dense layers.
        activations: numbers that the layers put out for one image, kept for the backward pass.
        frozen: those of `params` that are not trained on, in a stem that stays as it is.
    """

    params: int = 0
    macs: int = 0
    activations: int = 0
    frozen: int = 0

    def training_bytes(self, batch_size: int) -> int:
        """Memory for weights, gradients, two optimizer moments and a batch's activations, in float32."""
        return 4 * (self.params + 3 * (self.params - self.frozen) + 2 * batch_size * self.activations)


def cost(plan: Plan) -> Cost:
    """The cost of `plan`. Layers given by class name, backbones aside, count as free and shape-preserving.

    Raises:
        ValueError: if the image shrinks to nothing on the way, or there is no such backbone.
    """
    shape: Shape = plan.input_shape
    total = Cost(activations=math.prod(shape))
    for name, blocks in (("stem block", plan.stem), ("block", plan.blocks)):
        for number, block in enumerate(blocks, 1):
            for item in sentence(block.layers):
                shape, total = _step(item, block, shape, total)
                if min(shape) < 1:
                    raise ValueError(f"{name} {number} shrinks the image to {shape[0]}x{shape[1]}")
        if blocks is plan.stem and not plan.stem_rate:
            # nothing flows back through it, so that only what it gives is kept
            total = replace(total, frozen=total.params, activations=math.prod(shape))
    return _head(plan.head, plan.classes, shape, total)


def _head(head: Head, classes: int, shape: Shape, total: Cost) -> Cost:
    features = math.prod(shape) if head.reduce == "flatten" else shape[-1]
    if head.reduce != "flatten":  # flattening only looks at the same numbers another way
        total = _add(total, activations=features)
    for width in head.widths:
        for item in sentence(head.layers):
            if item == "dense":
                features, total = width, _dense(features, width, total)
            else:
                total = _same(item, head, (features,), total)
    return _dense(features, classes, total)


def _step(item: Item, block: Block, shape: Shape, total: Cost) -> tuple[Shape, Cost]:
    """The shape and running cost after one item of a block's sentence."""
    if item in ("conv", "down"):
        return _conv(item == "down", block, shape, total)
    if item in ("pool", "avgpool"):
        # Keras' pooling is 'valid': what does not fill a window is dropped
        shape = (shape[0] // block.pool, shape[1] // block.pool, shape[2])
        return shape, _add(total, activations=math.prod(shape))
    if item == "up":
        shape = (2 * shape[0], 2 * shape[1], shape[2])
        return shape, _add(total, activations=math.prod(shape))
    if not isinstance(item, str) and item[0] == backbones.SPEC:
        return _backbone(item[1], total)
    return shape, _same(item, block, shape, total)


def _conv(down: bool, block: Block, shape: Shape, total: Cost) -> tuple[Shape, Cost]:
    kernel = block.down_kernel or block.kernel if down else block.kernel
    stride = 2 if down else 1
    # a strided convolution pads, so that the smallest image still passes
    padding = "same" if down else block.padding
    taken = 0 if padding == "same" else kernel - 1
    height, width = (-(-(side - taken) // stride) for side in shape[:2])
    weights = kernel * kernel * shape[2] * block.filters
    out = (height, width, block.filters)
    bias = block.filters if block.bias or down else 0
    return out, _add(total, weights + bias, weights * height * width, math.prod(out))


def _backbone(config: dict[str, Any], total: Cost) -> tuple[Shape, Cost]:
    """The shape after a backbone, its multiply-adds and activations by its images' size."""
    name, side = str(config.get("network")), config.get("side")
    network = backbones.known(name)
    if type(side) is not int or not 1 <= side <= LARGEST:
        raise ValueError(f"a backbone's side must be a whole number from 1 to {LARGEST}, got {side!r}")
    macs, activations = round(network.macs * side**2), round(network.activations * side**2)
    return backbones.shape_after(name, side), _add(total, network.params, macs, activations)


def _dense(features: int, width: int, total: Cost) -> Cost:
    weights = features * width
    return _add(total, weights + width, weights, width)


def _same(item: Item, stage: Block | Head, shape: Shape, total: Cost) -> Cost:
    """The running cost after a layer that keeps the shape."""
    if item == "norm":
        return _add(total, params=4 * shape[-1], activations=math.prod(shape))
    if item == "act" or (item == "drop" and stage.rate):
        return _add(total, activations=math.prod(shape))
    return total


def _add(total: Cost, params: int = 0, macs: int = 0, activations: int = 0) -> Cost:
    return replace(
        total,
        params=total.params + params,
        macs=total.macs + macs,
        activations=total.activations + activations,
    )
