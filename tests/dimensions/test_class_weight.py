import pytest


def test_default_changes_nothing(draw, start):
    assert draw("class_weight", start) == (start, {"kind": "none"})


def test_balanced(draw, start):
    plan, drawn = draw("class_weight", start, {"kind": "balanced"})
    assert plan == start.replace(class_weight="balanced") and plan.key != start.key
    assert drawn == {"kind": "balanced"}


def test_bad_options(draw, start):
    with pytest.raises(ValueError, match="got \\('balance',\\)"):
        draw("class_weight", start, choices=("balance",))
