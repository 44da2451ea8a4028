"""The handwritten digits of scikit-learn: real data without a file or a download."""

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
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    # The pixels are 0 to 16; every dataset here is 0 to 255.
    pixels = np.rint(x.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    whole = Dataset("digits", pixels, y, tuple("0123456789"))
    return noisy(limited(whole, limit), noise, noise_seed)
