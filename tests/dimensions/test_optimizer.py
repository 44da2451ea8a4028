import pytest

SETTINGS = {
    "Adam": {"learning_rate": 0.001},
    "AdamW": {"learning_rate": 0.001, "weight_decay": 0.004},
    "Nadam": {"learning_rate": 0.001},
    "RMSprop": {"learning_rate": 0.001, "rho": 0.9},
    "Muon": {"learning_rate": 0.001, "weight_decay": 0.004, "exclude_layers": ["probabilities"]},
    "SGD": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
}


def test_default_changes_nothing(draw, start):
    assert draw("optimizer", start) == (start, {"name": "Adam"})


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(draw, start, name):
    plan, _ = draw("optimizer", start, {"name": name}, names=tuple(SETTINGS))
    assert plan.optimizer == (name, SETTINGS[name])


def test_plain_sgd(draw, start):
    plan, _ = draw("optimizer", start, names=("SGD",), momentum=0.0)
    assert plan.optimizer[1] == {"learning_rate": 0.05, "momentum": 0.0, "nesterov": False}


@pytest.mark.parametrize("options", [{"names": ("adam",)}, {"momentum": 1.0}, {"rho": -0.1}])
def test_bad_options(draw, start, options):
    with pytest.raises(ValueError, match=r"must be|expected"):
        draw("optimizer", start, **options)
