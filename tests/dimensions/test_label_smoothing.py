import pytest


def test_default_changes_nothing(draw, start):
    assert draw("label_smoothing", start) == (start, {"amount": 0.0})


def test_amount(draw, start):
    # a stepped draw comes with the error of its sum, and equal plans must stay equal
    plan, _ = draw("label_smoothing", start, {"amount": 3 * 0.05})
    assert plan.loss == ("CategoricalCrossentropy", {"label_smoothing": 0.15})


@pytest.mark.parametrize("options", [{"max": 1.0}, {"max": 0.0}, {"step": 0.0}, {"step": 0.3}])
def test_bad_options(draw, start, options):
    with pytest.raises(ValueError, match="expected 0 < step"):
        draw("label_smoothing", start, **options)
