import numpy as np

from cnnsearch import Dataset, dataset


@dataset
def nan_images():
    """Made pictures, one with a hole."""
    x = np.random.default_rng(0).random((60, 8, 8))
    x[5, 3, 3] = np.nan
    return Dataset("made", x, np.arange(60) % 2, ("even", "odd"))
