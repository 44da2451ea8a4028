"""@dimension @space @dataset @trainer: they only mark a function; the catalog finds it."""

from collections.abc import Callable
from typing import Any, TypeVar

Marked = TypeVar("Marked", bound=Callable[..., Any])

KINDS = ("dimension", "space", "dataset", "trainer")
ATTRIBUTE = "__cnnsearch_kind__"


def dimension(function: Marked) -> Marked:
    """Mark `f(hp, plan, *, options) -> Plan`: something that can be searched."""
    return _mark(function, "dimension")


def space(function: Marked) -> Marked:
    """Mark `f(input_shape, num_classes) -> HyperModel or build(hp)`: a space written in Python."""
    return _mark(function, "space")


def dataset(function: Marked) -> Marked:
    """Mark `f(**options) -> Dataset`: images and labels to train on."""
    return _mark(function, "dataset")


def trainer(function: Marked) -> Marked:
    """Mark `f(hp, model, data, *, epochs, callbacks, options) -> History`: another way to train a candidate."""
    return _mark(function, "trainer")


def _mark(function: Marked, kind: str) -> Marked:
    setattr(function, ATTRIBUTE, kind)
    return function
