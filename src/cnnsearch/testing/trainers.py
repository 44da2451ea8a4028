"""What a trainer promises: it trains a small candidate epoch by epoch, under the callbacks that it is given."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.data.splits import Split
from cnnsearch.spaces.hyperparameters import HyperParameters, defaults
from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.spaces.plugins import Catalog
from cnnsearch.testing import built, promises
from cnnsearch.testing.promises import Subject, promise

PLAIN = Plan((8, 8, 1), 2, (Block("conv act pool", 4),), Head(widths=(8,)), batch_size=16, epochs=2)
WITH_STEM = PLAIN.replace(stem=(Block("conv act", 1, activation="sigmoid"),), stem_rate=0.0)
IMAGES = 48

PROMISES = promises.of_every_plugin()


class Training(NamedTuple):
    """What a training gave, what it drew, the weights before it, and of which plan."""

    outcome: Any
    hp: HyperParameters
    before: list[Any]
    plan: Plan


class Trainer(Subject):
    """A trainer, its options, and the plan it is tried on: by default a small one, with a stem if it wants one."""

    promises = PROMISES

    def __init__(
        self, function: Callable[..., Any], given: dict[str, Any] | None = None, on: tuple[Plan, ...] = ()
    ) -> None:
        super().__init__(function, given or {}, "trainer", ("hp", "model", "data"))
        self._on = on or (PLAIN, WITH_STEM)

    def trained(self, stop_after: int = 99) -> Training:
        """A training on the first plan that it takes."""
        for plan in self._on[:-1]:
            try:
                return self._trained(plan, stop_after)
            except CnnsearchError:
                continue
        return self._trained(self._on[-1], stop_after)

    @cached_property
    def whole(self) -> Training:
        """A training to its end."""
        return self.trained()

    def _trained(self, plan: Plan, stop_after: int) -> Training:
        from cnnsearch.training import training

        candidate = training.from_plan(plan, IMAGES)
        before = candidate.core.get_weights()
        data = training.fold(candidate, _split(plan), plan.classes)
        hp = HyperParameters(defaults)

        def trainer(*positional: Any, **named: Any) -> Any:
            return self.function(*positional, **named, **self.given)

        def go_on(epoch: int, metrics: dict[str, float]) -> bool:
            return epoch < stop_after

        outcome = training.train(candidate, trainer, hp, data, plan.epochs, "val_accuracy", go_on)
        return Training(outcome, hp, before, plan)


def subject(function: Callable[..., Any], given: dict[str, Any], catalog: Catalog) -> Trainer:
    """The trainer of a catalog's entry."""
    return Trainer(function, given)


@promise(PROMISES, basis=True)
def ends_its_epochs(trainer: Trainer) -> None:
    """It trains its epochs under the callbacks it is given, with val_accuracy."""
    told, asked = len(trainer.whole.outcome.history), trainer.whole.plan.epochs
    if told != asked:
        mend = "Pass epochs=epochs and callbacks=callbacks on to one fit"
        raise trainer.broken(f"asked for {asked} epochs it ended {told}", mend)


@promise(PROMISES)
def changes_the_weights(trainer: Trainer) -> None:
    """It changes the weights of the model it is given."""
    pairs = zip(trainer.whole.before, trainer.whole.outcome.weights, strict=True)
    if all(np.array_equal(old, new) for old, new in pairs):
        raise trainer.broken("the weights are the same after it", "Train the model that it gets, and no copy")


@promise(PROMISES)
def stops_when_told(trainer: Trainer) -> None:
    """It stops when a callback says so."""
    told = len(trainer.trained(stop_after=1).outcome.history)
    if told != 1:
        mend = "End the loop when model.stop_training is set, as fit does"
        raise trainer.broken(f"told to stop after one epoch it trained {told}", mend)


@promise(PROMISES)
def draws_nothing(trainer: Trainer) -> None:
    """It draws nothing from hp."""
    drawn = trainer.whole.hp.values
    if drawn:
        mend = "A plan does not show what a trainer draws, and equal plans are trained once; make it an option"
        raise trainer.broken(f"it draws {', '.join(drawn)}", mend)


def _split(plan: Plan) -> Split:
    x = built.images(plan.input_shape, IMAGES)
    y = np.arange(IMAGES) % plan.classes
    return Split(x, y, x[:16], y[:16], x[:16], y[:16], x_clean=x)
