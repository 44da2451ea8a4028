import pytest


@pytest.mark.parametrize("name", ["relu", "gelu", "silu", "elu", "leaky_relu"])
def test_everywhere(draw, body, name):
    plan, drawn = draw("activation", body, {"name": name})
    assert {block.activation for block in plan.blocks} | {plan.head.activation} == {name}
    assert drawn == {"name": name}


def test_default_changes_nothing(draw, body):
    assert draw("activation", body)[0] == body


def test_bad_options(draw, body):
    with pytest.raises(ValueError, match="got \\('rleu',\\)"):
        draw("activation", body, choices=("rleu",))
