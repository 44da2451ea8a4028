"""KerasTuner's names, with the tuners of cnnsearch: `import cnnsearch.keras_tuner as keras_tuner`.

The tuners train in worker processes and store their trials in a study. All other names, such as `HyperModel`,
`HyperParameters`, `Objective` and `applications`, are KerasTuner's own objects. Importing this package imports neither
KerasTuner nor Keras; using a name does.
"""

import importlib
import os
from typing import Any

# the script's own process must not take all memory of a GPU, which the workers need
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

TUNERS = ("BayesianOptimization", "GridSearch", "Hyperband", "RandomSearch", "Tuner")
MODULES = ("applications", "engine", "oracles", "tuners")
ABSENT = {
    "Oracle": "Choose one of its tuners, or write a sampler plugin.",
    "SklearnTuner": "Use KerasTuner's for models of scikit-learn.",
    "synchronized": "It is for oracles.",
}
"""Names of KerasTuner that would run its search and not this one, and what to do."""

__all__ = [*TUNERS, *MODULES]


def __getattr__(name: str) -> Any:
    if name in TUNERS:
        return getattr(importlib.import_module("cnnsearch.keras_tuner.tuners"), name)
    if name in MODULES:
        return importlib.import_module(f"cnnsearch.keras_tuner.{name}")
    if name in ABSENT:
        raise AttributeError(f"cnnsearch.keras_tuner has no {name}. {ABSENT[name]}")
    if name.startswith("__") and name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("keras_tuner"), name)


def __dir__() -> list[str]:
    import keras_tuner

    return sorted({*TUNERS, *MODULES, *dir(keras_tuner)} - set(ABSENT))
