"""KerasTuner's HyperParameters in a worker: a hyperparameter that is new gets its value from the study's sampler."""

from collections.abc import Callable
from typing import Any

import keras_tuner
from keras_tuner import errors
from keras_tuner.engine import hyperparameters as kinds

from cnnsearch.spaces.distributions import Distribution, Value, choice, floats, integers, plain

Draw = Callable[[str, Distribution], Value]


class DrawnHyperParameters(keras_tuner.HyperParameters):  # type: ignore[misc]
    """The hyperparameters of one trial. Those that the oracle was given are drawn first, in their order."""

    def __init__(self, draw: Draw, oracle: Any) -> None:
        super().__init__()
        self._draw, self._grid = draw, oracle.sampler == "grid"
        self._new, self._tuned = True, True
        for each in oracle.given.space:
            self._retrieve(each)
        self._new, self._tuned = oracle.allow_new_entries, oracle.tune_new_entries

    def _register(self, hyperparameter: Any, overwrite: bool = False) -> Any:
        """Add a hyperparameter; its value is drawn if it is active and has none.

        Raises:
            FatalRuntimeError: if it is new and `allow_new_entries` is False.
        """
        if not self._new:
            raise errors.FatalRuntimeError(
                f"`allow_new_entries` is `False`, but found new entries in the search space: [{hyperparameter}]. "
                "Please add it to the search space using the `hyperparameters` argument."
            )
        name = hyperparameter.name
        if name not in self.values and self._tuned and self.is_active(hyperparameter):
            drawn = distribution(hyperparameter, self._grid)
            self.values[name] = self._draw(drawn_name(hyperparameter, drawn), drawn)
        return super()._register(hyperparameter, overwrite)

    def copy(self) -> Any:
        """A copy that draws nothing, as KerasTuner's own."""
        return keras_tuner.HyperParameters.from_config(self.get_config())


def drawn_name(hp: Any, drawn: Distribution) -> str:
    """The name of a hyperparameter in the study.

    In KerasTuner choices of one name may differ between conditional scopes, in a study not. So the name of a choice
    in a scope says the scope, such as `rate [kind=cnn]`.
    """
    if not hp.conditions or drawn.kind != "choice" or isinstance(hp, kinds.Boolean):
        return str(hp.name)
    scopes = (f"{each.name}={'|'.join(map(str, each.values))}" for each in hp.conditions)
    return f"{hp.name} [{', '.join(scopes)}]"


def distribution(hp: Any, grid: bool) -> Distribution:
    """The distribution of one of KerasTuner's hyperparameters.

    In a grid, a number without a step has ten values and its default.

    Raises:
        ValueError: if Optuna has no such scale.
    """
    if isinstance(hp, kinds.Fixed):
        value = plain(hp.value)
        return Distribution("choice", value, (value,))
    if isinstance(hp, kinds.Boolean):
        first = bool(hp.default)
        return Distribution("choice", first, (first, not first))
    if isinstance(hp, kinds.Choice):
        return choice(hp.name, hp.values, hp.default)
    if grid:
        # KerasTuner has whole numbers as floats there
        number = int if isinstance(hp, kinds.Int) else float
        values = sorted({number(value) for value in (*hp.values, hp.default)})
        return choice(hp.name, values, hp.default)
    make = integers if isinstance(hp, kinds.Int) else floats
    return make(hp.name, hp.min_value, hp.max_value, hp.step, hp.sampling, hp.default)
