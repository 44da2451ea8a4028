"""The dimensions of the space cifar10_fast: what each does beyond its contracts."""

import pytest

from cnnsearch.spaces.plan import Head, Plan
from cnnsearch.spaces.weight_training import Averaging

from .conftest import sentences


@pytest.fixture
def grouped(draw, start):
    """Groups of two convolutions for images of 28x28 pixels."""
    return draw("conv_groups", start)[0]


def test_groups_end_where_the_image_is_too_small(draw, start, grouped):
    assert sentences(grouped) == ["conv pool norm act conv norm act"] * 3
    small = Plan((8, 8, 1), 10)
    plan, drawn = draw("conv_groups", small, {"order": "pool_last", "convs": 1})
    assert sentences(plan) == ["conv norm act pool"] * 2 and drawn["groups"] == 2


def test_a_shortcut_stands_at_the_end_of_a_group_whose_pooling_comes_first(draw, start):
    plan = draw("conv_groups", start, {"convs": 1}, convs=(1,))[0]
    shortcut = draw("residual", plan, {"convs": 2})[0].blocks[0].layers
    assert shortcut[:4] == ("conv", "pool", "norm", "act") and shortcut[4][0] == "Add"


def test_normalisation_is_replaced_everywhere_or_added(draw, grouped, body):
    norm = ("BatchNormalization", {"momentum": 0.6, "scale": False, "epsilon": 1e-5})
    plan, _ = draw("batch_norm", grouped, {"momentum": 0.6, "scale": False, "bias_rate": 64.0})
    assert plan.blocks[0].layers == ("conv", "pool", norm, "act", "conv", norm, "act")
    assert plan.groups == (("/beta$", {"rate": 64.0}),)
    assert [type(item) for item in draw("batch_norm", body)[0].blocks[0].layers[:3]] == [str, tuple, str]


def test_a_whitened_stem_is_computed_and_frozen_but_for_its_bias(draw, grouped):
    plan, _ = draw("whitened_stem", grouped, {"kind": "whitened"})
    assert plan.blocks[0].layers == (("Conv2D", {"filters": 8, "kernel_size": 2}), "act")
    assert plan.initial == (("^block1_1_conv2d$", ("Whitening", {"epsilon": 0.0005})),)
    assert plan.groups == (
        ("block1_1_conv2d/kernel", {"rate": 0}),
        ("block1_1_conv2d/bias", {"decay": False, "until": 3}),
    )
    after = draw("initial_filters", plan, {"kind": "dirac"})[0]
    assert after.initial == (*plan.initial, ("_conv2d$", ("Dirac", {})))
    assert draw("whitened_stem", grouped, {"kind": "none"})[0] == grouped


def test_outputs_are_scaled_at_the_end_of_the_last_block_or_of_the_head(draw, grouped, body):
    scaled = ("Rescaling", {"scale": 0.111111})
    assert draw("output_scaling", grouped, {"divisor": 9})[0].blocks[-1].layers[-1] == scaled
    dense = draw("head", body)[0]
    assert draw("output_scaling", dense, {"divisor": 9})[0].head.layers[-1] == scaled


def test_a_rate_grows_with_the_batch_or_its_root(draw, start):
    sgd = start.replace(optimizer=("SGD", {}), batch_size=256)
    assert draw("scaled_rate", sgd, {"sgd": 2.0})[0].optimizer[1]["learning_rate"] == 0.5
    adam = start.replace(batch_size=256)
    assert draw("scaled_rate", adam, {"rate": 0.01})[0].optimizer[1]["learning_rate"] == 0.005
    assert draw("momentum", sgd, {"amount": 0.85})[0].optimizer == ("SGD", {"momentum": 0.85, "nesterov": True})
    assert draw("momentum", adam) == (adam, {})


def test_averages(draw, start):
    assert draw("averaged_weights", start, {"kind": "lookahead"})[0].averaging == Averaging(5, 0.773781, 3, True)
    assert draw("averaged_weights", start, {"kind": "ema"})[0].averaging == Averaging(1, 0.98)


def test_the_flip_comes_first_and_covers_fit_the_image(draw, start):
    plan = draw("crops_and_flips", start, {"flip": "alternating", "shift": 4, "cutout": 40}, cutout=(0, 40))[0]
    covered = {"factor": [1.0, 1.0], "scale": [0.25, 0.25], "fill_value": 0.5, "value_range": [0, 1]}
    assert plan.augment == (("AlternatingFlip", {}), ("RandomShift", {"pixels": 4}), ("RandomErasing", covered))
    assert draw("crops_and_flips", start, {"flip": "none", "shift": 0})[0] == start


def test_images_are_smaller_in_the_first_epochs(draw, start):
    pooled = start.replace(head=Head("average"), epochs=5)
    assert draw("progressive_size", pooled, {"first": 0.75})[0].sizes == (0.75, 0.75)
    assert draw("progressive_size", pooled, {"first": 1.0})[0] == pooled


def test_mixing_is_by_keras(draw, start):
    assert draw("mixing", start, {"kind": "mixup", "alpha": 1.0})[0].mixing == (("MixUp", {"alpha": 1.0}),)
    assert draw("mixing", start, {"kind": "cutmix"})[0].mixing == (("CutMix", {"factor": [0.2, 0.2]}),)


def test_more_augmentation(draw, start):
    crop = ("RandomResizedCrop", {"least": 0.5, "ratio": 1.333333})
    assert draw("resized_crop", start, {"least": 0.5})[0].augment == (crop,)
    policy = ("RandAugment", {"value_range": [0, 1], "num_ops": 2, "factor": 0.3})
    assert draw("rand_augment", start, {"number": 2})[0].augment == (policy,)
    assert draw("resized_crop", start)[0] == draw("rand_augment", start)[0] == start


def test_a_triangle_turns_within_an_epoch(draw, start):
    plan = draw("schedule", start, {"kind": "triangular"}, kinds=("triangular",))[0]
    assert (plan.schedule, plan.schedule_at) == ((0.2, 1.0, 0.07), (0, 2.3, 10))
    plan = draw("schedule", start, {"peak": 0.0}, kinds=("triangular",), peak=(0.0,))[0]
    assert (plan.schedule, plan.schedule_at) == ((1.0, 0.07), (0, 10))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("conv_groups", {"order": ("first",)}),
        ("conv_groups", {"convs": (0,)}),
        ("conv_groups", {"min": 4, "max": 3}),
        ("batch_norm", {"momentum": (1.0,)}),
        ("batch_norm", {"bias_rate": (0.0,)}),
        ("whitened_stem", {"kinds": ("white",)}),
        ("whitened_stem", {"kernel": 0}),
        ("initial_filters", {"choices": ("random",)}),
        ("output_scaling", {"divisor": (0,)}),
        ("momentum", {"choices": (1.0,)}),
        ("scaled_rate", {"min": 0.0}),
        ("scaled_rate", {"per": 0}),
        ("averaged_weights", {"kinds": ("mean",)}),
        ("crops_and_flips", {"flip": ("up",)}),
        ("crops_and_flips", {"shift": (-1,)}),
        ("resized_crop", {"least": (0.0,)}),
        ("rand_augment", {"number": (-1,)}),
        ("mixing", {"kinds": ("blend",)}),
        ("mixing", {"alpha": (2.0,)}),
        ("schedule", {"peak": (1.0,)}),
        ("progressive_size", {"first": (0.0,)}),
        ("progressive_size", {"share": (1.5,)}),
    ],
)
def test_bad_options(draw, start, name, options):
    with pytest.raises(ValueError, match=r"must be|expected"):
        draw(name, start, **options)
