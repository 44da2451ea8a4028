"""The learning rate over the epochs of a plan."""

from typing import Any

import keras
import numpy as np


@keras.saving.register_keras_serializable("cnnsearch")
class Factors(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The rate `base` times `factors`: one for the start of each epoch and one for the end, linear in between.

    `at` are the epochs of the factors, if they are not 0, 1, 2, ….
    """

    def __init__(
        self, base: float, factors: tuple[float, ...], steps_per_epoch: float, at: tuple[float, ...] = ()
    ) -> None:
        super().__init__()
        self.base, self.factors, self.steps_per_epoch, self.at = base, tuple(factors), steps_per_epoch, tuple(at)

    def __call__(self, step: Any) -> Any:
        epoch = keras.ops.cast(step, "float32") / self.steps_per_epoch
        # in a compiled program base, factors, steps and epochs are its arguments
        factors = _tensor(self.factors)
        if isinstance(self.at, tuple) and not self.at:
            count = factors.shape[0]
            # a tent over each epoch's start: the two whose sum is not 0 interpolate between them
            at = keras.ops.minimum(epoch, count - 1.0)
            near = keras.ops.relu(1 - keras.ops.abs(at - np.arange(count, dtype="float32")))
            return self.base * keras.ops.sum(near * factors)
        at = _tensor(self.at)
        # the part of each interval that is over
        over = keras.ops.clip((epoch - at[:-1]) / (at[1:] - at[:-1]), 0.0, 1.0)
        return self.base * (factors[0] + keras.ops.sum(over * (factors[1:] - factors[:-1])))

    def get_config(self) -> dict[str, Any]:
        return {"base": self.base, "factors": self.factors, "steps_per_epoch": self.steps_per_epoch, "at": self.at}


def _tensor(numbers: Any) -> Any:
    return keras.ops.convert_to_tensor(np.asarray(numbers, "float32") if isinstance(numbers, tuple) else numbers)
