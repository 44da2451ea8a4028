import pytest

from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.sentences import paths

from .conftest import sentences


def test_default_is_no_shortcut(draw, body):
    plan, drawn = draw("residual", body)
    assert plan == body and drawn == {"convs": 0}


def test_a_shortcut_around_two_convolutions_before_the_pooling(draw, body):
    plan, _ = draw("residual", body, {"convs": 2})
    first, second = plan.blocks
    assert first.layers[:4] == ("conv", "act", "conv", "act") and first.layers[5] == "pool"
    assert paths(first.layers[4]) == ((), ("conv", "norm", "act") * 2)
    # 3x3 windows, as wide as the block, with bias, and four numbers a filter for the normalisation
    added = sum(2 * (9 * width * width + width + 4 * width) for width in (first.filters, second.filters))
    assert cost(plan).params == cost(body).params + added


def test_units_without_normalisation(draw, body):
    plan, _ = draw("residual", body, {"convs": 1, "unit": "plain"})
    assert paths(plan.blocks[0].layers[4]) == ((), ("conv", "act"))


def test_it_follows_sizes_that_are_set_later_and_is_normalised_by_no_other(draw, body):
    plan, _ = draw("residual", body, {"convs": 1})
    later = draw("filters", plan, first=(4,))[0]
    assert later == draw("residual", draw("filters", body, first=(4,))[0], {"convs": 1})[0]


def test_a_block_without_convolutions_is_left(draw, body):
    plan = draw("strided_end", body, {"use": True})[0]
    assert sentences(draw("residual", plan, {"convs": 2})[0].replace(blocks=plan.blocks[2:])) == ["down act"]


@pytest.mark.parametrize("options", [{"convs": (-1,)}, {"convs": (17,)}, {"units": ("batch",)}])
def test_bad_options(draw, body, options):
    with pytest.raises(ValueError, match=r"convs must be|units must be"):
        draw("residual", body, **options)
