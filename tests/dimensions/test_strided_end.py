import pytest

from .conftest import sentences


def test_default_changes_nothing(draw, body):
    assert draw("strided_end", body) == (body, {"use": False})


def test_a_block_of_its_own_that_filters_reaches(draw, body):
    plan, _ = draw("strided_end", body.each_block(rate=0.3), {"use": True})
    assert sentences(plan) == ["conv act conv act pool"] * 2 + ["down act"]
    assert (plan.blocks[-1].filters, plan.blocks[-1].rate) == (16, 0.0)
    assert [block.filters for block in draw("filters", plan)[0].blocks] == [32, 64, 128]


def test_without_blocks(draw, start):
    assert sentences(draw("strided_end", start, {"use": True})[0]) == ["down act"]


def test_bad_options(draw, body):
    with pytest.raises(ValueError, match="no values"):
        draw("strided_end", body, choices=())
