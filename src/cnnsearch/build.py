"""Builds the Keras model that a plan describes: the one file that knows layers."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from cnnsearch import backbones, layers
from cnnsearch.errors import nearest
from cnnsearch.plan import Block, Head, Item, Plan, Spec, sentence

NORM_MOMENTUM = 0.9
"""Of the moving averages in batch normalisation. Keras' 0.99 needs some 500 steps to follow: on small data the
first epochs' validation, which pruning goes by, would measure that delay (0.10 instead of 0.95 on digits)."""


def _conv(block: Block, _: int) -> Spec:
    config = {"filters": block.filters, "kernel_size": block.kernel}
    return "Conv2D", {**config, "padding": block.padding, "use_bias": block.bias}


def _down(block: Block, _: int) -> Spec:
    config = {"filters": block.filters, "kernel_size": block.down_kernel or block.kernel}
    # padded, so that the smallest image still passes
    return "Conv2D", {**config, "strides": 2, "padding": "same"}


Stage = Block | Head
WORDS: dict[str, Callable[[Any, int], Spec | None]] = {
    "conv": _conv,
    "down": _down,
    "norm": lambda stage, width: ("BatchNormalization", {"momentum": NORM_MOMENTUM}),
    "act": lambda stage, width: ("Activation", {"activation": stage.activation}),
    "pool": lambda block, width: ("MaxPooling2D", {"pool_size": block.pool}),
    "avgpool": lambda block, width: ("AveragePooling2D", {"pool_size": block.pool}),
    "up": lambda block, width: ("UpSampling2D", {"size": 2}),
    "drop": lambda stage, width: ("Dropout", {"rate": stage.rate}) if stage.rate else None,
    "dense": lambda head, width: ("Dense", {"units": width}),
}
"""What each word of a sentence stands for, given its block or head and the width of a dense layer."""

REDUCTIONS: dict[str, Spec] = {
    "flatten": ("Flatten", {}),
    "average": ("GlobalAveragePooling2D", {}),
    "max": ("GlobalMaxPooling2D", {}),
}


def core(plan: Plan) -> keras.Sequential:
    """The network that is exported: raw pixels (0 to 255) in, probabilities out, nothing random before them.

    It is built of Keras' own layers unless the plan names others, and is never compiled, so that the saved
    file loads where this package is not installed.
    """
    # float32 under every policy: half precision is too coarse for the logarithm in the loss
    output = keras.layers.Dense(plan.classes, activation="softmax", dtype="float32", name="probabilities")
    scaling = keras.layers.Rescaling(1 / 255, name="rescaling")
    # all at once: `add` traces the whole model anew for every layer
    model = keras.Sequential([_pixels(plan), scaling, *_body(plan), output])
    if not plan.stem_rate:
        for part in stem(model):
            part.trainable = False
    return model


def training_model(plan: Plan, core_model: keras.Sequential) -> keras.Sequential:
    """`core_model` with the plan's augmentation after its scaling; the layers are shared, so it trains them.

    Without augmentation it is a second model too: a compiled core would save this package's classes with it.
    """
    scaling, *rest = core_model.layers
    return keras.Sequential([_pixels(plan), scaling, *map(layer, plan.augment), *rest])


def compile_(model: keras.Sequential, plan: Plan, steps_per_epoch: int) -> None:
    """Make `model` ready to be trained as `plan` says, on one-hot labels.

    Raises:
        ValueError: if the loss or the optimizer does not exist, or does not take its configuration.
    """
    optimizer = make("optimizer", plan.optimizer)
    if plan.stem_rate not in (0, 1):
        slow = {id(variable) for part in stem(model) for variable in part.trainable_variables}
        optimizer = _two_rates(optimizer, plan.stem_rate, [id(v) in slow for v in model.trainable_variables])
    if plan.schedule:
        base = float(optimizer.learning_rate)
        optimizer.learning_rate = Factors(base, plan.schedule, steps_per_epoch)
    # a metric by name guesses the kind of accuracy from shapes
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    model.compile(optimizer=optimizer, loss=make("loss", plan.loss), metrics=[accuracy])
    # variables that do not exist yet make `fit` trace its step twice
    model.optimizer.build(model.trainable_variables)


def stem(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a plan's stem in a model built from it; none in any other model."""
    return [part for part in model.layers if re.fullmatch(r"stem\d+_\d+_\w+", part.name)]


def callbacks(plan: Plan) -> list[keras.callbacks.Callback]:
    """New callbacks: they keep state, so each training needs its own.

    Raises:
        ValueError: if one does not exist, does not take its configuration, or fights the plan's schedule.
    """
    if plan.schedule and any(name == "ReduceLROnPlateau" for name, _ in plan.callbacks):
        raise ValueError("ReduceLROnPlateau cannot lower a rate that a schedule sets; leave one of them out")
    return [make("callback", spec) for spec in plan.callbacks]


def parts(plan: Plan) -> Iterator[tuple[str, Spec]]:
    """Every Keras object that `plan` names, as what `make` takes: its kind and its spec."""
    stages: list[Stage] = [*plan.stem, *plan.blocks, plan.head]
    specs = [spec for stage in stages for spec in _specs(stage, sentence(stage.layers), plan.classes)]
    yield from (("layer", spec) for spec in [*specs, *plan.augment] if spec is not None)
    yield "loss", plan.loss
    yield "optimizer", plan.optimizer
    yield from (("callback", spec) for spec in plan.callbacks)


def learning_rate(model: keras.Model) -> float:
    """The rate of the next step of a compiled model."""
    return float(model.optimizer.learning_rate)


def layer(spec: Spec, name: str | None = None) -> keras.layers.Layer:
    """The layer that `spec` describes: Keras', this package's, or one registered with Keras.

    Raises:
        ValueError: if there is no such layer, or it does not take this configuration.
    """
    kind, config = spec
    if kind == backbones.SPEC:
        return backbones.build(layer_name=name or kind.lower(), **config)
    named = {"name": name, **config} if name else config
    return make("layer", (kind, named))


@keras.saving.register_keras_serializable("cnnsearch")
class Factors(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The rate `base` times `factors`: one at each epoch's start and one at the end, linear in between."""

    def __init__(self, base: float, factors: tuple[float, ...], steps_per_epoch: int) -> None:
        super().__init__()
        self.base, self.factors, self.steps_per_epoch = base, tuple(factors), steps_per_epoch

    def __call__(self, step: Any) -> Any:
        epoch = keras.ops.cast(step, "float32") / self.steps_per_epoch
        factors = keras.ops.convert_to_tensor(np.asarray(self.factors, "float32"))
        # a tent over each epoch's start: the two whose sum is not 0 interpolate between them
        at = keras.ops.minimum(epoch, len(self.factors) - 1.0)
        near = keras.ops.relu(1 - keras.ops.abs(at - np.arange(len(self.factors), dtype="float32")))
        return self.base * keras.ops.sum(near * factors)

    def get_config(self) -> dict[str, Any]:
        return {"base": self.base, "factors": self.factors, "steps_per_epoch": self.steps_per_epoch}


def _pixels(plan: Plan) -> Any:
    return keras.Input(plan.input_shape, dtype="float32", name="pixels")


def _body(plan: Plan) -> Iterator[keras.layers.Layer]:
    for number, block in enumerate(plan.stem, 1):
        yield from _stage(f"stem{number}", block, sentence(block.layers))
    for number, block in enumerate(plan.blocks, 1):
        yield from _stage(f"block{number}", block, sentence(block.layers))
    yield layer(REDUCTIONS[plan.head.reduce], "reduce")
    for number, width in enumerate(plan.head.widths, 1):
        yield from _stage(f"head{number}", plan.head, sentence(plan.head.layers), width)


def _stage(prefix: str, stage: Stage, items: tuple[Item, ...], width: int = 0) -> Iterator[keras.layers.Layer]:
    """A sentence's layers, named by their place, so that the names do not depend on earlier models."""
    for number, spec in enumerate(_specs(stage, items, width), 1):
        if spec is not None:
            yield layer(spec, f"{prefix}_{number}_{spec[0].lower()}")


def _specs(stage: Stage, items: tuple[Item, ...], width: int) -> list[Spec | None]:
    """What each item of a sentence stands for; None for a word that stands for no layer here."""
    return [WORDS[item](stage, width) if isinstance(item, str) else item for item in items]


def _two_rates(optimizer: keras.optimizers.Optimizer, factor: float, slow: list[bool]) -> keras.optimizers.Optimizer:
    """`optimizer` made anew to change the variables that are `slow`, by their order, at `factor` times its rate.

    Rates by layer are from Howard and Ruder (arXiv 1801.06146). Keras' MultiOptimizer has no learning rate that
    callbacks could lower, and scaled gradients would change nothing for Adam.
    """
    kind: Any = type(optimizer)

    class TwoRates(kind):  # type: ignore[misc]
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            slowed = slow[self._get_variable_index(variable)]
            super().update_step(gradient, variable, learning_rate * factor if slowed else learning_rate)

    return TwoRates.from_config(optimizer.get_config())


KINDS: dict[str, tuple[Any, type]] = {
    "layer": (keras.layers, keras.layers.Layer),
    "loss": (keras.losses, keras.losses.Loss),
    "optimizer": (keras.optimizers, keras.optimizers.Optimizer),
    "callback": (keras.callbacks, keras.callbacks.Callback),
}


def make(kind: str, spec: Spec) -> Any:
    """The Keras object of one of KINDS that `spec` describes.

    Raises:
        ValueError: if there is none of this name, or it does not take this configuration.
    """
    name, config = spec
    if kind == "layer" and name == backbones.SPEC:
        return layer(spec)
    known = dict(_classes(*KINDS[kind]))
    if name not in known:
        raise ValueError(f"there is no {kind} '{name}'.{nearest(name, known)}")
    try:
        return known[name](**config)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the {kind} {name} does not take {config}: {_first_line(error)}") from error


def _classes(module: Any, base: type) -> Iterator[tuple[str, type]]:
    """All by name. Registered by others comes first, so that it can never stand in for one of Keras'."""
    registered = keras.saving.get_custom_objects()
    short = {key.rpartition(">")[2]: value for key, value in registered.items()}
    for name, value in {**short, **registered, **vars(module), **vars(layers)}.items():
        if inspect.isclass(value) and issubclass(value, base):
            yield name, value


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
