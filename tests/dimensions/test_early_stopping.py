import pytest


def test_default(draw, start):
    plan, drawn = draw("early_stopping", start)
    config = {"monitor": "val_loss", "patience": 5, "min_delta": 0.0, "restore_best_weights": True}
    assert plan.callbacks == (("EarlyStopping", config),) and drawn == {"patience": 5}


def test_options(draw, start):
    options = {"patience": (0, 15), "min_delta": 0.01, "monitor": "val_accuracy", "restore": False}
    plan, _ = draw("early_stopping", start, {"patience": 15}, **options)
    config = {"monitor": "val_accuracy", "patience": 15, "min_delta": 0.01, "restore_best_weights": False}
    assert plan.callbacks == (("EarlyStopping", config),)


def test_no_patience_is_no_stop(draw, start):
    assert draw("early_stopping", start, patience=(0, 5))[0] == start


@pytest.mark.parametrize("options", [{"patience": (-1,)}, {"min_delta": -0.1}])
def test_bad_options(draw, start, options):
    with pytest.raises(ValueError, match="must be"):
        draw("early_stopping", start, **options)
