"""CIFAR-10, small colour photographs of animals and vehicles."""

from cnnsearch import Dataset, dataset
from cnnsearch.arrays import load_named

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataset
def cifar10(*, limit=0) -> Dataset:
    """60,000 colour photographs of 32x32 pixels; 10,000 of them are the test set."""
    return load_named("cifar10", CLASSES, limit)
