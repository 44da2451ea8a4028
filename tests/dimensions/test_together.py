"""Hand-tuned networks whose printed parameter counts the shipped dimensions must reach, order included."""

import pytest

from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.hyperparameters import HyperParameters, replay
from cnnsearch.spaces.plan import Plan

from .conftest import edit

DIGITS, COLOUR = (28, 28, 1), (32, 32, 3)
OPTIONS = {
    "conv_depth": {"padding": ("same", "valid"), "bias": (True, False)},
    "filters": {"most": (512, 64)},
    "kernel_size": {"per_block": True},
    "norm_dropout": {"rise": (0.0, 0.1)},
    "downsampling": {"kernel": (0, 5)},
    "head": {"width": (128, 64, 512, 1024)},
}
ORDER = ("conv_depth", "norm_dropout", "strided_end", "filters", "kernel_size", "downsampling", "head")
PLAIN = {"norm_dropout/norm": "none", "norm_dropout/drop": "none"}
GRID = {"conv_depth/padding": "valid", "norm_dropout/norm": "after_act", "norm_dropout/rate": 0.5}
CIFAR = {"conv_depth/convs": 2, "head/depth": 0}
STRIDED = {
    "conv_depth/convs": 2,
    "conv_depth/padding": "valid",
    "conv_depth/bias": False,
    "strided_end/use": True,
    "downsampling/kind": "down",
    "downsampling/kernel": 5,
    "head/depth": 0,
}
DEEP = {
    "conv_depth/convs": 2,
    "norm_dropout/rate": 0.25,
    "head/depth": 2,
    "head/width1": 512,
    "head/width2": 1024,
    "head/norm": "after_act",
    "head/rate": 0.5,
}
WIDE = {**CIFAR, "conv_depth/blocks": 3, "head/depth": 2, "head/width2": 64}


@pytest.mark.parametrize(
    ("shape", "values", "params"),
    [
        (DIGITS, PLAIN | {"conv_depth/padding": "valid"}, 225_034),
        (DIGITS, GRID | {"filters/growth": 1.0}, 113_642),
        (DIGITS, GRID | {"kernel_size/block2": 5}, 184_458),
        (DIGITS, DEEP, 2_213_610),
        (DIGITS, STRIDED, 403_722),
        (COLOUR, PLAIN | CIFAR | {"conv_depth/blocks": 1}, 92_074),
        (COLOUR, PLAIN | CIFAR, 106_538),
        (COLOUR, CIFAR | {"norm_dropout/rate": 0.2}, 107_306),
        (COLOUR, CIFAR | {"conv_depth/blocks": 3, "filters/most": 64}, 150_954),
        (COLOUR, WIDE | {"norm_dropout/rate": 0.2, "norm_dropout/rise": 0.1}, 559_978),
    ],
)
def test_parameter_count(shape, values, params):
    hp = HyperParameters(replay(values))
    plan = Plan(shape, 10)
    for name in ORDER:
        plan = edit(hp, plan, name, **OPTIONS.get(name, {}))
    assert set(values) <= set(hp.values)
    assert all(hp.space[full].contains(value) for full, value in hp.values.items())
    assert cost(plan).params == params
