"""CIFAR-10, small colour photographs of animals and vehicles."""

from cnnsearch import Dataset, dataset
from cnnsearch.data.arrays import load_named, noisy

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataset
def cifar10(*, limit=0, noise=0.0, noise_seed=0) -> Dataset:
    """60,000 colour photographs of 32x32 pixels; 10,000 of them are the test set.

    Args:
        limit: keep so many training images; 0 keeps all.
        noise: standard deviation of Gaussian noise on all images, as a fraction of the range of the pixels.
        noise_seed: the seed of the noise.
    """
    return noisy(load_named("cifar10", CLASSES, limit), noise, noise_seed)
