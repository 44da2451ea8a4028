"""Networks trained on other images, by name, as one layer of a candidate; what they cost; their weights.

In a plan a backbone is a layer of the stem, a spec that `spec` makes. Nothing heavy is imported until one is
built.
"""

import dataclasses
import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from cnnsearch.arrays import expanded, quickly_and_quietly, reason
from cnnsearch.errors import DataError, nearest, out_of_memory
from cnnsearch.plan import Block, Plan, Spec, sentence

SPEC = "Backbone"
REDUCTION = 32
"""An image's side is that many times the side of what a backbone makes of it."""

SMALLEST = 32
"""Keras builds none of them for images with a smaller side."""


class Network(NamedTuple):
    """What is known about one without building it; `macs` and `activations` are for each pixel of its input.

    Its pixels are 0 to 1 here: `scale` and `offset` (or the means that are taken off, blue first) make of them what
    the network was trained on.
    """

    params: int
    features: int
    macs: float
    activations: float
    scale: float = 255.0
    offset: float = 0.0
    means: tuple[float, ...] = ()


NETWORKS = {
    # the ImageNet means of blue, green and red that Simonyan and Zisserman (2014) subtract
    "VGG16": Network(14_714_688, 512, 305_856, 301, means=(103.939, 116.779, 123.68)),
    "MobileNetV2": Network(2_257_984, 1280, 5_968.9, 435, scale=2.0, offset=-1.0),
    "EfficientNetV2B0": Network(5_919_312, 1280, 14_517.1, 328),
    "ConvNeXtTiny": Network(27_820_128, 768, 88_782.8, 587),
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
        input_shape: (height, width, channels) of the images it gets, of 1 or 3 channels.
        weights: `imagenet`, `none`, or a file of weights (`.weights.h5`, or `.h5` as Keras distributes them).
        side: images are resized to that many pixels, at least SMALLEST.
        train_last: how many of its last layers are trained on, those that normalise not counted.

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
    """`plan` with nothing to be loaded: for a model whose weights are there already."""

    def blank(block: Block) -> Block:
        items = tuple(
            (item[0], {**item[1], "weights": "none"}) if not isinstance(item, str) and item[0] == SPEC else item
            for item in sentence(block.layers)
        )
        return dataclasses.replace(block, layers=items)

    return plan.replace(stem=tuple(map(blank, plan.stem)))


def build(
    *, network: str, input_shape: tuple[int, ...], weights: str, side: int, train_last: int, layer_name: str
) -> Any:
    """The network as a Keras model from pixels of 0 to 1 to its last feature maps, of Keras' own layers alone.

    Grey images become three equal colours. Normalisation is never trained on: averages over a small batch of other
    images would undo what it knows (Keras' guide to transfer learning).

    Raises:
        DataError: if the weights cannot be had or do not fit.
        ValueError: if there is no such network.
    """
    import keras

    about = known(network)
    pixels = keras.Input(input_shape, name=f"{layer_name}_pixels")
    images = pixels
    if tuple(input_shape[:2]) != (side, side):
        images = keras.layers.Resizing(side, side, name=f"{layer_name}_resize")(images)
    if input_shape[2] == 1:
        images = keras.layers.Concatenate(name=f"{layer_name}_colours")([images] * 3)
    elif about.means:
        images = keras.ops.flip(images, -1)
    images = keras.layers.Rescaling(about.scale, about.offset, name=f"{layer_name}_scale")(images)
    if about.means:
        ones = (1.0,) * len(about.means)
        images = keras.layers.Normalization(mean=about.means, variance=ones, name=f"{layer_name}_means")(images)
    body = _loaded(network, weights, side)
    _freeze(body, train_last)
    # frozen means no dropout either, so that the same image gives the same answer
    maps = body(images) if train_last else body(images, training=False)
    return keras.Model(pixels, maps, name=layer_name)


def _loaded(name: str, weights: str, side: int) -> Any:
    """The network with these weights; whatever hinders that becomes one line.

    Raises:
        DataError: if there is no such file, no network to fetch ImageNet's with, or they are another's.
    """
    import keras

    make = getattr(keras.applications, name)
    shape = (side, side, 3)
    if weights == "imagenet":
        return _from_network(name, make, shape)
    body = make(include_top=False, weights=None, input_shape=shape)
    if weights == "none":
        return body
    path = expanded(weights)
    if not path.is_file():
        raise DataError(
            f"backbone {name}: there is no file of weights {weights}; expected imagenet, none, or a .weights.h5 file."
        )
    try:
        body.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"backbone {name}: {weights} does not hold its weights ({reason(error)}).") from error
    return body


def _from_network(name: str, make: Callable[..., Any], shape: tuple[int, ...]) -> Any:
    import filelock

    folder = expanded(os.environ.get("KERAS_HOME", "~/.keras"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # one worker at a time: Keras writes what it fetches straight to its place
        with filelock.FileLock(folder / "cnnsearch.lock"), quickly_and_quietly():
            return make(include_top=False, weights="imagenet", input_shape=shape)
    # Keras raises a bare Exception where a download fails
    except Exception as error:
        if out_of_memory(error):
            raise
        raise DataError(
            f"backbone {name}: ImageNet's weights could not be fetched ({reason(error)[:200]}). With no network bring "
            f"them as a file: --set backbone.names={name} --set backbone.weights=FILE.weights.h5, which "
            f"`keras.applications.{name}(include_top=False).save_weights(FILE)` writes where there is one; or train "
            "from nothing: --set backbone.weights=none."
        ) from error


def _freeze(body: Any, train_last: int) -> None:
    import keras

    body.trainable = True
    norms = (keras.layers.BatchNormalization, keras.layers.LayerNormalization)
    learning = [layer for layer in body.layers if layer.weights and not isinstance(layer, norms)]
    trained = learning[len(learning) - train_last :] if train_last else []
    for layer in body.layers:
        layer.trainable = layer in trained


def shape_after(name: str, side: int) -> tuple[int, int, int]:
    """(height, width, channels) of what a backbone makes of an image of `side` pixels."""
    # VGG pools without padding, the others pad
    small = side // REDUCTION if name == "VGG16" else math.ceil(side / REDUCTION)
    return small, small, known(name).features
