"""Made pictures, so that nothing has to be fetched."""

import numpy as np

from cnnsearch import Dataset, dataset


@dataset
def checkers(*, count=240):
    """Boards and stripes of 8x8 pixels under noise.

    Args:
        count: how many there are.
    """
    chance = np.random.default_rng(0)
    x = chance.integers(0, 120, (count, 8, 8), dtype=np.uint8)
    rows, columns = np.indices((8, 8))
    x[::2] += 120 * ((rows + columns) % 2).astype("uint8")
    x[1::2] += 120 * (rows % 2).astype("uint8")
    return Dataset("checkers", x, np.arange(count) % 2, ("board", "stripes"))
