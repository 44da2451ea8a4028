"""Keras' optimizers with rates for groups of weights, and with averages of the weights."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from cnnsearch.spaces.plan import Plan
from cnnsearch.spaces.weight_training import Averaging


class Group(NamedTuple):
    """How a weight is trained: the numbers of `spaces.plan.GROUP`."""

    rate: float = 1.0
    decay: bool = True
    until: int = 0


PLAIN = Group()


def group_of(plan: Plan, variable: Any) -> Group:
    """The first of the plan's groups whose expression is found in the path of this weight."""
    found = (group for pattern, group in plan.groups if re.search(pattern, variable.path))
    return Group(**next(found, {}))


def adjusted(
    optimizer: keras.optimizers.Optimizer,
    groups: Sequence[Group],
    averaging: Averaging | None,
    steps_per_epoch: float,
    epochs: int,
) -> keras.optimizers.Optimizer:
    """`optimizer` made anew to train each variable, by their order, as its group says, and to average them.

    Rates by layer are from Howard and Ruder (arXiv 1801.06146). Keras' MultiOptimizer has no learning rate that
    callbacks could lower, and scaled gradients would change nothing for Adam.
    """
    if averaging is None and all(group == PLAIN for group in groups):
        return optimizer
    made = _class(type(optimizer), groups, averaging).from_config(optimizer.get_config())
    # in a compiled program they are its arguments
    made.steps_per_epoch, made.epochs = float(steps_per_epoch), float(epochs)
    return made


def is_adjusted(optimizer: Any) -> bool:
    """Whether `adjusted` made this optimizer."""
    return hasattr(optimizer, "steps_per_epoch")


def averages(optimizer: Any) -> bool:
    """Whether the averaged weights of this optimizer are not those that are trained."""
    averaging = getattr(_unwrapped(optimizer), "averaging", None)
    return averaging is not None and not averaging.overwrite


def _unwrapped(optimizer: Any) -> Any:
    """The optimizer itself. In mixed_float16 Keras has put it into a LossScaleOptimizer."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _class(kind: Any, groups: Sequence[Group], averages: Averaging | None) -> Any:
    class Adjusted(kind):  # type: ignore[misc]
        averaging = averages

        def build(self, variables: Any) -> None:
            super().build(variables)
            if averages is not None:
                self._slow = self.add_optimizer_variables(variables, "slow")
                self._swapped = self.add_variable((), name="swapped")
                for slow, variable in zip(self._slow, variables, strict=True):
                    slow.assign(_copy(variable))

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            rate = groups[self._get_variable_index(variable)].rate
            super().update_step(gradient, variable, learning_rate if rate == 1 else learning_rate * rate)

        def _apply_weight_decay(self, variables: Any) -> None:
            super()._apply_weight_decay([each for each in variables if groups[self._get_variable_index(each)].decay])

        def _backend_apply_gradients(self, gradients: Any, variables: Any) -> None:
            # TensorFlow's variables are read when they are used, so that a sum is needed
            before = [
                (variable, ops.add(variable, 0.0), group.until)
                for variable in variables
                if (group := groups[self._get_variable_index(variable)]).until
            ]
            super()._backend_apply_gradients(gradients, variables)
            for variable, value, until in before:
                trained = ops.cast(self._iterations, "float32") < until * self.steps_per_epoch
                variable.assign(ops.where(trained, ops.convert_to_tensor(variable), value))
            if averages is not None:
                self._average(averages)

        def _average(self, told: Averaging) -> None:
            done = self._iterations + 1
            share = ops.cast(done, "float32") / (self.steps_per_epoch * self.epochs)
            kept = told.decay * ops.power(ops.minimum(share, 1.0), told.power) if told.power else told.decay
            due = ops.equal(done % told.every, 0)
            for slow, variable in zip(self._slow, self._trainable_variables, strict=True):
                # JAX selects among tensors, not among variables
                before, trained = ops.convert_to_tensor(slow), ops.convert_to_tensor(variable)
                mean = before + (1 - kept) * (trained - before)
                slow.assign(ops.where(due, mean, before))
                if told.overwrite:
                    variable.assign(ops.where(due, mean, trained))

        def show(self, averaged: bool) -> None:
            """Put the averaged weights into the model, or the trained ones again."""
            if bool(ops.convert_to_numpy(self._swapped)) == averaged:
                return
            for slow, variable in zip(self._slow, self._trainable_variables, strict=True):
                trained = _copy(variable)
                variable.assign(_copy(slow))
                slow.assign(trained)
            self._swapped.assign(float(averaged))

    return Adjusted


def _copy(variable: Any) -> Any:
    # with JAX two variables would share their memory, which a compiled program may use for something else
    return np.array(ops.convert_to_numpy(variable))


class AveragedWeights(keras.callbacks.Callback):  # type: ignore[misc]
    """Puts the averaged weights into the model after each epoch, and the trained ones again before the next.

    Keras' SwapEMAWeights loses the trained weights in the last epoch, so that a training could not be resumed.
    """

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        _unwrapped(self.model.optimizer).show(averaged=False)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        _unwrapped(self.model.optimizer).show(averaged=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        _unwrapped(self.model.optimizer).show(averaged=True)
