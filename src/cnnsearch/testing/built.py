"""Plans as Keras networks, tried without a study: every part made, a few steps, saved and opened again."""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.pretrained import without_weights

IMAGES = 8
"""In the batch that a step is tried on."""

STEPS = 2
"""The loss of the first is from before any change."""


LARGE, CLOSE = 1e8, 1e-4
"""A loss that is divergence, and answers that are the same."""


class Built(NamedTuple):
    """A plan with the network that is exported and the one that is trained."""

    plan: Plan
    core: Any
    model: Any


def parts(plans: Iterable[Plan]) -> dict[str, Plan]:
    """Every Keras object that `plans` name, as JSON, with the first plan that names it."""
    from cnnsearch.training import build

    found: dict[str, Plan] = {}
    for plan in plans:
        for kind, spec in build.parts(without_weights(plan)):
            found.setdefault(json.dumps([kind, spec]), plan)
    return found


def make(part: str) -> None:
    """Make one of `parts`.

    Raises:
        ValueError: if Keras has no such object, or it does not take its configuration.
    """
    from cnnsearch.training import build

    kind, (name, config) = json.loads(part)
    build.make(kind, (name, config))


def unlike(plans: Iterable[Plan], most: int) -> list[Plan]:
    """The first of `plans`, and those after it that name a kind of layer that none before them does."""
    from cnnsearch.training import build

    chosen: list[Plan] = []
    seen: set[str] = set()
    for plan in plans:
        kinds = {spec[0] for _, spec in build.parts(plan)}
        if len(chosen) < most and (not chosen or not kinds <= seen):
            chosen.append(plan)
            seen |= kinds
    return chosen


def built(plan: Plan) -> Built:
    """The networks of `plan`, ready to be trained, step by step and without a graph, which is quicker for a few.

    A backbone begins with weights by chance, so that none are fetched.
    """
    from cnnsearch.training import build

    plan = without_weights(plan)
    core = build.core(plan)
    model = build.training_model(plan, core)
    build.compile_(model, plan, STEPS)
    model.run_eagerly = True
    return Built(plan, core, model)


def images(shape: tuple[int, ...], count: int = IMAGES) -> Any:
    """Pixels by chance, the same each time."""
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def loss(network: Built) -> float:
    """The loss after a few steps."""
    plan = network.plan
    x, y = images(plan.input_shape), np.eye(plan.classes, dtype="float32")[np.arange(IMAGES) % plan.classes]
    for _ in range(STEPS):
        last = network.model.train_on_batch(x, y)
    return float(last[0])


def moved(core: Any, shape: tuple[int, ...]) -> float:
    """How far the answers of a saved and opened network are from its own."""
    from cnnsearch.training import model_io

    x = images(shape)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model_io.save(core, path)
        again = model_io.open_(path, lambda: core)
    return float(np.abs(again.predict_on_batch(x) - core.predict_on_batch(x)).max())
