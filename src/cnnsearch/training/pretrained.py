"""Pretrained networks, each as one layer of a candidate, and their weights.

In a plan a backbone is a layer of the stem, a spec that `spec` makes. Nothing heavy is imported until one is
built.
"""

import os
from collections.abc import Callable
from typing import Any

from cnnsearch.core.errors import DataError, out_of_memory
from cnnsearch.data.arrays import expanded, reason, short_silent_download
from cnnsearch.spaces.pretrained import SMALLEST, known

REASON = 300
"""How many characters of Keras' message an error shows: Keras may print all the weights."""


def build(
    *, network: str, input_shape: tuple[int, ...], weights: str, side: int, train_last: int, layer_name: str
) -> Any:
    """The network as a Keras model of Keras' own layers, from pixels of 0 to 1 to its last feature maps.

    Grey images become three equal colours. Normalisation is never trained on: averages over a small batch of other
    images would change its features (Keras' guide to transfer learning).

    Raises:
        DataError: if the weights are not available or do not fit.
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
    body = load(network, weights, side)
    _freeze(body, train_last)
    # frozen means no dropout either, so that the same image gives the same answer
    maps = body(images) if train_last else body(images, training=False)
    return keras.Model(pixels, maps, name=layer_name)


def load(name: str, weights: str, side: int = SMALLEST) -> Any:
    """The network with these weights. Any error becomes a message of one line.

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
            f"backbone {name}: there is no file of weights {weights}; expected imagenet, none, or a file of Keras."
        )
    try:
        body.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"backbone {name}: {weights} does not hold its weights without the top ({reason(error)[:REASON]}). "
            "Expected Keras' .h5 file with notop in its name, or a .weights.h5 file that save_weights wrote."
        ) from error
    return body


def _from_network(name: str, make: Callable[..., Any], shape: tuple[int, ...]) -> Any:
    import filelock

    folder = expanded(os.environ.get("KERAS_HOME", "~/.keras"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # one worker at a time: Keras writes what it fetches straight to its place
        with filelock.FileLock(folder / "cnnsearch.lock"), short_silent_download():
            return make(include_top=False, weights="imagenet", input_shape=shape)
    # Keras raises a bare Exception where a download fails
    except Exception as error:
        if out_of_memory(error):
            raise
        raise DataError(
            f"backbone {name}: ImageNet's weights could not be fetched ({reason(error)[:REASON]}). Without an "
            f"internet connection, give them as a file: --weights FILE.weights.h5. Write it on another machine: "
            f"`keras.applications.{name}(include_top=False).save_weights(FILE)`. Or train all layers from "
            "random weights: set the dimension's options weights to none and train_last to 999, as in "
            "--set backbone.weights=none --set backbone.train_last=999."
        ) from error


def _freeze(body: Any, train_last: int) -> None:
    import keras

    body.trainable = True
    norms = (keras.layers.BatchNormalization, keras.layers.LayerNormalization)
    learning = [layer for layer in body.layers if layer.weights and not isinstance(layer, norms)]
    trained = learning[max(0, len(learning) - train_last) :] if train_last else []
    for layer in body.layers:
        layer.trainable = layer in trained
