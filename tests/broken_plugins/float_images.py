import numpy as np

from cnnsearch import Dataset, dataset


@dataset
def float_images():
    """Made pictures from 0 to 1."""
    x = np.random.default_rng(0).random((60, 8, 8))
    return Dataset("made", x, np.arange(60) % 2, ("even", "odd"))
