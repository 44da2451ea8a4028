import numpy as np

from cnnsearch import Dataset, dataset


@dataset
def splits_overlap():
    """Made pictures, with a test set that is a part of training."""
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    y = np.arange(60) % 2
    return Dataset("made", x, y, ("even", "odd"), x_test=x[:20], y_test=y[:20])
