import pytest

STILL = {"rotation": 0.0, "shift": 0.0, "shear": 0.0, "zoom": 0.0, "flip": False, "fill_mode": "nearest"}


def test_default_changes_nothing(draw, start):
    assert draw("augmentation", start) == (start, {"strength": 0.0})


def test_strength_scales_all(draw, start):
    plan, drawn = draw("augmentation", start, {"strength": 0.5}, shear=0.2)
    moves = {"rotation": 5.0, "shift": 0.05, "shear": 0.1, "zoom": 0.05}
    assert plan.augment == (("RandomAffine", STILL | moves),)
    assert drawn == {"strength": 0.5, "fill_mode": "nearest"}


def test_separate_strengths(draw, start):
    plan, drawn = draw("augmentation", start, {"rotate": 1.0, "zoom": 0.5}, separate=True)
    assert plan.augment == (("RandomAffine", STILL | {"rotation": 10.0, "zoom": 0.05}),)
    # nothing is drawn for shear, whose limit is 0
    assert drawn == {"rotate": 1.0, "shift": 0.0, "zoom": 0.5, "fill_mode": "nearest"}


def test_flip_alone(draw, start):
    assert draw("augmentation", start, flip=True)[0] == start
    plan, _ = draw("augmentation", start, {"flip": True}, flip=True)
    assert plan.augment == (("RandomAffine", STILL | {"flip": True}),)


def test_fill_mode(draw, start):
    options = {"fill_mode": ("nearest", "reflect")}
    plan, _ = draw("augmentation", start, {"strength": 1.0, "fill_mode": "reflect"}, **options)
    assert plan.augment[0][1]["fill_mode"] == "reflect"


def test_noise_alone_and_after_what_was_there(draw, start):
    before = start.replace(augment=(("RandomContrast", {"factor": 0.1}),))
    options = {"shift": 0.0, "rotate": 0.0, "zoom": 0.0, "noise": 0.05}
    plan, drawn = draw("augmentation", before, {"noise": 0.0375}, **options)
    assert plan.augment == (*before.augment, ("GaussianNoise", {"stddev": 0.0375}))
    assert drawn == {"noise": 0.0375}


@pytest.mark.parametrize(
    "options",
    [
        {"shift": 1.0},
        {"rotate": -1.0},
        {"shear": 90.0},
        {"zoom": 1.0},
        {"noise": -0.1},
        {"fill_mode": ("black",)},
        {"fill_mode": ()},
        {"strength": (2.0,)},
    ],
)
def test_bad_options(draw, start, options):
    with pytest.raises(ValueError, match="must be"):
        draw("augmentation", start, **options)
