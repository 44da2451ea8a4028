"""Noise as a property of a dataset."""

import numpy as np
import pytest

from cnnsearch import Dataset
from cnnsearch.core.errors import DataError
from cnnsearch.data.arrays import noisy


@pytest.fixture
def grey() -> Dataset:
    x = np.full((5000, 6, 6, 1), 128, "uint8")
    return Dataset("grey", x, np.arange(5000) % 2, ("a", "b"), x[:50], np.arange(50) % 2)


def test_every_part_is_noisy_by_the_seed(grey: Dataset) -> None:
    once, again, other = noisy(grey, 0.1, 1), noisy(grey, 0.1, 1), noisy(grey, 0.1, 2)
    assert once.fingerprint == again.fingerprint != other.fingerprint
    for part in (once.x, once.x_test):
        assert part is not None and part.dtype == np.uint8
        assert part.std() == pytest.approx(25.5, rel=0.05) and part.mean() == pytest.approx(128, abs=1)
    assert not np.array_equal(once.x[:50], once.x_test), "the test images get noise of their own"
    np.testing.assert_array_equal(once.y, grey.y)


def test_no_noise_leaves_the_data_alone(grey: Dataset) -> None:
    assert noisy(grey, 0.0, 1) is grey


def test_strong_noise_stays_in_range(grey: Dataset) -> None:
    x = noisy(grey, 2.0, 0).x
    assert x.min() == 0 and x.max() == 255 and (x == 0).mean() > 0.3


def test_negative_noise_is_refused(grey: Dataset) -> None:
    with pytest.raises(DataError, match="expected 0 or more"):
        noisy(grey, -0.1, 0)
