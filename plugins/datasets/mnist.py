"""MNIST, the handwritten digits that every image classifier is tried on first."""

from cnnsearch import Dataset, dataset
from cnnsearch.data.arrays import load_named, noisy


@dataset
def mnist(*, limit=0, noise=0.0, noise_seed=0) -> Dataset:
    """70,000 handwritten digits of 28x28 grey pixels; 10,000 of them are the test set.

    Args:
        limit: keep so many training images; 0 keeps all.
        noise: standard deviation of Gaussian noise on all images, the range of pixels being 1.
        noise_seed: fixes that noise.
    """
    return noisy(load_named("mnist", tuple("0123456789"), limit), noise, noise_seed)
