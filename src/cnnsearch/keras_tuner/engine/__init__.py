"""KerasTuner's `engine`: `tuner` and `base_tuner` have the tuners of this package; all else is KerasTuner's own."""

import importlib
from typing import Any

OWN = ("base_tuner", "hypermodel", "hyperparameters", "tuner")


def __getattr__(name: str) -> Any:
    if name in OWN:
        return importlib.import_module(f"cnnsearch.keras_tuner.engine.{name}")
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("keras_tuner.engine"), name)
