import pytest

from cnnsearch.spaces.cost import cost


def test_default_is_no_gate(draw, body):
    assert draw("squeeze_excitation", body) == (body, {"ratio": 0})


@pytest.mark.parametrize(("ratio", "narrow"), [(4, (2, 4)), (8, (1, 2))])
def test_the_gate_is_a_part_as_wide_as_the_block(draw, body, ratio, narrow):
    plan, _ = draw("squeeze_excitation", body, {"ratio": ratio})
    added = sum(wide * part + part + part * wide + wide for wide, part in zip((8, 16), narrow, strict=True))
    assert cost(plan).params == cost(body).params + added
    assert [block.layers[4][0] for block in plan.blocks] == ["Multiply", "Multiply"]


def test_it_weighs_separable_convolutions_too(draw, body):
    split, _ = draw("separable", body, {"use": True})
    assert cost(draw("squeeze_excitation", split, {"ratio": 4})[0]).params > cost(split).params


def test_bad_options(draw, body):
    with pytest.raises(ValueError, match="at least 0"):
        draw("squeeze_excitation", body, ratio=(-1,))
