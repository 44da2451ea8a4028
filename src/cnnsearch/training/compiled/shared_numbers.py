"""Numbers of a plan that are arguments of its compiled program, so that plans which differ only in them share one.

These are rates of dropout, strengths of augmentation, label smoothing, weight decay and the schedule of the learning
rate. A number that is 0 is no argument: without dropout or noise the program is another one. A constant learning rate
is a variable of the optimizer, and needs nothing.
"""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from cnnsearch.spaces.plan import Plan
from cnnsearch.training.adjusted_optimizer import is_adjusted
from cnnsearch.training.layers import RandomAffine
from cnnsearch.training.learning_rates import Factors

Dropout, GaussianNoise = keras.layers.Dropout, keras.layers.GaussianNoise
CategoricalCrossentropy = keras.losses.CategoricalCrossentropy

NUMBERS: dict[str, tuple[str, ...]] = {
    "Dropout": ("rate",),
    "GaussianNoise": ("stddev",),
    "RandomAffine": ("rotation", "shift", "shear", "zoom"),
    "CategoricalCrossentropy": ("label_smoothing",),
    **dict.fromkeys(("Adam", "AdamW", "Nadam", "RMSprop", "SGD"), ("weight_decay",)),
}
"""The attributes that are arguments, by the name of the class. In a plan they have the same names."""

KNOWN = (Dropout, GaussianNoise, RandomAffine, CategoricalCrossentropy)
OPTIMIZERS = tuple(getattr(keras.optimizers, name) for name in ("Adam", "AdamW", "Nadam", "RMSprop", "SGD"))
SCHEDULE = ("base", "factors", "steps_per_epoch", "at")
LENGTH = ("steps_per_epoch", "epochs")
"""The attributes of an optimizer of our own that are arguments."""

_dropout_by_keras, _noise_by_keras = Dropout.call, GaussianNoise.call

Slot = tuple[Any, str]
"""An object of a model and the name of one of its attributes."""


def key(plan: Plan) -> str:
    """Equal for plans that may share a program. It does not depend on epochs or callbacks either."""
    written = json.loads(plan.to_json())
    for stage in (*written["blocks"], *written["stem"], written["head"]):
        # a layer of the author's may use the rate, too
        if '"=rate' not in json.dumps(stage["layers"]):
            stage["rate"] = bool(stage["rate"])
    written["augment"] = [_without_numbers(*spec) for spec in written["augment"]]
    written["loss"] = (
        _without_numbers(*written["loss"]) if written["loss"][1].get("axis", -1) == -1 else written["loss"]
    )
    name, config = written["optimizer"]
    config.pop("learning_rate", None)
    # with groups of weights or averages it is an optimizer of our own
    adjusted = plan.stem_rate not in (0, 1) or plan.groups or plan.averaging
    written["optimizer"] = [name, config] if adjusted else _without_numbers(name, config)
    written |= {"schedule": len(plan.schedule), "schedule_at": len(plan.schedule_at)}
    return json.dumps({**written, "initial": [], "callbacks": [], "epochs": 1}, sort_keys=True)


def _without_numbers(name: str, config: dict[str, Any]) -> list[Any]:
    numbers = NUMBERS.get(name, ())
    return [name, {key: bool(value) if key in numbers else value for key, value in config.items()}]


def slots(model: Any) -> list[Slot]:
    """The attributes of a compiled model that are arguments, in the same order for all models of one key."""
    schedule = model.optimizer._learning_rate
    found = [each for each in (*model._flatten_layers(), model.loss) if type(each) in KNOWN]
    found += [model.optimizer] if type(model.optimizer) in OPTIMIZERS else []
    named = [(each, name) for each in found for name in NUMBERS[type(each).__name__] if _lifted(each, name)]
    named += [(model.optimizer, name) for name in LENGTH if is_adjusted(model.optimizer)]
    rates = SCHEDULE if isinstance(schedule, Factors) else ()
    return named + [(schedule, name) for name in rates if getattr(schedule, name) != ()]


def _lifted(each: Any, name: str) -> bool:
    return bool(getattr(each, name)) and getattr(each, "axis", -1) == -1 and getattr(each, "noise_shape", None) is None


def values(of: list[Slot]) -> list[Any]:
    """The present numbers in these slots, as arguments."""
    return [getattr(each, name) for each, name in of]


def copy(into: Any, by: Any) -> None:
    """Give the compiled model `into` the numbers of `by`, which has the same key."""
    for (mine, name), (theirs, same) in zip(slots(into), slots(by), strict=True):
        assert name == same
        setattr(mine, name, getattr(theirs, name))
        if type(mine) is CategoricalCrossentropy:
            mine._fn_kwargs[name] = mine.label_smoothing


@contextlib.contextmanager
def bound(to: list[Slot], arguments: list[Any]) -> Iterator[None]:
    """Inside, what is traced uses the `arguments` in place of the numbers."""
    before = values(to)
    # not by Keras, which would watch the attribute
    _set(to, arguments)
    Dropout.call, GaussianNoise.call = _dropout, _noise
    try:
        yield
    finally:
        Dropout.call, GaussianNoise.call = _dropout_by_keras, _noise_by_keras
        _set(to, before)


def _set(to: list[Slot], numbers: list[Any]) -> None:
    for (each, name), number in zip(to, numbers, strict=True):
        object.__setattr__(each, name, number)


def _is_argument(number: Any) -> bool:
    return not isinstance(number, int | float)


def _dropout(layer: Any, inputs: Any, training: bool = False) -> Any:
    """`Dropout.call` with the same random numbers; Keras accepts no argument as a rate."""
    if not training or not _is_argument(layer.rate):
        return _dropout_by_keras(layer, inputs, training=training)
    share, zeros = 1 - layer.rate, ops.zeros_like(inputs)
    if keras.backend.backend() == "jax":
        drawn = keras.random.uniform(ops.shape(inputs), dtype="float32", seed=layer.seed_generator)
        return ops.where(drawn < share, inputs / share, zeros)
    drawn = keras.random.uniform(ops.shape(inputs), dtype=inputs.dtype, seed=layer.seed_generator)
    return ops.where(drawn >= ops.cast(layer.rate, inputs.dtype), inputs * ops.cast(1 / share, inputs.dtype), zeros)


def _noise(layer: Any, inputs: Any, training: bool = False) -> Any:
    """`GaussianNoise.call` with the same random numbers."""
    if not training or not _is_argument(layer.stddev):
        return _noise_by_keras(layer, inputs, training=training)
    drawn = keras.random.normal(ops.shape(inputs), dtype=layer.compute_dtype, seed=layer.seed_generator)
    return inputs + drawn * ops.cast(layer.stddev, layer.compute_dtype)


def loss(model: Any, y: Any, answers: Any, weights: Any = None) -> Any:
    """`model.loss` for one-hot labels, which are smoothed by an argument if there is one."""
    given = model.loss
    if type(given) is not CategoricalCrossentropy or not _is_argument(given.label_smoothing):
        return given(y, answers, weights)
    smoothed = y * (1 - given.label_smoothing) + given.label_smoothing / y.shape[-1]
    before = given._fn_kwargs["label_smoothing"]
    given._fn_kwargs["label_smoothing"] = 0.0
    try:
        return given(smoothed, answers, weights)
    finally:
        given._fn_kwargs["label_smoothing"] = before
