import numpy as np

from cnnsearch import Dataset, dataset


@dataset
def new_each_time(*, count=60):
    """Made pictures, others each time."""
    x = np.random.default_rng().integers(0, 256, (count, 8, 8), dtype=np.uint8)
    return Dataset("made", x, np.arange(count) % 2, ("even", "odd"))
