"""What the dataset tests share: a plugin loaded from its file, tiny files, and the real MNIST."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from cnnsearch.core.errors import DataError

PLUGINS = Path(__file__).parents[2] / "plugins" / "datasets"


@pytest.fixture
def plugin():
    """The dataset function of a plugin file, by its name."""

    def load(name):
        spec = importlib.util.spec_from_file_location(f"plugin_{name}", PLUGINS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return getattr(module, name)

    return load


@pytest.fixture
def says():
    """The one line of the DataError that a call raises."""

    def line(function, **options):
        with pytest.raises(DataError) as caught:
            function(**options)
        message = caught.value.message
        assert "\n" not in message and message.endswith((".", "?"))
        return message

    return line


@pytest.fixture
def arrays():
    """Forty training and ten test images of ten classes, as Keras' files hold them."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (50, 6, 6), dtype=np.uint8)
    labels = np.tile(np.arange(10, dtype=np.uint8), 5)
    return {"x_train": images[:40], "y_train": labels[:40], "x_test": images[40:], "y_test": labels[40:]}


@pytest.fixture
def mnist(plugin):
    """The real MNIST, where CNNSEARCH_DATA has it."""
    folder = os.environ.get("CNNSEARCH_DATA")
    if not folder or not (Path(folder) / "mnist.npz").is_file():
        pytest.skip("CNNSEARCH_DATA names no folder with mnist.npz")
    return plugin("mnist")
