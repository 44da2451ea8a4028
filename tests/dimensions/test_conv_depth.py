import pytest

from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.plan import Plan

from .conftest import sentences


def test_default_is_two_plain_blocks(draw, start):
    plan, drawn = draw("conv_depth", start)
    assert sentences(plan) == ["conv act pool"] * 2
    assert drawn == {"blocks": 2, "convs": 1, "padding": "same", "bias": True}


def test_what_is_drawn_is_built(draw, start):
    values = {"blocks": 2, "convs": 2, "padding": "valid", "bias": False}
    plan, drawn = draw("conv_depth", start, values, padding=("same", "valid"), bias=(True, False))
    assert sentences(plan) == ["conv act conv act pool"] * 2
    assert {(block.padding, block.bias) for block in plan.blocks} == {("valid", False)}
    assert drawn == values


def test_no_blocks_and_nothing_else_drawn(draw, start):
    plan, drawn = draw("conv_depth", start, {"blocks": 0}, min=0)
    assert plan.blocks == () and drawn == {"blocks": 0}


@pytest.mark.parametrize(("side", "most"), [(8, 3), (28, 4), (32, 5), (1, 0)])
def test_max_is_what_the_image_bears(draw, side, most):
    shape = (side, side + 9, 1)
    plan, _ = draw("conv_depth", Plan(shape, 10), {"blocks": most}, min=0, max=9)
    assert len(plan.blocks) == most and cost(plan).params > 0
    with pytest.raises(AssertionError, match=f"cannot be {most + 1}"):
        draw("conv_depth", Plan(shape, 10), {"blocks": most + 1}, min=0, max=9)


@pytest.mark.parametrize("side", range(2, 70))
def test_valid_padding_never_uses_up_the_image(draw, side):
    for blocks in range(1, side.bit_length()):
        for convs in (1, 2, 3):
            options = {"max": blocks, "convs": (convs,), "padding": ("valid",)}
            plan, _ = draw("conv_depth", Plan((side, side, 1), 10), {"blocks": blocks}, **options)
            assert len(plan.blocks) == blocks and cost(plan).params > 0


def test_valid_padding_gives_way_where_it_must(draw, start):
    plan, _ = draw("conv_depth", start, {"blocks": 3}, convs=(2,), padding=("valid",))
    assert [block.padding for block in plan.blocks] == ["valid", "valid", "same"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min": 3, "max": 2}, "min=3 and max=2"),
        ({"min": -1}, "0 <= min"),
        ({"min": 5, "max": 6}, "min must be at most 4"),
        ({"convs": (0,)}, "convs must be"),
        ({"padding": ("full",)}, "padding must be"),
    ],
)
def test_bad_options(draw, start, options, message):
    with pytest.raises(ValueError, match=message):
        draw("conv_depth", start, **options)
