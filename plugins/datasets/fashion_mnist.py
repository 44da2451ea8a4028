"""Fashion-MNIST: images of clothing, as small as MNIST and harder."""

from cnnsearch import Dataset, dataset
from cnnsearch.data.arrays import load_named, noisy

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
def fashion_mnist(*, limit=0, noise=0.0, noise_seed=0) -> Dataset:
    """70,000 pieces of clothing of 28x28 grey pixels; 10,000 of them are the test set.

    Args:
        limit: keep so many training images; 0 keeps all.
        noise: standard deviation of Gaussian noise on all images, as a fraction of the range of the pixels.
        noise_seed: the seed of the noise.
    """
    return noisy(load_named("fashion_mnist", CLASSES, limit), noise, noise_seed)
