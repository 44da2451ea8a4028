import pytest

from cnnsearch.spaces.cost import cost

from .conftest import sentences


def test_default_changes_nothing(draw, body):
    assert draw("downsampling", body) == (body, {"kind": "pool"})


def test_average_pooling(draw, body):
    plan, _ = draw("downsampling", body, {"kind": "avgpool"})
    assert sentences(plan) == ["conv act conv act avgpool"] * 2
    assert cost(plan).params == cost(body).params


def test_strided_convolution(draw, body):
    plan, drawn = draw("downsampling", body, {"kind": "down", "kernel": 5}, kernel=(0, 5))
    assert sentences(plan) == ["conv act conv act down act"] * 2
    assert drawn == {"kind": "down", "kernel": 5}
    assert cost(plan).params == cost(body).params + 5 * 5 * (8 * 8 + 16 * 16) + 8 + 16


@pytest.mark.parametrize("options", [{"choices": ("stride",)}, {"kernel": (-1,)}])
def test_bad_options(draw, body, options):
    with pytest.raises(ValueError, match="must be"):
        draw("downsampling", body, **options)
