"""Builds the Keras model that a plan describes."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from cnnsearch.data.dataset import Images
from cnnsearch.data.pixel_values import BYTES
from cnnsearch.spaces import layer_specs
from cnnsearch.spaces.layer_specs import REDUCTIONS, Stage
from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.sentences import Spec, paths
from cnnsearch.training import adjusted_optimizer, batch_layers, image_sizes, initial_weights
from cnnsearch.training.adjusted_optimizer import Group
from cnnsearch.training.keras_objects import layer, make
from cnnsearch.training.learning_rates import Factors


def core(plan: Plan) -> keras.Sequential:
    """The network that is exported. Its input is raw images, its output probabilities, and nothing in it is random.

    It is built of Keras' own layers unless the plan names others, and is never compiled, so that the saved
    file loads where this package is not installed.
    """
    # float32 under every policy: half precision is too coarse for the logarithm in the loss
    output = keras.layers.Dense(plan.classes, activation="softmax", dtype="float32", name="probabilities")
    # all at once: `add` traces the whole model anew for every layer
    model = keras.Sequential([_pixels(plan), _scaling(plan), *_body(plan), output])
    if not plan.stem_rate:
        for part in stem(model):
            part.trainable = False
    for variable in model.trainable_variables if plan.groups else ():
        variable.trainable = adjusted_optimizer.group_of(plan, variable).rate > 0
    return model


def set_initial_weights(plan: Plan, core_model: keras.Sequential, x: Images | None) -> None:
    """Set the weights that the plan's `initial` names, some of them from the training images `x`.

    Without images those keep their random values, which is enough for a model whose weights are loaded afterwards.

    Raises:
        ValueError: if there is no such initializer, or it does not fit the layer.
    """
    for part in core_model._flatten_layers(include_self=False) if plan.initial else ():
        found = next((spec for pattern, spec in plan.initial if re.search(pattern, part.name)), None)
        if found is None:
            continue
        if not hasattr(part, "kernel"):
            raise ValueError(f"initial names {part.name}, and {part.name} has no kernel")
        initializer = make("initializer", found)
        if isinstance(initializer, initial_weights.LayerInitializer):
            initializer.set_weights(part, _inputs(core_model, part, x))
        else:
            part.kernel.assign(initializer(part.kernel.shape))


MOST = 2**26
"""The most numbers of images from which first weights are computed: as float32 they need 256 MiB."""


def _inputs(model: keras.Sequential, part: keras.layers.Layer, x: Images | None) -> Callable[[int], Any]:
    """A function that gives what the layer `part` of `model` receives for the first images of `x`."""

    def inputs(count: int) -> Any:
        if x is None:
            return None
        if part not in model.layers:
            raise ValueError(f"{part.name} is inside a fork; only other layers can be computed from images")
        before = keras.Sequential([keras.Input(model.input_shape[1:]), *model.layers[: model.layers.index(part)]])
        # `predict` would compile a program for it
        images = np.asarray(x[: min(count, max(1, MOST // x[0].size))], "float32")
        parts = (images[start : start + 256] for start in range(0, len(images), 256))
        return np.concatenate([keras.ops.convert_to_numpy(before(part)) for part in parts])

    return inputs


def training_model(plan: Plan, core_model: keras.Sequential) -> keras.Sequential:
    """`core_model` with the plan's augmentation after its scaling; the layers are shared, so it trains them.

    Without augmentation it is a second model too: a compiled core would save this package's classes with it.
    """
    scaling, *rest = core_model.layers
    changes = [*map(layer, plan.augment), *(batch_layers.Mixing(layer(spec)) for spec in plan.mixing)]
    if plan.sizes:
        image_sizes.check(plan, rest)
        changes.append(image_sizes.ProgressiveSize(plan.sizes))
    kind = batch_layers.MixedModel if plan.mixing else keras.Sequential
    return kind([_pixels(plan), scaling, *changes, *rest])


def compile_(model: keras.Sequential, plan: Plan, steps_per_epoch: float) -> None:
    """Make `model` ready to be trained as `plan` says, on one-hot labels; an epoch of its schedule has so many steps.

    Raises:
        ValueError: if the loss or the optimizer does not exist, or does not take its configuration.
    """
    groups = _groups(plan, model)
    optimizer = make("optimizer", plan.optimizer)
    optimizer = adjusted_optimizer.adjusted(optimizer, groups, plan.averaging, steps_per_epoch, plan.epochs)
    if plan.schedule:
        base = float(optimizer.learning_rate)
        optimizer.learning_rate = Factors(base, plan.schedule, steps_per_epoch, plan.schedule_at)
    # a metric by name guesses the kind of accuracy from shapes
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    model.compile(optimizer=optimizer, loss=make("loss", plan.loss), metrics=[accuracy])
    # variables that do not exist yet make `fit` trace its step twice
    model.optimizer.build(model.trainable_variables)


def _groups(plan: Plan, model: keras.Sequential) -> list[Group]:
    """How each of the model's trainable variables is trained; the rate of the stem's is `stem_rate`."""
    groups = [adjusted_optimizer.group_of(plan, variable) for variable in model.trainable_variables]
    if plan.stem_rate in (0, 1):
        return groups
    slow = {id(variable) for part in stem(model) for variable in part.trainable_variables}
    return [
        group._replace(rate=group.rate * plan.stem_rate) if id(variable) in slow else group
        for group, variable in zip(groups, model.trainable_variables, strict=True)
    ]


def stem(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers of a plan's stem in a model built from it; empty for any other model."""
    return [part for part in model.layers if re.fullmatch(r"stem\d+_\d+_\w+", part.name)]


def value_range(model: keras.Model) -> tuple[float, float]:
    """(low, high) of the values that the first layer of a plan's model maps to 0 and 1."""
    layer = model.layers[0]
    low = -layer.offset / layer.scale
    # a scale of 1 / 255 is not exact
    return round(low, 9) + 0.0, round(low + 1 / layer.scale, 9)


def callbacks(plan: Plan) -> list[keras.callbacks.Callback]:
    """New callbacks of a plan. They have state, so each training needs its own.

    Raises:
        ValueError: if one does not exist, does not take its configuration, or contradicts the plan's schedule.
    """
    if plan.schedule and any(name == "ReduceLROnPlateau" for name, _ in plan.callbacks):
        raise ValueError("ReduceLROnPlateau cannot lower a rate that a schedule sets; leave one of them out")
    return [make("callback", spec) for spec in plan.callbacks]


def part_callbacks(model: keras.Model) -> list[keras.callbacks.Callback]:
    """New callbacks that parts of a compiled model need. They come before all others."""
    needed = {
        batch_layers.EpochNumbers: batch_layers.epoch_variables(model),
        image_sizes.ChangedSizes: image_sizes.varies(model),
        adjusted_optimizer.AveragedWeights: adjusted_optimizer.averages(model.optimizer),
    }
    return [callback() for callback, needs in needed.items() if needs]


def parts(plan: Plan) -> Iterator[tuple[str, Spec]]:
    """Every Keras object that `plan` names: its kind and its spec, the arguments of `make`."""
    stages: list[Stage] = [*plan.stem, *plan.blocks, plan.head]
    specs = [spec for stage in stages for spec in _named(stage, layer_specs.specs(stage, plan.classes))]
    yield from (("layer", spec) for spec in [*specs, *plan.augment, *plan.mixing])
    yield from (("initializer", spec) for _, spec in plan.initial)
    yield "loss", plan.loss
    yield "optimizer", plan.optimizer
    yield from (("callback", spec) for spec in plan.callbacks)


def learning_rate(model: keras.Model) -> float:
    """The learning rate of the next step of a compiled model."""
    return float(model.optimizer.learning_rate)


def _pixels(plan: Plan) -> Any:
    return keras.Input(plan.input_shape, dtype="float32", name="pixels")


def _scaling(plan: Plan) -> keras.layers.Layer:
    """Maps the plan's `value_range` to 0 and 1."""
    low, high = plan.value_range
    scale = 1 / (high - low)
    # half precision would round values such as 4095 before they are scaled
    dtype = None if plan.value_range == BYTES else "float32"
    return keras.layers.Rescaling(scale, offset=-low * scale if low else 0.0, name="rescaling", dtype=dtype)


def _body(plan: Plan) -> list[keras.layers.Layer]:
    made: list[keras.layers.Layer] = []
    for place, blocks in (("stem", plan.stem), ("block", plan.blocks)):
        for number, block in enumerate(blocks, 1):
            _extend(made, plan, f"{place}{number}", block)
    made.append(layer(REDUCTIONS[plan.head.reduce], "reduce"))
    for number, width in enumerate(plan.head.widths, 1):
        _extend(made, plan, f"head{number}", plan.head, width)
    return made


def _extend(made: list[keras.layers.Layer], plan: Plan, prefix: str, stage: Stage, width: int = 0) -> None:
    """Append the layers of a sentence. Their names come from their place, not from the models built before."""
    for number, spec in enumerate(layer_specs.specs(stage, width), 1):
        if spec is None:
            continue
        name = f"{prefix}_{number}_{spec[0].lower()}"
        if paths(spec):
            made.append(_fork(spec, stage, _shape_after(plan, made), name, bool(plan.sizes)))
        elif _steps(spec):
            made.append(layer(_stepping(spec, _shape_after(plan, made)), name))
        else:
            made.append(layer(spec, name))


def _steps(spec: Spec) -> bool:
    return spec[0] in STEPPING and "strides" in spec[1]


def _stepping(spec: Spec, shape: tuple[int | None, ...]) -> Spec:
    """A strided layer for images of this shape, without its stride along a side of one pixel, where it does nothing.

    TensorFlow's gradient of it is wrong in bfloat16 on CPUs with instructions for it, AVX512_BF16 or AMX (seen with
    2.21: kernels' gradients of 1e33).
    """
    name, config = spec
    strides = config["strides"]
    if isinstance(strides, list | tuple) and len(strides) != 2:
        return spec
    both = [strides, strides] if isinstance(strides, int) else list(strides)
    steps = [1 if side == 1 else stride for side, stride in zip(shape[1:3], both, strict=True)]
    # other convolutions have the same stride along both sides
    fits = name == "Conv2D" or steps[0] == steps[1]
    return (name, {**config, "strides": steps}) if fits and steps != both else spec


def _shape_after(plan: Plan, made: list[keras.layers.Layer]) -> tuple[int | None, ...]:
    """The shape of the output of the layers so far, with the batch axis first."""
    end = keras.KerasTensor((None, *plan.input_shape))
    for each in made:
        # every layer has it, unlike `compute_output_shape`
        end = each.compute_output_spec(end)
    return tuple(end.shape)


def _fork(spec: Spec, stage: Stage, shape: tuple[int | None, ...], name: str, any_size: bool) -> keras.Model:
    """A fork as one layer of a Sequential: a model of Keras' own layers that joins its paths at the end.

    Args:
        shape: that of its images.
        any_size: whether it also takes images of other sizes.
    """
    entry = keras.Input((None, None, shape[3]) if any_size and len(shape) == 4 else shape[1:], name=f"{name}_in")
    ends = []
    for number, path in enumerate(paths(spec), 1):
        end, seen = entry, keras.KerasTensor(shape)
        for at, inner in enumerate(layer_specs.along(path, stage), 1):
            label = f"{name}{number}_{at}_{inner[0].lower()}"
            if paths(inner):
                each = _fork(inner, stage, seen.shape, label, any_size)
            else:
                each = layer(_stepping(inner, seen.shape) if _steps(inner) else inner, label)
            end, seen = each(end), each.compute_output_spec(seen)
        ends.append(end)
    return keras.Model(entry, layer(_merge(spec), f"{name}_merged")(ends), name=name)


def _merge(spec: Spec) -> Spec:
    return spec[0], {key: value for key, value in spec[1].items() if key != "paths"}


def _named(stage: Stage, found: list[Spec | None]) -> Iterator[Spec]:
    """The layers of a sentence, also those in the paths of forks."""
    for spec in found:
        if spec is not None:
            yield _merge(spec)
            for path in paths(spec):
                yield from _named(stage, list(layer_specs.along(path, stage)))


STEPPING = tuple(kind.__name__ for kind in image_sizes.STRIDED)
"""Convolutions of images. Their strides are left out along a side of one pixel."""
