"""What every shipped dimension promises."""

import inspect

import pytest

from cnnsearch.cost import cost
from cnnsearch.hyperparameters import HyperParameters, by_chance, defaults, replay
from cnnsearch.plan import Plan

from .conftest import NAMES, edit, marked

SHAPES = [(28, 28, 1), (8, 8, 1)]


def candidate(name, shape, draw):
    """A plan edited by the dimension `name`, and the hp that drew it."""
    hp = HyperParameters(draw)
    plan = Plan(shape, 10)
    # what a backbone gives is too small for blocks
    before = () if name == "backbone" else ("conv_depth", "filters")
    for step in dict.fromkeys((*before, name)):
        plan = edit(hp, plan, step)
    return plan, hp


@pytest.mark.parametrize("name", NAMES)
def test_one_function_named_as_its_file(name):
    (function,) = marked(name)
    assert function.__name__ == name


@pytest.mark.parametrize("name", NAMES)
def test_options_are_keyword_only_with_plain_defaults(name):
    first, second, *options = inspect.signature(marked(name)[0]).parameters.values()
    assert (first.name, second.name) == ("hp", "plan")
    for option in options:
        assert option.kind is option.KEYWORD_ONLY
        values = option.default if isinstance(option.default, tuple) else (option.default,)
        assert values and len({type(value) for value in values}) == 1, option
        assert type(values[0]) in (int, float, str, bool), option


@pytest.mark.parametrize("name", NAMES)
def test_documented(name):
    function = marked(name)[0]
    summary, _, rest = inspect.getdoc(function).partition("\n")
    assert summary.endswith(".")
    for option in list(inspect.signature(function).parameters)[2:]:
        assert f"\n    {option}: " in rest


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_random_points(name, shape):
    function, seen = marked(name)[0], {}
    for seed in range(50):
        plan, hp = candidate(name, shape, by_chance(seed))
        assert Plan.from_json(plan.to_json()) == plan
        assert cost(plan).params > 0
        assert candidate(name, shape, replay(hp.values))[0] == plan
        for full, distribution in hp.space.items():
            assert seen.setdefault(full, distribution) == distribution
    assert any(full.startswith(f"{function.__name__}/") for full in seen)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_defaults_lie_in_their_distribution(name, shape):
    plan, hp = candidate(name, shape, defaults)
    assert cost(plan).params > 0
    assert all(hp.space[full].contains(value) for full, value in hp.values.items())
