"""The contracts of a space written in Python: its candidates are compiled, train an epoch, and can be saved."""

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cnnsearch.data.splits import Split
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.spaces.hyperparameters import Draw, HyperParameters, by_chance, defaults, replay
from cnnsearch.testing import contracts, networks
from cnnsearch.testing.contracts import Subject, contract

SHAPE, CLASSES, IMAGES, POINTS = (8, 8, 1), 2, 32, 10

CONTRACTS = contracts.of_every_plugin()


class Model(Subject):
    """A function that returns a HyperModel or a function `build(hp)`."""

    contracts = CONTRACTS

    def __init__(self, function: Callable[..., Any], given: dict[str, Any] | None = None) -> None:
        super().__init__(function, given or {}, "space", ("input_shape", "num_classes"))

    def candidate(self, draw: Draw) -> tuple[Any, HyperParameters]:
        """One candidate as a search makes it, and its hyperparameters."""
        from cnnsearch.training.candidate import from_hypermodel

        hp = HyperParameters(draw)
        return from_hypermodel(self.function(SHAPE, CLASSES, **self.given), hp, 16, SHAPE, CLASSES), hp

    @cached_property
    def first(self) -> tuple[Any, HyperParameters]:
        """The default point."""
        return self.candidate(defaults)

    @cached_property
    def points(self) -> list[tuple[Any, HyperParameters]]:
        """Random points."""
        return [self.candidate(by_chance(seed)) for seed in range(POINTS)]


@contract(CONTRACTS, basis=True)
def gives_candidates(model: Model) -> None:
    """Its default point is a compiled Keras model or a classifier that predicts the probabilities of the classes."""
    from cnnsearch.training import model_io

    candidate, _ = model.first
    shape = model_io.predict(candidate.core, networks.random_images(SHAPE), candidate.reads, CLASSES).shape
    if shape != (networks.IMAGES, CLASSES):
        mend = "End it with Dense(num_classes, activation='softmax')"
        raise model.broken(f"its predictions have the shape {shape}, expected {(networks.IMAGES, CLASSES)}", mend)


@contract(CONTRACTS)
def searches_something(model: Model) -> None:
    """It draws at least one hyperparameter, and a name always has the same choices."""
    seen: dict[str, Distribution] = {}
    for _, hp in [model.first, *model.points]:
        for name, one in hp.space.items():
            if seen.setdefault(name, one) != one:
                mend = "Use another name where the range depends on another draw"
                raise model.broken(f"{name} is drawn from {seen[name]} and from {one}", mend)
    if all(one.size == 1 for one in seen.values()):
        raise model.broken("it draws nothing from hp", "Draw from hp, such as hp.Int('units', 32, 256, step=32)")


@contract(CONTRACTS)
def draws_from_hp_alone(model: Model) -> None:
    """It draws from hp only: the same values give a network of the same size."""
    for candidate, hp in model.points:
        again, hp_again = model.candidate(replay(hp.values))
        if hp.values != hp_again.values or _shapes(candidate) != _shapes(again):
            raise model.broken("the same values give two networks", "Draw everything random from hp")


def _shapes(candidate: Any) -> list[Any]:
    return [np.shape(weight) for weight in candidate.core.get_weights()]


@contract(CONTRACTS, basis=True)
def trains_an_epoch(model: Model) -> None:
    """It trains an epoch with a finite loss, and reports the metric that a search would use."""
    from cnnsearch.core import metric_names
    from cnnsearch.training import fitting, training_data
    from cnnsearch.training.reported_metrics import reported

    x, y = networks.random_images(SHAPE, IMAGES), np.arange(IMAGES) % CLASSES
    parts = Split(x, y, x[:16], y[:16], x[:16], y[:16])
    metric = metric_names.choose_metric(reported(*model.candidate(defaults), parts, CLASSES, ""))[0]
    candidate, hp = model.candidate(defaults)
    data = training_data.for_candidate(candidate, parts, CLASSES)
    fitting.train(candidate, None, hp, data, 1, metric, lambda epoch, metrics: True)


@contract(CONTRACTS)
def survives_saving(model: Model) -> None:
    """It predicts the same after it is saved and opened, in each of its formats."""
    from cnnsearch.training import model_io

    core = model.first[0].core
    x = networks.random_images(SHAPE)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in model_io.formats(core):
            path = Path(folder) / f"model.{suffix}"
            model_io.save(core, path)
            predictions = model_io.opened(path, lambda: model.candidate(replay(model.first[1].values))[0].core)(x)
            difference = float(np.abs(predictions - model_io.answers(core, x)).max())
            if not difference < networks.LARGEST_DIFFERENCE:
                raise model.broken(
                    f"saved as {suffix} it predicts differently, by {difference:.2g}", "Save all its weights"
                )
