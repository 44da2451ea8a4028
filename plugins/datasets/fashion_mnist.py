"""Fashion-MNIST, as small as MNIST and harder."""

from cnnsearch import Dataset, dataset
from cnnsearch.arrays import load_named

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataset
def fashion_mnist(*, limit=0) -> Dataset:
    """70,000 pieces of clothing of 28x28 grey pixels; 10,000 of them are the test set."""
    return load_named("fashion_mnist", CLASSES, limit)
