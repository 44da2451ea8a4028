"""MNIST, the handwritten digits that every image classifier is tried on first."""

from cnnsearch import Dataset, dataset
from cnnsearch.arrays import load_named


@dataset
def mnist(*, limit=0) -> Dataset:
    """70,000 handwritten digits of 28x28 grey pixels; 10,000 of them are the test set."""
    return load_named("mnist", tuple("0123456789"), limit)
