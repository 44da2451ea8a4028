"""Plans built as Keras networks without a study, to check that they train and can be saved."""

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.pretrained import without_weights

IMAGES = 8
"""Images in the batch of a training step."""

STEPS = 2
"""Training steps. The loss of the first step is computed before any change of the weights."""

LARGEST_LOSS = 1e8
"""A loss above this means that the training diverges."""

LARGEST_DIFFERENCE = 1e-4
"""Two predictions that differ by less than this count as equal."""


class Networks(NamedTuple):
    """A plan with the network that is exported (`core`) and the network that is trained (`model`)."""

    plan: Plan
    core: Any
    model: Any


def keras_objects(plans: Iterable[Plan]) -> dict[str, Plan]:
    """Every Keras object that `plans` name, as JSON, with the first plan that names it."""
    from cnnsearch.training import build

    found: dict[str, Plan] = {}
    for plan in plans:
        for kind, spec in build.parts(without_weights(plan)):
            found.setdefault(json.dumps([kind, spec]), plan)
    return found


def make_object(text: str) -> None:
    """Make one of the `keras_objects`.

    Raises:
        ValueError: if Keras has no such object, or it does not accept the configuration.
    """
    from cnnsearch.training import keras_objects

    kind, (name, config) = json.loads(text)
    keras_objects.make(kind, (name, config))


def distinct_plans(plans: Iterable[Plan], most: int) -> list[Plan]:
    """The first plan, and later plans with a kind of layer that no plan before has; `most` plans at most."""
    from cnnsearch.training import build

    chosen: list[Plan] = []
    seen: set[str] = set()
    for plan in plans:
        kinds = {spec[0] for _, spec in build.parts(plan)}
        if len(chosen) < most and (not chosen or not kinds <= seen):
            chosen.append(plan)
            seen |= kinds
    return chosen


def build_networks(plan: Plan) -> Networks:
    """The networks of `plan`, compiled. Training is eager, because that is faster for a few steps.

    A backbone starts with random weights, so that nothing is downloaded.
    """
    from cnnsearch.training import build

    plan = without_weights(plan)
    core = build.core(plan)
    build.set_initial_weights(plan, core, random_images(plan.input_shape))
    model = build.training_model(plan, core)
    build.compile_(model, plan, STEPS)
    model.run_eagerly = True
    return Networks(plan, core, model)


def random_images(shape: tuple[int, ...], count: int = IMAGES) -> Any:
    """Random pixels (count, *shape), uint8, the same ones each time."""
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def loss_after_steps(networks: Networks) -> float:
    """The loss after STEPS training steps."""
    plan = networks.plan
    x, y = random_images(plan.input_shape), np.eye(plan.classes, dtype="float32")[np.arange(IMAGES) % plan.classes]
    for _ in range(STEPS):
        last = networks.model.train_on_batch(x, y)
    return float(last[0])


def difference_after_saving(core: Any, shape: tuple[int, ...]) -> float:
    """The largest difference between the predictions of a network and of the same network saved and opened."""
    from cnnsearch.training import model_io

    x = random_images(shape)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model_io.save(core, path)
        again = model_io.open_(path, lambda: core)
    return float(np.abs(_predicted(again, x) - _predicted(core, x)).max())


def _predicted(model: Any, x: Any) -> Any:
    """The predictions for one batch. They are computed eagerly, because that is faster for one batch."""
    model.run_eagerly = True
    return model.predict_on_batch(x)
