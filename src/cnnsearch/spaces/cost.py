"""Computes the cost of a plan before anything is built: parameters, multiply-adds, memory."""

import math
from dataclasses import dataclass, replace
from typing import Any

from cnnsearch.spaces import layer_costs, layer_specs, pretrained
from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.sentences import Spec, paths

Shape = tuple[int, ...]
LARGEST = 2**16
"""The largest side of a backbone's input, in pixels."""


@dataclass(frozen=True)
class Cost:
    """The cost of one candidate.

    Attributes:
        params: all weights, also those that are not trained, as Keras' `count_params` counts them.
        macs: multiply-adds of convolutions and dense layers for one image in the forward pass.
        activations: numbers that the layers output for one image, which the backward pass needs.
        frozen: weights of `params` that are not trained, in a stem that does not change.
    """

    params: int = 0
    macs: int = 0
    activations: int = 0
    frozen: int = 0

    def training_bytes(self, batch_size: int) -> int:
        """Bytes for weights, gradients, two optimizer moments and the activations of a batch, in float32."""
        return 4 * (self.params + 3 * (self.params - self.frozen) + 2 * batch_size * self.activations)


def cost(plan: Plan) -> Cost:
    """The cost of `plan`. Layers that are not in `layer_costs.LAYERS` count as having no weights and keeping the shape.

    Raises:
        ValueError: if the image shrinks to nothing, the paths of a fork do not fit together, or there is no such
            backbone.
    """
    shape: Shape = plan.input_shape
    total = Cost(activations=math.prod(shape))
    for name, blocks in (("stem block", plan.stem), ("block", plan.blocks)):
        for number, block in enumerate(blocks, 1):
            for spec in filter(None, layer_specs.specs(block)):
                shape, total = _layer(spec, block, shape, total)
                if min(shape) < 1:
                    raise ValueError(f"{name} {number} shrinks the image to {shape[0]}x{shape[1]}")
        if blocks is plan.stem and not plan.stem_rate:
            # there is no backward pass through the stem, so only its output is kept
            total = replace(total, frozen=total.params, activations=math.prod(shape))
    return _head(plan, shape, total)


def _head(plan: Plan, shape: Shape, total: Cost) -> Cost:
    specs = [layer_specs.REDUCTIONS[plan.head.reduce]]
    for width in plan.head.widths:
        specs += filter(None, layer_specs.specs(plan.head, width))
    for spec in [*specs, ("Dense", {"units": plan.classes})]:
        shape, total = _layer(spec, plan.head, shape, total)
    return total


def _layer(spec: Spec, stage: layer_specs.Stage, shape: Shape, total: Cost) -> tuple[Shape, Cost]:
    """The shape and the total cost after one layer, or after a fork with all its paths."""
    name, config = spec
    if name == pretrained.SPEC:
        return _backbone(config, total)
    ends = []
    for path in paths(spec):
        end = shape
        for inner in layer_specs.along(path, stage):
            end, total = _layer(inner, stage, end, total)
        ends.append(end)
    known = layer_costs.merged(name, ends) if ends else layer_costs.layer(name, config, shape)
    return known.shape, _add(total, known.params, known.macs, known.activations)


def _backbone(config: dict[str, Any], total: Cost) -> tuple[Shape, Cost]:
    """The shape and the total cost after a backbone; its multiply-adds and activations depend on its input's size."""
    name, side = str(config.get("network")), config.get("side")
    network = pretrained.known(name)
    if type(side) is not int or not 1 <= side <= LARGEST:
        raise ValueError(f"a backbone's side must be a whole number from 1 to {LARGEST}, got {side!r}")
    macs, activations = round(network.macs * side**2), round(network.activations * side**2)
    return pretrained.shape_after(name, side), _add(total, network.params, macs, activations)


def _add(total: Cost, params: int = 0, macs: int = 0, activations: int = 0) -> Cost:
    return replace(
        total,
        params=total.params + params,
        macs=total.macs + macs,
        activations=total.activations + activations,
    )
