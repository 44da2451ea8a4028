"""The contracts of a trainer: it trains a small candidate epoch by epoch, with the callbacks that it is given."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.data.splits import Split
from cnnsearch.spaces.hyperparameters import HyperParameters, defaults
from cnnsearch.spaces.plan import Block, Head, Plan
from cnnsearch.testing import contracts, networks
from cnnsearch.testing.contracts import Subject, contract

PLAIN = Plan((8, 8, 1), 2, (Block("conv act pool", 4),), Head(widths=(8,)), batch_size=16, epochs=2)
WITH_STEM = PLAIN.replace(stem=(Block("conv act", 1, activation="sigmoid"),), stem_rate=0.0)
IMAGES = 48

CONTRACTS = contracts.of_every_plugin()


class Training(NamedTuple):
    """The result of a training, its hyperparameters, the weights before it, and its plan."""

    outcome: Any
    hp: HyperParameters
    before: list[Any]
    plan: Plan


class Trainer(Subject):
    """A trainer, its options, and the plan that it trains: by default a small one, with a stem if it needs one."""

    contracts = CONTRACTS

    def __init__(
        self, function: Callable[..., Any], given: dict[str, Any] | None = None, on: tuple[Plan, ...] = ()
    ) -> None:
        super().__init__(function, given or {}, "trainer", ("hp", "model", "data"))
        self._on = on or (PLAIN, WITH_STEM)

    def trained(self, stop_after: int = 99) -> Training:
        """A training of the first plan that the trainer accepts."""
        for plan in self._on[:-1]:
            try:
                return self._trained(plan, stop_after)
            except CnnsearchError:
                continue
        return self._trained(self._on[-1], stop_after)

    @cached_property
    def whole(self) -> Training:
        """A training of all epochs."""
        return self.trained()

    def _trained(self, plan: Plan, stop_after: int) -> Training:
        from cnnsearch.training import fitting, training_data
        from cnnsearch.training.candidate import from_plan

        candidate = from_plan(plan, IMAGES, x=_split(plan).x)
        before = candidate.core.get_weights()
        data = training_data.for_candidate(candidate, _split(plan), plan.classes)
        hp = HyperParameters(defaults)

        def trainer(*positional: Any, **named: Any) -> Any:
            return self.function(*positional, **named, **self.given)

        def continues(epoch: int, metrics: dict[str, float]) -> bool:
            return epoch < stop_after

        outcome = fitting.train(candidate, trainer, hp, data, plan.epochs, "val_accuracy", continues)
        return Training(outcome, hp, before, plan)


@contract(CONTRACTS, basis=True)
def ends_its_epochs(trainer: Trainer) -> None:
    """It trains all epochs with the callbacks that it gets, and reports val_accuracy."""
    trained, asked = len(trainer.whole.outcome.history), trainer.whole.plan.epochs
    if trained != asked:
        mend = "Pass epochs=epochs and callbacks=callbacks to one call of fit"
        raise trainer.broken(f"it trained {trained} of {asked} epochs", mend)


@contract(CONTRACTS)
def changes_the_weights(trainer: Trainer) -> None:
    """It changes the weights of the model that it gets."""
    pairs = zip(trainer.whole.before, trainer.whole.outcome.weights, strict=True)
    if all(np.array_equal(old, new) for old, new in pairs):
        raise trainer.broken("the weights are the same after training", "Train the model that it gets, not a copy")


@contract(CONTRACTS)
def stops_when_told(trainer: Trainer) -> None:
    """It stops when a callback sets model.stop_training."""
    trained = len(trainer.trained(stop_after=1).outcome.history)
    if trained != 1:
        mend = "End the loop when model.stop_training is true, as fit does"
        raise trainer.broken(f"it should stop after one epoch, but trained {trained}", mend)


@contract(CONTRACTS)
def draws_nothing(trainer: Trainer) -> None:
    """It draws nothing from hp."""
    drawn = trainer.whole.hp.values
    if drawn:
        mend = "Make it an option: a plan does not show what a trainer draws, and equal plans are trained once"
        raise trainer.broken(f"it draws {', '.join(drawn)}", mend)


def _split(plan: Plan) -> Split:
    x = networks.random_images(plan.input_shape, IMAGES)
    y = np.arange(IMAGES) % plan.classes
    return Split(x, y, x[:16], y[:16], x[:16], y[:16], x_clean=x)
