"""The pretrained networks (backbones) by name: how a plan names one, and what it costs.

In a plan a backbone is a layer of the stem. The function `spec` makes it.
"""

import dataclasses
import math
from typing import NamedTuple

from cnnsearch.core.errors import nearest
from cnnsearch.spaces.plan import Block, Plan
from cnnsearch.spaces.sentences import Spec, sentence

SPEC = "Backbone"

REDUCTION = 32
"""The side of a backbone's input is so many times the side of its output."""

SMALLEST = 32
"""The smallest side of an input, in pixels, for which Keras builds them."""


class Network(NamedTuple):
    """A backbone, without building it. `macs` and `activations` are for each pixel of its input.

    `file_hash` is of the file with ImageNet's weights without the top that Keras downloads: the MD5, or the SHA-256, as
    `keras.applications` has it; empty where it has none.

    Pixels from 0 to 1 become the values that the network was trained on by `scale` and `offset`, or by subtracting
    `means` (blue first).
    """

    params: int
    features: int
    macs: float
    activations: float
    scale: float = 255.0
    offset: float = 0.0
    means: tuple[float, ...] = ()
    file_hash: str = ""


NETWORKS = {
    # the ImageNet means of blue, green and red that Simonyan and Zisserman (2014) subtract
    "VGG16": Network(
        *(14_714_688, 512, 305_856, 301),
        means=(103.939, 116.779, 123.68),
        file_hash="6d6bbae143d832006294945121d1f1fc",
    ),
    "MobileNetV2": Network(2_257_984, 1280, 5_968.9, 435, scale=2.0, offset=-1.0),
    "EfficientNetV2B0": Network(5_919_312, 1280, 14_517.1, 328, file_hash="893217f2bb855e2983157299931e43ff"),
    "ConvNeXtTiny": Network(
        *(27_820_128, 768, 88_782.8, 587),
        file_hash="d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    ),
}


def known(name: str) -> Network:
    """The network of this name.

    Raises:
        ValueError: if there is none.
    """
    if name not in NETWORKS:
        raise ValueError(f"there is no backbone {name!r}.{nearest(name, NETWORKS)} There are {', '.join(NETWORKS)}")
    return NETWORKS[name]


def spec(
    network: str, input_shape: tuple[int, ...], weights: str = "imagenet", side: int = SMALLEST, train_last: int = 0
) -> Spec:
    """A backbone for a plan's stem.

    Args:
        network: one of NETWORKS.
        input_shape: (height, width, channels) of its images, with 1 or 3 channels.
        weights: `imagenet`, `none`, or a file of weights (`.weights.h5`, or `.h5` as Keras distributes them).
        side: images are resized to this side in pixels, at least SMALLEST.
        train_last: how many of its last layers are trained, not counting layers that normalise.

    Raises:
        ValueError: if there is no such backbone, or the images are too small for it.
    """
    known(network)
    if input_shape[2] not in (1, 3):
        raise ValueError(f"a backbone takes grey or colour images, of 1 or 3 channels, got {input_shape[2]}")
    if side < SMALLEST:
        raise ValueError(f"a backbone needs images of {SMALLEST} pixels or more, got a side of {side}")
    config = {"network": network, "input_shape": list(input_shape), "weights": weights}
    return SPEC, {**config, "side": side, "train_last": train_last}


def without_weights(plan: Plan) -> Plan:
    """`plan` without weights to load, for a model whose weights are set later."""

    def blank(block: Block) -> Block:
        items = tuple(
            (item[0], {**item[1], "weights": "none"}) if not isinstance(item, str) and item[0] == SPEC else item
            for item in sentence(block.layers)
        )
        return dataclasses.replace(block, layers=items)

    return plan.replace(stem=tuple(map(blank, plan.stem)))


def shape_after(name: str, side: int) -> tuple[int, int, int]:
    """(height, width, channels) of the output of a backbone for an image with this side in pixels."""
    # VGG pools without padding, the others pad
    small = side // REDUCTION if name == "VGG16" else math.ceil(side / REDUCTION)
    return small, small, known(name).features
