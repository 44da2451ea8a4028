import pytest

from .conftest import sentences


def test_default_normalises_and_drops_nothing(draw, body):
    plan, drawn = draw("norm_dropout", body)
    assert sentences(plan) == ["conv norm act conv norm act pool"] * 2
    assert drawn == {"norm": "after_conv", "drop": "block", "rate": 0.0, "rise": 0.0}


@pytest.mark.parametrize(
    ("norm", "drop", "words"),
    [
        ("none", "none", "conv act conv act pool"),
        ("none", "block", "conv act conv act pool drop"),
        ("none", "conv", "conv act drop conv act drop pool"),
        ("after_conv", "block", "conv norm act conv norm act pool drop"),
        ("after_act", "none", "conv act norm conv act norm pool"),
        ("after_act", "conv", "conv act norm drop conv act norm drop pool"),
    ],
)
def test_places(draw, body, norm, drop, words):
    plan, drawn = draw("norm_dropout", body, {"norm": norm, "drop": drop, "rate": 0.25})
    assert sentences(plan) == [words] * 2
    assert ("rate" in drawn) == (drop != "none")


def test_rates_rise_to_the_highest(draw, body):
    longer = body.replace(blocks=(*body.blocks, *body.blocks))
    plan, _ = draw("norm_dropout", longer, {"rate": 0.2, "rise": 0.1}, max_rate=0.4, rise=(0.0, 0.1))
    assert [block.rate for block in plan.blocks] == [0.2, 0.3, 0.4, 0.4]


def test_no_word_at_rate_0(draw, body):
    plan, _ = draw("norm_dropout", body, {"norm": "none", "rate": 0.0})
    assert plan == body


def test_strided_convolutions_are_normalised(draw, body):
    strided, _ = draw("downsampling", body, {"kind": "down"})
    plan, _ = draw("norm_dropout", strided)
    assert sentences(plan) == ["conv norm act conv norm act down norm act"] * 2


@pytest.mark.parametrize(
    "options",
    [
        {"norm": ("before",)},
        {"drop": ("pool",)},
        {"max_rate": 1.0},
        {"step": 0.0},
        {"step": 0.6},
        {"rise": (-0.1,)},
    ],
)
def test_bad_options(draw, body, options):
    with pytest.raises(ValueError, match=r"must be|expected"):
        draw("norm_dropout", body, **options)
