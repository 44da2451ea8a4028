import pytest


def test_default_changes_nothing(draw, start):
    assert draw("weight_decay", start) == (start, {"amount": 0.0})


def test_amount(draw, start):
    plan, _ = draw("weight_decay", start, {"amount": 0.001})
    assert plan.optimizer == ("Adam", {"learning_rate": 0.001, "weight_decay": 0.001})


def test_none_is_none_for_adamw_too(draw, start):
    adamw, _ = draw("optimizer", start, {"name": "AdamW"})
    assert draw("weight_decay", adamw)[0].optimizer[1]["weight_decay"] == 0.0


def test_all_weights_of_muon_decay(draw, start):
    muon, _ = draw("optimizer", start, {"name": "Muon"}, names=("Adam", "Muon"))
    for amount in (0.0, 0.01):
        found = draw("weight_decay", muon, {"amount": amount})[0].optimizer[1]
        assert found["weight_decay"] == found["adam_weight_decay"] == amount


def test_bad_options(draw, start):
    with pytest.raises(ValueError, match="choices must be"):
        draw("weight_decay", start, choices=(-0.1,))
