"""The bundled digits: whole, scaled, and cut by limit; and the plugins' files stay light."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnsearch.data.splits import split

PLUGINS = Path(__file__).parents[2] / "plugins" / "datasets"


def test_all_digits_are_there_and_fill_the_range(plugin):
    data = plugin("digits")()
    assert data.x.shape == (1797, 8, 8, 1) and data.x_test is None
    assert (data.x.dtype, data.x.min(), data.x.max()) == (np.uint8, 0, 255)
    assert data.classes == tuple("0123456789") and data.input_shape == (8, 8, 1)


def test_the_pixels_are_scikit_learns(plugin):
    from sklearn.datasets import load_digits

    raw = load_digits().images
    assert np.array_equal(np.rint(plugin("digits")().x[..., 0] / 255 * 16), raw)


def test_it_can_be_split(plugin):
    parts = split(plugin("digits")(), seed=3)
    assert [len(part) for part in (parts.x, parts.x_val, parts.x_test)] == [1197, 240, 360]


def test_limit_keeps_all_classes_alike_and_the_order(plugin):
    digits = plugin("digits")
    few, all_of_them = digits(limit=200), digits()
    assert len(few.x) == 200 and np.bincount(few.y).min() >= 18
    places = [np.flatnonzero((all_of_them.x == image).all((1, 2, 3)))[0] for image in few.x[:20]]
    assert places == sorted(places)
    assert few.fingerprint == digits(limit=200).fingerprint


@pytest.mark.parametrize("limit", [10, 1797])
def test_limit_reaches_from_one_image_a_class_to_all(plugin, limit):
    data = plugin("digits")(limit=limit)
    assert len(data.x) == limit and set(data.y) == set(range(10))


@pytest.mark.parametrize("limit", [-1, 9, 1798])
def test_a_limit_that_cannot_be_had_is_refused(plugin, says, limit):
    line = says(plugin("digits"), limit=limit)
    assert line == (
        f"digits: limit={limit} is not possible; expected 10 (one image of each class) to 1797 (all training "
        "images). Set it with `--set dataset.limit=N`; 0 uses all."
    )


def test_loading_a_plugin_file_brings_in_nothing_heavy():
    code = "import runpy, sys; [runpy.run_path(path) for path in sys.argv[1:]]; print(*sys.modules)"
    files = sorted(map(str, PLUGINS.glob("*.py")))
    loaded = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow", "sklearn", "optuna", "mlflow"} & set(loaded.stdout.split())
