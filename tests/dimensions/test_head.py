import pytest

from cnnsearch.spaces.cost import cost
from cnnsearch.spaces.plan import Head


def test_default_is_one_dense_layer(draw, body):
    plan, drawn = draw("head", body)
    assert plan.head == Head("flatten", (128,))
    assert drawn == {"reduce": "flatten", "depth": 1, "width1": 128, "norm": "none", "rate": 0.0}


def test_no_dense_layer_draws_no_width(draw, body):
    plan, drawn = draw("head", body, {"depth": 0})
    assert plan.head == Head("flatten") and drawn == {"reduce": "flatten", "depth": 0}


@pytest.mark.parametrize("reduce", ["average", "max"])
def test_global_pooling_needs_fewer_weights(draw, body, reduce):
    plan, _ = draw("head", body, {"reduce": reduce})
    assert plan.head.reduce == reduce
    assert cost(plan).params == cost(draw("head", body)[0]).params - (7 * 7 - 1) * 16 * 128


@pytest.mark.parametrize(
    ("norm", "rate", "words"),
    [
        ("none", 0.0, "dense act"),
        ("none", 0.5, "dense act drop"),
        ("after_dense", 0.5, "dense norm act drop"),
        ("after_act", 0.25, "dense act norm drop"),
    ],
)
def test_two_layers(draw, body, norm, rate, words):
    plan, _ = draw("head", body, {"depth": 2, "width1": 256, "width2": 64, "norm": norm, "rate": rate})
    assert plan.head == Head("flatten", (256, 64), words, rate)


def test_activation_is_kept(draw, body):
    plan, _ = draw("activation", body, {"name": "gelu"})
    assert draw("head", plan)[0].head.activation == "gelu"


def test_no_dropout(draw, body):
    assert "rate" not in draw("head", body, max_rate=0.0)[1]


@pytest.mark.parametrize(
    "options",
    [
        {"reduce": ("mean",)},
        {"norm": ("after_conv",)},
        {"depth": (-1,)},
        {"width": (0,)},
        {"max_rate": 1.0},
        {"step": 0.6},
    ],
)
def test_bad_options(draw, body, options):
    with pytest.raises(ValueError, match=r"must be|expected"):
        draw("head", body, **options)
