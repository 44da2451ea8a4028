import pytest


def test_default_changes_nothing(draw, start):
    assert draw("weight_decay", start) == (start, {"amount": 0.0})


def test_amount(draw, start):
    plan, _ = draw("weight_decay", start, {"amount": 0.001})
    assert plan.optimizer == ("Adam", {"learning_rate": 0.001, "weight_decay": 0.001})


def test_none_is_none_for_adamw_too(draw, start):
    adamw, _ = draw("optimizer", start, {"name": "AdamW"})
    assert draw("weight_decay", adamw)[0].optimizer[1]["weight_decay"] == 0.0


def test_bad_options(draw, start):
    with pytest.raises(ValueError, match="choices must be"):
        draw("weight_decay", start, choices=(-0.1,))
