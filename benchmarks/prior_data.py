"""Small datasets for benchmarks/learn_prior.py: parts of known ones, and images that a program draws.

Each dataset belongs to a family. Relatives share one: handwritten digits of 8x8 and 28x28 pixels are one family.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

VALIDATED = 500
"""Images that a training is validated on, and that nothing is trained on; digits have fewer."""


class Data(NamedTuple):
    """Images (n, height, width, channels) of whole numbers up to 255, with their labels; the last ones validate."""

    x: NDArray[Any]
    y: NDArray[Any]
    validated: int = VALIDATED


class Part(NamedTuple):
    """A dataset: its family, and the function that makes it."""

    family: str
    make: Callable[[], Data]


def chosen(name: str, count: int, classes: tuple[int, ...] = (), grey: bool = False) -> Callable[[], Data]:
    """A part of a dataset of CNNSEARCH_DATA, or of scikit-learn's digits: so many training images of these classes.

    Images of 28x28 pixels and more are halved, so that a training takes seconds.
    """

    def make() -> Data:
        x, y = source(name)
        keep = np.isin(y, classes) if classes else np.ones(len(y), bool)
        x, y = x[keep], y[keep]
        order = np.random.default_rng(len(name) + count).permutation(len(x))
        validated = min(VALIDATED, len(x) - count)
        x, y = x[order[: count + validated]], y[order[: count + validated]]
        if x.shape[1] >= 28:
            x = x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).mean((2, 4))
        if grey:
            x = x.mean(-1, keepdims=True)
        return Data(x.astype("uint8"), np.unique(y, return_inverse=True)[1], validated)

    return make


@functools.cache
def source(name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """All training images of a dataset, with their labels."""
    from cnnsearch.data.splits import split
    from cnnsearch.spaces import plugins
    from cnnsearch.spaces.space import Use
    from cnnsearch.training.dataset_loading import load_dataset

    parts = split(load_dataset(plugins.load(), Use(name, {})), 0, 0.05)
    x = np.asarray(parts.x, "float32")
    scale = 255 / 16 if name == "digits" else 1
    return (x if x.ndim == 4 else x[..., None]) * scale, np.asarray(parts.y)


def drawn(classes: int, count: int, side: int, colour: bool, draw: Callable[..., Any], seed: int) -> Callable[[], Data]:
    """Images that `draw(generator, class, side)` gives as values from 0 to 1, on a noisy ground; if `colour`, in two
    colours by chance."""

    def make() -> Data:
        generator = np.random.default_rng(seed)
        y = generator.integers(0, classes, count + VALIDATED)
        x = np.stack([finished(draw(generator, int(label), side), colour, generator) for label in y])
        return Data(x, y)

    return make


def finished(mask: NDArray[Any], colour: bool, generator: np.random.Generator) -> NDArray[Any]:
    """A mask of values from 0 to 1 in two colours or greys, with noise."""
    channels = 3 if colour else 1
    ground, ink = generator.uniform(0, 255, (2, channels))
    while abs(ground - ink).max() < 60:
        ground, ink = generator.uniform(0, 255, (2, channels))
    image = ground + mask[..., None] * (ink - ground) + generator.normal(0, 12, (*mask.shape, channels))
    return np.clip(image, 0, 255).astype("uint8")


def glyph(letters: str) -> Callable[..., NDArray[Any]]:
    """Letters in the fonts that matplotlib brings, at any place, size and angle."""
    from pathlib import Path

    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = sorted(str(path) for path in folder.glob("DejaVuS*.ttf") if "Display" not in path.name)
    font = functools.cache(ImageFont.truetype)

    def draw(generator: np.random.Generator, label: int, side: int) -> NDArray[Any]:
        image = Image.new("L", (4 * side, 4 * side))
        used = font(fonts[generator.integers(len(fonts))], int(generator.uniform(2.0, 3.2) * side))
        place = tuple(generator.uniform(1.7, 2.3, 2) * side)
        ImageDraw.Draw(image).text(place, letters[label], 255, used, anchor="mm")
        image = image.rotate(generator.uniform(-25, 25)).resize((side, side), Image.Resampling.BOX)
        return np.asarray(image, "float32") / 255

    return draw


def shape(generator: np.random.Generator, label: int, side: int) -> NDArray[Any]:
    """A disc, ring, square, frame, triangle, star, cross or bar, at any place, size and angle."""
    across, down = np.meshgrid(np.arange(side), np.arange(side))
    middle, size = generator.uniform(0.38, 0.62, 2) * side, generator.uniform(0.25, 0.4) * side
    turn = generator.uniform(0, 2 * np.pi)
    a, b = (across - middle[0]) / size, (down - middle[1]) / size
    u, v = a * np.cos(turn) + b * np.sin(turn), b * np.cos(turn) - a * np.sin(turn)
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    edge = np.maximum(abs(u), abs(v))
    inside = (
        radius < 1,
        abs(radius - 0.8) < 0.25,
        edge < 0.85,
        abs(edge - 0.75) < 0.2,
        radius * np.cos((angle + np.pi / 3) % (2 * np.pi / 3) - np.pi / 3) < 0.55,
        radius < 0.6 + 0.4 * np.cos(5 * angle),
        (np.minimum(abs(u), abs(v)) < 0.28) & (edge < 1),
        (abs(v) < 0.3) & (abs(u) < 1.1),
    )[label]
    return inside.astype("float32")


def texture(generator: np.random.Generator, label: int, side: int) -> NDArray[Any]:
    """Stripes of two widths, checks, dots, rings, smooth clouds, rough clouds or a plaid."""
    across, down = np.meshgrid(np.arange(side), np.arange(side))
    turn, phase = generator.uniform(0, np.pi), generator.uniform(0, 6, 2)
    u, v = (
        across * np.cos(turn) + down * np.sin(turn) + phase[0],
        down * np.cos(turn) - across * np.sin(turn) + phase[1],
    )
    step = generator.uniform(0.8, 1.1)
    if label in (5, 6):
        waves = np.fft.fft2(generator.normal(size=(side, side)))
        far = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side))) + 1 / side
        cloud = np.fft.ifft2(waves / far ** (1.8 if label == 5 else 0.8)).real
        return (0.5 + 0.25 * (cloud - cloud.mean()) / cloud.std()).clip(0, 1)
    waves = (
        np.sin(u * step),
        np.sin(u * step * 0.6),
        np.sign(np.sin(u * step * 0.8) * np.sin(v * step * 0.8)),
        np.where(np.sin(u * step) + np.sin(v * step) > 1, 1, -1),
        np.sin(np.hypot(across - side * phase[0] / 6, down - side * phase[1] / 6) * step),
        None,
        None,
        (np.sin(u * step) + np.sin(v * step)) / 2,
    )[label]
    return (waves + 1) / 2


UPPER, LOWER = "AEGHKMPRSX", "abdefghknqrt"

DATASETS = {
    "digits": Part("handwriting", chosen("digits", 1000)),
    "digits_300": Part("handwriting", chosen("digits", 300)),
    "mnist_1500": Part("handwriting", chosen("mnist", 1500)),
    "mnist_odd": Part("handwriting", chosen("mnist", 600, (1, 3, 5, 7, 9))),
    "cifar_2000": Part("cifar", chosen("cifar10", 2000)),
    "cifar_animals": Part("cifar", chosen("cifar10", 800, (2, 3, 5, 7))),
    "cifar_grey": Part("cifar", chosen("cifar10", 1200, (0, 1, 8, 9), grey=True)),
    "glyphs": Part("glyphs", drawn(10, 1500, 16, False, glyph(UPPER), 1)),
    "glyphs_colour": Part("glyphs", drawn(12, 1000, 16, True, glyph(LOWER), 2)),
    "shapes": Part("shapes", drawn(8, 1500, 16, True, shape, 3)),
    "shapes_grey": Part("shapes", drawn(8, 600, 16, False, shape, 4)),
    "textures": Part("textures", drawn(8, 1200, 16, False, texture, 5)),
    "textures_colour": Part("textures", drawn(8, 500, 16, True, texture, 6)),
}
"""The datasets by name."""


def family(name: str) -> str:
    """The family of a dataset."""
    return DATASETS[name].family
