"""hp behaves as KerasTuner's hp, and distributions know their values."""

import json
import math
import random
from typing import Any

import pytest

from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.hyperparameters import HyperParameters, by_chance, defaults, replay


@pytest.fixture
def hp() -> HyperParameters:
    return HyperParameters(defaults)


def test_the_default_point_is_the_first_or_the_named_value(hp: HyperParameters) -> None:
    assert hp.Choice("kernel", [3, 5]) == 3
    assert hp.Choice("padding", ["same", "valid"], default="valid") == "valid"
    assert hp.Int("layers", 1, 4) == 1
    assert hp.Int("units", 8, 64, step=8, default=32) == 32
    assert hp.Float("rate", 0.0, 0.5) == 0.0
    assert hp.Boolean("bias") is False and hp.Boolean("norm", default=True) is True
    assert hp.Fixed("epochs", 5) == 5
    assert list(hp.values) == list(hp.space) and len(hp.values) == 8


def test_a_default_takes_the_type_of_its_choice(hp: HyperParameters) -> None:
    assert type(hp.Choice("rate", [0.5, 1.0], default=1)) is float
    assert type(hp.Float("scale", 1, 100, step=10, sampling="log", default=10)) is float


def test_logarithmic_steps_multiply_and_stay_integers(hp: HyperParameters) -> None:
    assert hp.Int("units", 2, 40, step=2, sampling="log", default=8) == 8
    choices = hp.space["units"].choices
    assert choices == (2, 4, 8, 16, 32)
    assert all(type(choice) is int for choice in choices)
    hp.Float("rate", 1e-6, 1e-3, step=10, sampling="log", default=1e-5)
    assert hp.space["rate"].choices == (1e-6, 1e-5, 1e-4, 1e-3)


def test_a_name_is_drawn_once() -> None:
    asked = []
    hp = HyperParameters(lambda name, distribution: asked.append(name) or distribution.default)
    assert hp.Int("layers", 2, 4) == hp.Int("layers", 3, 9) == hp["layers"] == hp.get("layers") == 2
    assert asked == ["layers"] and "layers" in hp and "other" not in hp


def test_scopes_put_their_name_before_each_draw(hp: HyperParameters) -> None:
    with hp.name_scope("filters"):
        hp.Int("first", 8, 16)
        with hp.name_scope("deep"):
            hp.Int("first", 9, 16)
        assert hp["first"] == 8 and hp["deep/first"] == 9
    assert hp.values == {"filters/first": 8, "filters/deep/first": 9}


def test_a_scope_ends_when_its_content_fails(hp: HyperParameters) -> None:
    with pytest.raises(RuntimeError), hp.name_scope("a"), hp.conditional_scope("none", 1):
        raise RuntimeError
    assert hp.Int("b", 1, 2) == 1 and list(hp.values) == ["b"]


def test_inside_an_unmet_condition_every_draw_is_none(hp: HyperParameters) -> None:
    hp.Choice("model", ["cnn", "mlp"])
    with hp.conditional_scope("model", ["mlp"]):
        assert hp.Int("width", 1, 2) is None
        with hp.conditional_scope("model", ["cnn"]):
            assert hp.Boolean("both") is None
    with hp.conditional_scope("model", "cnn"):
        assert hp.Int("filters", 8, 16) == 8
    assert list(hp.values) == ["model", "filters"]


def test_a_parent_is_a_condition_for_one_draw(hp: HyperParameters) -> None:
    hp.Boolean("drop", default=True)
    assert hp.Float("rate", 0.1, 0.5, parent_name="drop", parent_values=[True]) == 0.1
    assert hp.Choice("kind", ["a"], parent_name="drop", parent_values=[False]) is None
    assert hp.Fixed("other", 1, parent_name="missing", parent_values=[1]) is None


def test_the_trial_speaks_optunas_words(hp: HyperParameters) -> None:
    assert hp.trial.suggest_categorical("kernel", [3, 5]) == 3
    assert hp.trial.suggest_int("units", 8, 64, log=True) == 8
    assert hp.trial.suggest_int("layers", 1, 9, step=2) == 1
    assert hp.trial.suggest_float("rate", 1e-4, 1e-1, log=True) == 1e-4
    assert hp.space["units"].log and hp.space["layers"].step == 2 and hp.space["rate"].log


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda hp: hp.Choice("k", []), "k has no values"),
        (lambda hp: hp.Choice("k", [1, 2], default=3), r"the default 3 of k is not among its values: 1 \| 2"),
        (lambda hp: hp.Choice("k", [(3, 5), (5, 3)]), r"k has \(3, 5\) among its values; expected text, numbers"),
        (lambda hp: hp.Fixed("k", {"a": 1}), "Choose a name, and look up what it stands for"),
        (lambda hp: hp.Int("k", 5, 1), "k has the range 5 to 1"),
        (lambda hp: hp.Int("k", 1, 5, default=9), "the default 9 of k .* 1 to 5"),
        (lambda hp: hp.Int("k", 1, 5, step=2, default=2), "the default 2 of k"),
        (lambda hp: hp.Int("k", 10, 100, step=-10), "a step must be above 0, got -10"),
        (lambda hp: hp.Float("k", 0, 1, step=-0.1), "a step must be above 0, got -0.1"),
        (lambda hp: hp.Int("k", 1, 10, step=1.5, sampling="log"), "k has step = 1.5; expected a number, and a whole"),
        (lambda hp: hp.Float("k", 0, 1, sampling="log"), "must begin above 0"),
        (lambda hp: hp.Float("k", 0, 1, step=2, sampling="log"), "above 1 and begin above 0"),
        (lambda hp: hp.Int("k", 1, 8, step=1, sampling="log"), "above 1 and begin above 0"),
        (
            lambda hp: hp.Float("k", 1, 2, sampling="reverse_log"),
            "k has sampling='reverse_log', which Optuna does not have",
        ),
    ],
)
def test_nonsense_is_refused(hp: HyperParameters, wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong(hp)
    assert not hp.values


def test_what_was_not_drawn_cannot_be_read(hp: HyperParameters) -> None:
    hp.Int("layers", 1, 2)
    with pytest.raises(KeyError, match="'width' was drawn; there are layers"):
        hp.get("width")


def drawn(draw: Any) -> HyperParameters:
    hp = HyperParameters(draw)
    hp.Choice("kernel", [3, 5, 7])
    hp.Boolean("bias")
    hp.Fixed("epochs", 5)
    hp.Int("layers", 1, 4)
    hp.Int("units", 8, 70, step=8)
    hp.Int("width", 8, 512, sampling="log")
    hp.Int("power", 2, 32, step=2, sampling="log")
    hp.Float("momentum", 0.0, 1.0)
    hp.Float("rate", 0.0, 0.5, step=0.1)
    hp.Float("speed", 1e-4, 1e-1, sampling="log")
    return hp


@pytest.mark.parametrize("seed", range(20))
def test_random_points_lie_in_their_space(seed: int) -> None:
    hp = drawn(by_chance(seed))
    for name, value in hp.values.items():
        assert hp.space[name].contains(value), name
    assert hp.values == drawn(by_chance(seed)).values


def test_a_point_can_be_replayed() -> None:
    assert drawn(replay({"layers": 3, "gone": 1})).values == {**drawn(defaults).values, "layers": 3}


def test_every_value_of_a_step_is_met_by_chance() -> None:
    rates = Distribution("float", 0.0, low=0.0, high=0.3, step=0.1)
    generator = random.Random(0)
    assert {round(float(rates.random(generator) or 0), 6) for _ in range(200)} == {0.0, 0.1, 0.2, 0.3}


def test_distributions_know_their_size() -> None:
    sizes = {name: distribution.size for name, distribution in drawn(defaults).space.items()}
    assert sizes == {
        "kernel": 3,
        "bias": 2,
        "epochs": 1,
        "layers": 4,
        "units": 8,
        "width": 505,
        "power": 5,
        "momentum": math.inf,
        "rate": 6,
        "speed": math.inf,
    }


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("kernel", 5, [4, 5.0, "5", None]),
        ("bias", True, [1, 0, "True"]),
        ("units", 64, [8.5, 9, 70, 72, True, None, "8"]),
        ("width", 9, [7, 513, 8.5, math.nan]),
        ("rate", 0.30000000000000004, [0.35, 0.6, -0.1]),
        ("speed", 0.05, [0.2, 0.0, math.inf]),
    ],
)
def test_distributions_know_their_values(name: str, inside: Any, outside: list[Any]) -> None:
    distribution = drawn(defaults).space[name]
    assert distribution.contains(inside)
    assert not [value for value in outside if distribution.contains(value)]


def test_distributions_survive_json() -> None:
    for distribution in drawn(defaults).space.values():
        assert Distribution.from_dict(json.loads(json.dumps(distribution.to_dict()))) == distribution


def test_distributions_read_as_text() -> None:
    space = drawn(defaults).space
    assert str(space["kernel"]) == "3 | 5 | 7"
    assert str(space["units"]) == "8 to 64 by 8"
    assert str(space["speed"]) == "0.0001 to 0.1 (log)"
    assert str(space["momentum"]) == "0 to 1"
