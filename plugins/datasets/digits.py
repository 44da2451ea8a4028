"""The handwritten digits of scikit-learn: real data without a file or a download."""

import importlib.util
from pathlib import Path

import numpy as np

from cnnsearch import Dataset, dataset
from cnnsearch.data.arrays import limited, noisy


@dataset
def digits(*, limit=0, noise=0.0, noise_seed=0) -> Dataset:
    """1,797 handwritten digits of 8x8 grey pixels, bundled with scikit-learn.

    Args:
        limit: keep so many training images; 0 keeps all.
        noise: standard deviation of Gaussian noise on all images, as a fraction of the range of the pixels.
        noise_seed: the seed of the noise.
    """
    rows = np.loadtxt(_file(), delimiter=",")
    # The pixels are 0 to 16; every dataset here is 0 to 255.
    pixels = np.rint(rows[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    whole = Dataset("digits", pixels, rows[:, -1].astype(int), tuple("0123456789"))
    return noisy(limited(whole, limit), noise, noise_seed)


def _file() -> Path:
    """The file of `sklearn.datasets.load_digits`, found without the seconds that importing scikit-learn takes."""
    package = importlib.util.find_spec("sklearn")
    assert package is not None and package.origin is not None
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
