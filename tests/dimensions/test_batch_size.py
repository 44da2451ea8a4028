import pytest


@pytest.mark.parametrize("size", [128, 64, 256])
def test_size(draw, start, size):
    plan, drawn = draw("batch_size", start, {"size": size})
    assert plan == start.replace(batch_size=size) and drawn == {"size": size}


def test_first_is_the_default(draw, start):
    assert draw("batch_size", start, choices=(32, 516))[0].batch_size == 32


def test_bad_options(draw, start):
    with pytest.raises(ValueError, match="choices must be"):
        draw("batch_size", start, choices=(0,))
