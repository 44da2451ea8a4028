import pytest


@pytest.fixture
def factors(draw, start):
    return lambda epochs, **values: draw("schedule", start.replace(epochs=epochs), values)[0].schedule


def test_default_changes_nothing(draw, start):
    assert draw("schedule", start) == (start, {"kind": "constant"})


def test_exponential(factors):
    assert factors(2, kind="exponential") == (1.0, 0.9, 0.81)
    assert factors(2, kind="exponential", decay=0.8) == (1.0, 0.8, 0.64)


def test_cosine(factors):
    assert factors(4, kind="cosine") == (1.0, 0.853553, 0.5, 0.146447, 0.0)


def test_one_cycle(factors):
    assert factors(10, kind="one_cycle")[:4] == (0.1, 0.4, 0.7, 1.0)
    assert factors(10, kind="one_cycle")[-1] == 0.01


@pytest.mark.parametrize("kind", ["exponential", "cosine", "one_cycle"])
@pytest.mark.parametrize("epochs", [1, 2, 3, 30])
def test_one_factor_more_than_epochs(factors, kind, epochs):
    schedule = factors(epochs, kind=kind)
    assert len(schedule) == epochs + 1
    assert max(schedule) == 1.0 and min(schedule) >= 0.0


def test_plateau_is_a_callback(draw, start):
    before = start.replace(callbacks=(("TerminateOnNaN", {}),))
    options = {"patience": (3, 20), "factor": (0.5, 0.2), "monitor": "val_accuracy"}
    values = {"kind": "plateau", "patience": 20, "factor": 0.2}
    plan, drawn = draw("schedule", before, values, **options)
    config = {"monitor": "val_accuracy", "min_lr": 1e-5, "patience": 20, "factor": 0.2}
    assert plan.callbacks == (*before.callbacks, ("ReduceLROnPlateau", config))
    assert plan.schedule == () and drawn == values


@pytest.mark.parametrize(
    "options",
    [{"kinds": ("linear",)}, {"decay": (1.0,)}, {"factor": (0.0,)}, {"patience": (0,)}, {"min_rate": -1.0}],
)
def test_bad_options(draw, start, options):
    with pytest.raises(ValueError, match="must be"):
        draw("schedule", start, **options)
