"""The computed costs are Keras' own, and the published parameter counts are met."""

import math
import random
from typing import Any

import keras
import pytest

from cnnsearch.spaces.cost import Cost, cost
from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.training.build import core

DIGITS: dict[str, Any] = {"input_shape": (28, 28, 1), "classes": 10}
COLOURS: dict[str, Any] = {"input_shape": (32, 32, 3), "classes": 10}


def strided() -> Plan:
    stage = Block("conv act norm conv act norm down act drop", 32, 3, 5, "valid", bias=False, rate=0.4)
    last = Block("down act", 128, down_kernel=5)
    return Plan(**DIGITS, blocks=(stage, stage.replace(filters=64), last))


def plain() -> Plan:
    blocks = [Block("conv act pool", filters, padding="valid") for filters in (32, 64)]
    return Plan(**DIGITS, blocks=tuple(blocks), head=Head(widths=(128,), layers="dense act drop", rate=0.5))


def deep_dense() -> Plan:
    blocks = [Block("conv norm act conv norm act pool drop", filters, rate=0.25) for filters in (32, 64)]
    return Plan(**DIGITS, blocks=tuple(blocks), head=Head(widths=(512, 1024), layers="dense act norm drop"))


def grid(kernel: int, filters: int) -> Plan:
    first = Block("conv act norm pool drop", 32, padding="valid", rate=0.5)
    second = first.replace(kernel=kernel, filters=filters)
    return Plan(**DIGITS, blocks=(first, second), head=Head(widths=(128,)))


def cifar(words: str, filters: tuple[int, ...], widths: tuple[int, ...] = ()) -> Plan:
    return Plan(**COLOURS, blocks=tuple(Block(words, size) for size in filters), head=Head(widths=widths))


BARE, NORMED = "conv act conv act pool", "conv act norm conv act norm pool"
DROPPED = NORMED + " drop"
PUBLISHED = {
    "strided": (strided(), 403_722),
    "plain": (plain(), 225_034),
    "deep-dense": (deep_dense(), 2_213_610),
    "grid-3-32": (grid(3, 32), 113_642),
    "grid-3-64": (grid(3, 64), 225_418),
    "grid-5-32": (grid(5, 32), 93_162),
    "grid-5-64": (grid(5, 64), 184_458),
    "cifar-1": (cifar(BARE, (32,)), 92_074),
    "cifar-2": (cifar(BARE, (32, 64)), 106_538),
    "cifar-3": (cifar(NORMED, (32, 64)), 107_306),
    "cifar-4": (cifar(DROPPED, (32, 64)), 107_306),
    "cifar-5": (cifar(DROPPED, (32, 64, 64)), 150_954),
    "cifar-6": (cifar(DROPPED, (32, 64, 128), (128, 64)), 559_978),
    "cifar-7": (cifar(DROPPED, (32, 64, 128), (128, 64)), 559_978),
}


def by_chance(seed: int) -> Plan:
    chance = random.Random(seed)
    side = chance.choice((20, 28, 33))
    return Plan(
        (side, side + chance.randrange(4), chance.choice((1, 3))),
        chance.choice((2, 10)),
        tuple(block_by_chance(chance) for _ in range(chance.randrange(3))),
        Head(
            chance.choice(("flatten", "average", "max")),
            tuple(chance.choices((7, 32), k=chance.randrange(3))),
            chance.choice(("dense act", "dense norm act drop", "drop dense")),
            chance.choice((0.0, 0.3)),
        ),
    )


def block_by_chance(chance: random.Random) -> Block:
    return Block(
        tuple(chance.choices(("conv", "norm", "act", "drop"), k=4))
        + chance.choice((("pool",), ("down",), ("avgpool",))),
        filters=chance.choice((4, 5, 8)),
        kernel=chance.choice((1, 2, 3)),
        down_kernel=chance.choice((0, 5)),
        padding=chance.choice(("same", "valid")),
        bias=chance.random() < 0.5,
        pool=chance.choice((1, 2, 3)),
        rate=chance.choice((0.0, 0.3)),
    )


def counted(model: keras.Model) -> Cost:
    """The cost of `model`, added up from Keras' own shapes."""
    macs = activations = 0
    for layer in model.layers:
        size = math.prod(layer.output.shape[1:])
        if isinstance(layer, keras.Model):
            inside = counted(layer)
            # its entry is the output of the layer before
            macs, activations = macs + inside.macs, activations + inside.activations
            continue
        activations += 0 if isinstance(layer, keras.layers.Flatten | keras.layers.InputLayer) else size
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            macs += size * math.prod(layer.kernel.shape[:2])
        elif isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            macs += size * math.prod(layer.kernel.shape[:-1])
    return Cost(model.count_params(), macs, activations)


@pytest.mark.parametrize("seed", range(32))
def test_the_computed_cost_is_that_of_the_built_model(seed: int) -> None:
    plan = by_chance(seed)
    assert cost(plan) == counted(core(plan))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameter_counts_are_met(name: str) -> None:
    plan, params = PUBLISHED[name]
    assert cost(plan).params == params
    assert cost(plan) == counted(core(plan))


RESIDUAL = ("Add", {"paths": ["", "conv norm act conv norm"]})
INCEPTION = ("Concatenate", {"paths": ["conv act", ["norm", RESIDUAL], "act"]})
GATE = (
    ("GlobalAveragePooling2D", {"keepdims": True}),
    ("Conv2D", {"filters": "=filters/3", "kernel_size": 1, "activation": "relu"}),
    ("Conv2D", {"filters": "=filters", "kernel_size": 1, "activation": "sigmoid"}),
)
KERAS: dict[str, tuple[Any, ...]] = {
    "residual": ("conv", "act", RESIDUAL, "act", "pool"),
    "forks in forks": ("conv", INCEPTION, "pool", "conv"),
    "gate": ("conv", ("Multiply", {"paths": ["", GATE]}), "pool"),
    "depthwise": (("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "depth_multiplier": 2}), "act"),
    "groups": ("conv", ("Conv2D", {"filters": 10, "kernel_size": [3, 1], "groups": 5, "padding": "same"})),
    "dilation": (("Conv2D", {"filters": 4, "kernel_size": 3, "dilation_rate": 2, "use_bias": False}),),
    "pools": (
        ("MaxPooling2D", {"pool_size": 3, "strides": 1, "padding": "same"}),
        ("AveragePooling2D", {"pool_size": 2}),
    ),
    "norms": (
        ("LayerNormalization", {}),
        ("BatchNormalization", {"scale": False}),
        ("SpatialDropout2D", {"rate": 0.1}),
    ),
    "dense": (("Dense", {"units": 6, "use_bias": False}), ("UpSampling2D", {"size": [2, 1]}), "norm"),
}


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("name", KERAS)
def test_forks_and_layers_by_name_cost_what_keras_says(name: str, padding: str) -> None:
    block = Block(KERAS[name], 5, padding=padding, bias=False)
    plan = Plan((12, 10, 3), 3, (Block("conv act", 5), block), Head(widths=(4,)))
    assert cost(plan) == counted(core(plan))
    assert Plan.from_json(plan.to_json()) == plan


def test_a_separable_layer_counts_what_stands_between_its_steps() -> None:
    plan = Plan((12, 10, 3), 3, (Block((("SeparableConv2D", {"filters": 7, "kernel_size": 3}),)),))
    model = core(plan)
    assert cost(plan).params == model.count_params()
    # 9 weights a channel and place, then 3 channels for each of 7 filters
    assert cost(plan).macs == 80 * 3 * 9 + 80 * 3 * 7 + 80 * 7 * 3


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (("Add", {"paths": ["", "pool"]}), r"the paths of Add end in \(8, 8, 5\) and \(4, 4, 5\)"),
        (("Concatenate", {"paths": ["conv", "pool"]}), "which do not fit together"),
        (("Conv2D", {"kernel_size": 3}), "the layer Conv2D does not take"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_built(item: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cost(Plan((8, 8, 1), 2, (Block(("conv", item), 5),)))


def test_an_image_that_shrinks_to_nothing_is_refused_before_it_is_built() -> None:
    plan = Plan((8, 8, 1), 2, (Block("conv pool"), Block("pool pool pool")))
    with pytest.raises(ValueError, match="block 2 shrinks the image to 0x0"):
        cost(plan)


def test_memory_grows_with_weights_and_with_the_batch() -> None:
    price = Cost(params=10, macs=99, activations=5)
    assert price.training_bytes(1) == 4 * (40 + 10)
    assert price.training_bytes(3) - price.training_bytes(2) == 40
