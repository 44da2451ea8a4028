import pytest


def test_default_is_the_usual_rate(draw, start):
    assert draw("learning_rate", start) == (start, {"rate": 0.001})


def test_sgd_draws_from_its_own_range(draw, start):
    sgd = start.replace(optimizer=("SGD", {"momentum": 0.9}))
    plan, drawn = draw("learning_rate", sgd, {"sgd": 0.2})
    assert plan.optimizer == ("SGD", {"momentum": 0.9, "learning_rate": 0.2}) and drawn == {"sgd": 0.2}
    assert draw("learning_rate", sgd)[1] == {"sgd": 0.05}


def test_default_stays_inside_the_range(draw, start):
    assert draw("learning_rate", start, min=0.002)[1] == {"rate": 0.002}


@pytest.mark.parametrize("options", [{"min": 0.0}, {"min": 0.1}, {"sgd_max": 0.001}])
def test_bad_options(draw, start, options):
    with pytest.raises(ValueError, match="expected rates above 0"):
        draw("learning_rate", start, **options)
