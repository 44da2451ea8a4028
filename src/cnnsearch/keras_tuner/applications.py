"""KerasTuner's own hypermodels: HyperResNet, HyperXception, HyperEfficientNet, HyperImageAugment."""

from typing import Any


def __getattr__(name: str) -> Any:
    from keras_tuner import applications

    return getattr(applications, name)
