"""Images that are given to a trained model are brought into its shape, or refused."""

import numpy as np
import pytest

from cnnsearch.api import trained_model
from cnnsearch.core.errors import DataError


@pytest.mark.parametrize(
    ("given", "expected"),
    [((8, 6), 1), ((8, 6, 1), 1), ((5, 8, 6), 5), ((5, 8, 6, 1), 5), ((1, 8, 6), 1)],
)
def test_one_image_and_many_become_a_batch(given: tuple[int, ...], expected: int) -> None:
    found = trained_model.batch(np.zeros(given), (8, 6, 1), (0, 255))
    assert found.shape == (expected, 8, 6, 1)


@pytest.mark.parametrize("given", [(6, 8), (5, 8, 6, 3), (8,), (5, 5, 8, 6)])
def test_images_of_another_shape_are_refused(given: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"expected \(n, 8, 6, 1\), as in the search"):
        trained_model.batch(np.zeros(given), (8, 6, 1), (0, 255))


def test_images_of_another_scale_are_refused() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4))
    assert len(trained_model.batch(images, (4, 4, 1), (0, 255))) == 5
    with pytest.raises(DataError, match="the model was trained on 0 to 255; expected images of the same scale"):
        trained_model.batch(images / 255, (4, 4, 1), (0, 255))


def test_images_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="image 0 of images holds NaN"):
        trained_model.batch(np.full((8, 6), np.nan), (8, 6, 1), (0, 255))
