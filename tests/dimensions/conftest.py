"""Shipped dimensions, found and called as the host does it."""

import importlib.util
from pathlib import Path

import pytest

from cnnsearch.spaces.decorators import ATTRIBUTE
from cnnsearch.spaces.hyperparameters import HyperParameters, replay
from cnnsearch.spaces.plan import Plan

FOLDER = Path(__file__).parents[2] / "plugins" / "dimensions"
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def marked(name):
    """The functions of plugins/dimensions/NAME.py that are marked as dimensions."""
    spec = importlib.util.spec_from_file_location(f"shipped_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [value for value in vars(module).values() if getattr(value, ATTRIBUTE, None) == "dimension"]


def edit(hp, plan, name, **options):
    """`plan` after one dimension, drawn in its own scope."""
    with hp.name_scope(name):
        return marked(name)[0](hp, plan, **options)


@pytest.fixture
def start():
    return Plan((28, 28, 1), 10)


@pytest.fixture
def body(start):
    """A plan of two blocks, `conv act conv act pool` with 8 and 16 filters."""
    hp = HyperParameters(replay({}))
    plan = edit(hp, start, "conv_depth", min=2, max=2, convs=(2,))
    return edit(hp, plan, "filters", first=(8,))


@pytest.fixture
def draw():
    """draw(name, plan, {"short name": value}, **options) -> (plan, the names drawn with their values)."""

    def _draw(name, plan, values=None, **options):
        hp = HyperParameters(replay({f"{name}/{key}": value for key, value in (values or {}).items()}))
        plan = edit(hp, plan, name, **options)
        assert Plan.from_json(plan.to_json()) == plan
        for full, value in hp.values.items():
            assert hp.space[full].contains(value), f"{full} cannot be {value}"
        return plan, {full.removeprefix(f"{name}/"): value for full, value in hp.values.items()}

    return _draw


def sentences(plan):
    """Each block's words."""
    return [" ".join(block.layers) for block in plan.blocks]
