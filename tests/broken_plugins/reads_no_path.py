import numpy as np

from cnnsearch import Dataset, dataset


@dataset(reads=lambda path: path.suffix == ".made")
def reads_no_path():
    """Made pictures of no file."""
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    return Dataset("made", x, np.arange(60) % 2, ("even", "odd"))
