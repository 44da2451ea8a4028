"""What MLflow's format for models asks for: signature and requirements."""

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any


def signature(input_shape: Sequence[int], classes: int) -> Any:
    """The input and output of a model: raw images (n, *input_shape) as float32, and probabilities (n, classes)."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    pixels, answers = (Schema([TensorSpec(np.dtype("float32"), (-1, *shape))]) for shape in (input_shape, (classes,)))
    return ModelSignature(pixels, answers)


def needs(*packages: str) -> list[str]:
    """The packages a model needs, as pip names them.

    If they are not given, MLflow finds them by loading the model again in another process.
    """
    return [f"{name}=={version(name)}" for name in ("numpy", *packages)]


@contextlib.contextmanager
def versions_known() -> Iterator[None]:
    """Let MLflow log a model without a comparison of the versions in `needs` with the installed ones, which they are.

    MLflow finds the installed versions by reading the list of files of each installed package, which takes seconds.
    """
    requirements = importlib.import_module("mlflow.utils.requirements_utils")
    # private; where MLflow has another name for it, nothing changes
    name = "_MODULES_TO_PACKAGES"
    before = getattr(requirements, name, None)
    if before is not None:
        yield
        return
    setattr(requirements, name, {})
    try:
        yield
    finally:
        setattr(requirements, name, None)
