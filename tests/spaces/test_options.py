"""Options are checked against a plugin's signature, before it is called."""

import math
from typing import Any

import pytest

from cnnsearch.core.errors import PluginError, SpaceError
from cnnsearch.spaces.plugin_options import checked, describe, options


def plugin(
    hp: Any,
    plan: Any,
    *,
    first: tuple[int, ...] = (16, 32),
    growth: tuple[float, ...] = (1.0, 2.0),
    max_rate: float = 0.5,
    depth: int = 2,
    name: str = "relu",
    flip: bool = False,
    mixed: tuple[str | float | int, ...] = ("auto", 0.5, 1),
    free: Any = None,
    none_yet: tuple[Any, ...] = (),
    limit: float = math.inf,
) -> None:
    """A plugin with an option of every kind."""


def check(**given: Any) -> dict[str, Any]:
    return checked(plugin, given, "s.toml", "filters")


def refused(**given: Any) -> str:
    with pytest.raises(SpaceError) as caught:
        check(**given)
    return caught.value.message


def test_options_are_the_keyword_only_arguments() -> None:
    def few(hp: Any, plan: Any, *, first: tuple[int, ...] = (16, 32, 64), growth: float = 1.5) -> None: ...

    assert options(few) == {"first": (16, 32, 64), "growth": 1.5}
    assert options(lambda hp, plan: plan) == {}


def test_describe_is_a_sentence() -> None:
    assert describe(options(lambda hp, plan: plan)) == "no options"
    assert describe(options(lambda hp, *, a=(1,): hp)) == "a=(1,)"
    assert describe(options(lambda hp, *, a=1, b="x": hp)) == "a=1 and b='x'"
    assert describe(options(lambda hp, *, a=1, b=2, c=3.0: hp)) == "a=1, b=2 and c=3.0"
    assert describe(options(lambda hp, model, *, epochs, size=1: hp)) == "epochs and size=1"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"first": [8, 16]}, {"first": (8, 16)}),
        ({"first": (8,)}, {"first": (8,)}),
        ({"first": 8}, {"first": (8,)}),
        ({"growth": [1, 1.5]}, {"growth": (1.0, 1.5)}),
        ({"max_rate": 0}, {"max_rate": 0.0}),
        ({"depth": 3, "name": "gelu", "flip": True}, {"depth": 3, "name": "gelu", "flip": True}),
        ({"mixed": ["x", 1, 0.25]}, {"mixed": ("x", 1, 0.25)}),
        ({"free": "anything"}, {"free": "anything"}),
        ({"free": [1, 2]}, {"free": (1, 2)}),
        ({"none_yet": [1, "two"]}, {"none_yet": (1, "two")}),
        ({"none_yet": []}, {"none_yet": ()}),
        ({"limit": math.inf}, {"limit": math.inf}),
    ],
)
def test_values_become_what_the_plugin_expects(given: dict[str, Any], expected: dict[str, Any]) -> None:
    made = check(**given)
    assert made == expected
    assert repr(made) == repr(expected), "the types are those of the defaults"


def test_whole_numbers_are_floats_where_no_default_is_whole() -> None:
    def halves(hp: Any, *, steps: tuple[str | float, ...] = ("auto", 0.5)) -> None: ...

    assert repr(checked(halves, {"steps": [1, "x"]}, "s", "d")) == "{'steps': (1.0, 'x')}"


def test_an_unknown_option_is_answered_with_the_nearest_and_all() -> None:
    def filters(hp: Any, plan: Any, *, first: Any = (16, 32, 64), growth: Any = (1.0, 1.5, 2.0)) -> None: ...

    with pytest.raises(SpaceError) as caught:
        checked(filters, {"frist": [1]}, "search_spaces/mnist_cnn.toml", "filters")
    assert caught.value.message == (
        "search_spaces/mnist_cnn.toml: filters has no option 'frist'. Did you mean 'first'? "
        "It takes first=(16, 32, 64) and growth=(1.0, 1.5, 2.0)."
    )


@pytest.mark.parametrize("name", ["hp", "plan"])
def test_what_the_host_passes_is_no_option(name: str) -> None:
    assert f"has no option '{name}'" in refused(**{name: 1})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"first": []}, "s.toml: filters.first is empty; expected one value or more, such as [16, 32]."),
        ({"first": ["16"]}, "s.toml: filters.first is '16'; expected a whole number such as 16."),
        ({"first": [16.5]}, "s.toml: filters.first is 16.5; expected a whole number such as 16."),
        ({"first": [True]}, "s.toml: filters.first is True; expected a whole number such as 16."),
        ({"first": [[16]]}, "s.toml: filters.first is [16]; expected a whole number such as 16."),
        ({"growth": [True]}, "s.toml: filters.growth is True; expected a number such as 1.0."),
        ({"max_rate": "high"}, "s.toml: filters.max_rate is 'high'; expected a number such as 0.5."),
        ({"max_rate": [0.5]}, "s.toml: filters.max_rate is [0.5]; expected a number such as 0.5."),
        ({"max_rate": False}, "s.toml: filters.max_rate is False; expected a number such as 0.5."),
        ({"depth": 2.0}, "s.toml: filters.depth is 2.0; expected a whole number such as 2."),
        ({"name": 3}, "s.toml: filters.name is 3; expected a text such as 'relu'."),
        ({"flip": 1}, "s.toml: filters.flip is 1; expected true or false such as False."),
        ({"flip": "true"}, "s.toml: filters.flip is 'true'; expected true or false such as False."),
        ({"mixed": [True]}, "s.toml: filters.mixed is True; expected a text such as 'auto'."),
        ({"max_rate": math.nan}, "s.toml: filters.max_rate is nan; expected a finite number such as 0.5."),
        ({"growth": [-math.inf]}, "s.toml: filters.growth is -inf; expected a finite number such as 1.0."),
        ({"max_rate": 10**400}, "s.toml: filters.max_rate is inf; expected a finite number such as 0.5."),
    ],
)
def test_a_value_of_another_type_is_refused(given: dict[str, Any], message: str) -> None:
    assert refused(**given) == message


def test_an_option_without_a_default_breaks_the_contract() -> None:
    def bad(hp: Any, plan: Any, *, size: int) -> None: ...

    with pytest.raises(PluginError, match=r"s\.toml: bad: its option 'size' has no default"):
        checked(bad, {"size": 3}, "s.toml", "bad")
