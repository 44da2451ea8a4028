"""Plans with the parts that plans may have, each trained by compiled epochs and by Keras' `fit`."""

from typing import Any

import keras
import numpy as np
import pytest

from cnnsearch.core import metrics
from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.spaces.weight_training import Averaging
from cnnsearch.training import compiled
from cnnsearch.training.candidate import Candidate, from_plan
from cnnsearch.training.training_data import TrainingData

# a bias before a normalisation has a gradient of rounding alone, which Adam makes as large as any
AUGMENT = (("RandomAffine", {"rotation": 10.0, "shift": 0.1}), ("GaussianNoise", {"stddev": 0.05}))
NORM = ("BatchNormalization", {"momentum": 0.6, "scale": False})
DEPTHWISE = ("DepthwiseConv2D", {"kernel_size": "=kernel", "padding": "=padding", "use_bias": False})
ACROSS = ("Conv2D", {"filters": "=filters", "kernel_size": 1, "use_bias": False})
GATE = (
    ("GlobalAveragePooling2D", {"keepdims": True}),
    ("Conv2D", {"filters": "=filters/4", "kernel_size": 1, "activation": "relu"}),
    ("Conv2D", {"filters": "=filters", "kernel_size": 1, "activation": "sigmoid"}),
)
HALF = ("Rescaling", {"scale": 0.5})
PLANS = {
    "plain": Plan((8, 8, 1), 10, (Block("conv act pool", filters=4),)),
    "all": Plan(
        (8, 8, 1),
        10,
        (Block("conv norm act pool drop", filters=4, rate=0.3, bias=False),),
        Head(widths=(8,)),
        AUGMENT,
        loss=("CategoricalCrossentropy", {"label_smoothing": 0.1}),
        optimizer=("AdamW", {"learning_rate": 0.01}),
        schedule=(0.1, 1.0, 0.1),
        epochs=2,
    ),
    "weighted": Plan(
        (8, 8, 1),
        10,
        loss=("CategoricalCrossentropy", {"label_smoothing": 0.1}),
        optimizer=("SGD", {"learning_rate": 0.1}),
        class_weight="balanced",
    ),
    "own weights": Plan(
        (8, 8, 1),
        10,
        (
            Block((("Conv2D", {"filters": 8, "kernel_size": 2}), "act")),
            Block(("conv", "pool", NORM, "act"), filters=12, bias=False, activation="gelu"),
        ),
        Head("max"),
        (("AlternatingFlip", {}), ("RandomErasing", {"factor": [1, 1], "scale": [0.1, 0.1], "fill_value": 0.5})),
        optimizer=("SGD", {"learning_rate": 0.05, "momentum": 0.85, "nesterov": True, "weight_decay": 0.01}),
        schedule=(0.2, 1.0, 0.1),
        schedule_at=(0, 0.4, 2),
        epochs=2,
        initial=(("^block1_1_conv2d$", ("Whitening", {})), ("_conv2d$", ("Dirac", {}))),
        groups=(
            ("block1_1_conv2d/kernel", {"rate": 0}),
            ("block1_1_conv2d/bias", {"decay": False, "until": 1}),
            ("/beta$", {"rate": 64}),
        ),
        mixing=(("MixUp", {"alpha": 0.5}),),
        averaging=Averaging(2, 0.7, 3, True),
        sizes=(0.75,),
    ),
    "averaged": Plan((8, 8, 1), 10, optimizer=("SGD", {"learning_rate": 0.5}), averaging=Averaging(1, 0.9)),
    "amsgrad": Plan((8, 8, 1), 10, optimizer=("Adam", {"learning_rate": 0.01, "amsgrad": True})),
    "networks": Plan(
        (8, 8, 1),
        10,
        (
            Block(("conv", "act", ("Add", {"paths": ["", ["conv", "norm", "act"]]}), "pool"), filters=4, bias=False),
            Block((DEPTHWISE, ACROSS, NORM, "act", ("Multiply", {"paths": ["", GATE]}), HALF), filters=8),
        ),
        Head("average", (8,), ("dense", "act")),
        (("RandomResizedCrop", {"least": 0.5, "ratio": 1.333333}), ("RandomShift", {"pixels": 2})),
        loss=("CategoricalCrossentropy", {"label_smoothing": 0.2}),
        optimizer=("Muon", {"learning_rate": 0.01, "weight_decay": 0.004, "exclude_layers": ["probabilities"]}),
        mixing=(("CutMix", {"factor": [1.0, 1.0]}),),
    ),
    "pictures": Plan(
        (8, 8, 3),
        10,
        (Block("conv norm act pool", filters=4, bias=False, activation="silu"),),
        augment=(
            ("RandomFlip", {"mode": "horizontal"}),
            ("RandAugment", {"value_range": [0, 1], "num_ops": 2, "factor": 0.5}),
        ),
        optimizer=("Nadam", {"learning_rate": 0.01}),
        initial=(("_conv2d$", ("Orthogonal", {})),),
    ),
}


class Told(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps what it is told at the end of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: list[dict[str, Any]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.logs.append(dict(logs or {}))


def images(weighted: bool = False, count: int = 100, channels: int = 1) -> TrainingData:
    """Random images and labels; the first 30 for validation too."""
    drawn = np.random.default_rng(1)
    x, y = drawn.integers(0, 256, (count, 8, 8, channels), "uint8"), drawn.integers(0, 10, count)
    one_hot = np.eye(10, dtype="float32")[y]
    weights = metrics.class_weights(y, 10) if weighted else None
    return TrainingData(x, one_hot, x[:30], one_hot[:30], batch_size=32, weights=weights)


def candidate(plan: Plan, count: int = 100) -> Candidate:
    """The candidate of this plan, always with the same initial weights."""
    keras.utils.set_random_seed(3)
    return from_plan(plan.replace(batch_size=32), count, x=images(count=count, channels=plan.input_shape[2]).x)


def check(name: str, count: int = 100) -> None:
    """Train a plan on `count` images in both ways; its losses and weights must be equal within rounding."""
    plan = PLANS[name]
    data, told, by_fit = images(name == "weighted", count, plan.input_shape[2]), Told(), candidate(plan, count)
    given = {"sample_weight": data.weights, "validation_data": (data.x_val, data.y_val), "callbacks": by_fit.callbacks}
    fitted = by_fit.model
    history = fitted.fit(data.x, data.y, 32, 2, verbose=0, shuffle=False, **given).history
    made = candidate(plan, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "order", lambda seed, epoch, count: np.arange(count, dtype="int32"))
        compiled.fit(made.model, data, epochs=2, callbacks=[*made.callbacks, told])
    assert set(told.logs[0]) == set(history)
    for key, values in history.items():
        mine = [logs[key] for logs in told.logs]
        np.testing.assert_allclose(mine, values, rtol=2e-4, atol=1e-5, err_msg=f"{name}: {key}")
    for mine, theirs in zip(made.model.get_weights(), fitted.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=2e-4, err_msg=name)
