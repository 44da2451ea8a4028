import pytest


def widths(plan):
    return [block.filters for block in plan.blocks]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, [32, 64]),
        ({"first": 64}, [64, 128]),
        ({"growth": 1.0}, [32, 32]),
        ({"growth": 1.5}, [32, 48]),
        ({"most": 40}, [32, 40]),
    ],
)
def test_widths(draw, body, values, expected):
    plan, drawn = draw("filters", body, values, growth=(2.0, 1.0, 1.5), most=(512, 40))
    assert widths(plan) == expected
    assert list(drawn) == ["first", "growth", "most"]


def test_a_shrinking_network_keeps_a_filter(draw, body):
    assert widths(draw("filters", body, first=(1,), growth=(0.1,))[0]) == [1, 1]


@pytest.mark.parametrize("options", [{"first": (0,)}, {"growth": (0.0,)}, {"most": (0,)}, {"first": ()}])
def test_bad_options(draw, body, options):
    with pytest.raises(ValueError, match=r"first|growth|most"):
        draw("filters", body, **options)
