"""Makes the Keras objects that plans name: layers, losses, optimizers, initializers and callbacks."""

import inspect
from collections.abc import Iterator
from typing import Any

import keras

from cnnsearch.core.errors import first_line, nearest
from cnnsearch.spaces import pretrained
from cnnsearch.spaces.sentences import Spec
from cnnsearch.training import batch_layers, initial_weights, layers
from cnnsearch.training import pretrained as backbones

KINDS: dict[str, tuple[Any, type]] = {
    "layer": (keras.layers, keras.layers.Layer),
    "initializer": (keras.initializers, keras.initializers.Initializer),
    "loss": (keras.losses, keras.losses.Loss),
    "optimizer": (keras.optimizers, keras.optimizers.Optimizer),
    "callback": (keras.callbacks, keras.callbacks.Callback),
}


def layer(spec: Spec, name: str | None = None) -> keras.layers.Layer:
    """The layer that `spec` describes: Keras', this package's, or one registered with Keras.

    Raises:
        ValueError: if there is no such layer, or it does not take this configuration.
    """
    kind, config = spec
    if kind == pretrained.SPEC:
        return backbones.build(layer_name=name or kind.lower(), **config)
    named = {"name": name, **config} if name else config
    return make("layer", (kind, named))


def make(kind: str, spec: Spec) -> Any:
    """The Keras object of one of KINDS that `spec` describes.

    Raises:
        ValueError: if there is none of this name, or it does not take this configuration.
    """
    name, config = spec
    if kind == "layer" and name == pretrained.SPEC:
        return layer(spec)
    known = dict(_classes(*KINDS[kind]))
    if name not in known:
        raise ValueError(f"there is no {kind} '{name}'.{nearest(name, known)}")
    try:
        return known[name](**config)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the {kind} {name} does not take {config}: {first_line(error)}") from error


def _classes(module: Any, base: type) -> Iterator[tuple[str, type]]:
    """All classes by name. Keras' own come last, so that a registered class never replaces one of them."""
    registered = keras.saving.get_custom_objects()
    short = {key.rpartition(">")[2]: value for key, value in registered.items()}
    own = {**vars(initial_weights), **vars(batch_layers), **vars(layers)}
    for name, value in {**short, **registered, **own, **vars(module)}.items():
        if inspect.isclass(value) and issubclass(value, base):
            yield name, value
