"""KerasTuner's own module of this name, for scripts that import from it."""

from typing import Any


def __getattr__(name: str) -> Any:
    from keras_tuner.engine import hyperparameters

    return getattr(hyperparameters, name)
