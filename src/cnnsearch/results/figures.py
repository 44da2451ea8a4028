"""Figures of a model and its data: confusion matrix, mistakes, sample images."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

from cnnsearch.data.dataset import Images, Labels
from cnnsearch.data.pixel_values import Range, to_bytes

LARGEST = 40.0
"""The largest side of a confusion matrix in inches: with 1,000 classes a larger one would need many GiB of memory."""

NAMED = 200
"""The most classes whose names are beside a confusion matrix."""

SHOWN = 40
"""The most images on a sheet of samples or mistakes."""

CELL = 1.28
"""The height of an image with its label on a sheet; its width is 1."""


def confusion(y: Labels, probabilities: NDArray[Any], classes: Sequence[str], title: str) -> Figure:
    """The confusion matrix: true classes in rows, predicted classes in columns."""
    found = confusion_matrix(y, probabilities.argmax(1), labels=np.arange(len(classes)))
    side = min(LARGEST, max(4.0, 0.55 * len(classes) + 1.5))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    # with more than 25 classes the numbers do not fit into their squares
    display = ConfusionMatrixDisplay(found, display_labels=list(classes))
    display.plot(ax=axes, cmap="Blues", colorbar=False, include_values=len(classes) <= 25, xticks_rotation="vertical")
    axes.set(title=title, xlabel="predicted", ylabel="true")
    if len(classes) > NAMED:
        # their names would cover each other
        axes.set(xticks=[], yticks=[])
    return figure


def samples(x: Images, y: Labels, classes: Sequence[str], title: str, values: Range) -> Figure:
    """The first images of each class, SHOWN in total, with the names of their classes. `values`: the range of x."""
    first = np.concatenate([np.flatnonzero(y == label)[: -(-SHOWN // len(classes))] for label in range(len(classes))])
    chosen = np.sort(first)[:SHOWN]
    return sheet(to_bytes(x[chosen], values), [classes[label] for label in y[chosen]], title)


def mistakes(
    x: Images, y: Labels, probabilities: NDArray[Any], classes: Sequence[str], title: str, values: Range
) -> Figure:
    """The SHOWN most confident mistakes, each with its true class, predicted class and probability.

    `values` is the range of x.
    """
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(predicted != y)
    worst = wrong[np.argsort(-confidence[wrong])][:SHOWN]
    labels = [f"{classes[y[i]]} → {classes[predicted[i]]}\n{confidence[i]:.0%}" for i in worst]
    heading = f"{title}: {len(wrong):,} of {len(y):,} wrong, the most confident first"
    return sheet(to_bytes(x[worst], values), labels, heading)


def sheet(images: Images, labels: Sequence[str], title: str, columns: int = 10) -> Figure:
    """8-bit images in rows, each below its label. Of images with 2 or more than 4 channels the first is shown.

    All are drawn on the same axes: axes of their own would take seconds.
    """
    rows = max(1, -(-len(images) // columns))
    figure = Figure(figsize=(columns * 0.9, rows * 1.15 + 0.5), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    height, width = (0.85 * side / max(images.shape[1:3]) for side in images.shape[1:3])
    for place, (image, label) in enumerate(zip(images, labels, strict=True)):
        left, bottom = place % columns + (1 - width) / 2, (place // columns + 1) * CELL
        shown = image if image.shape[-1] in (3, 4) else image[..., 0]
        axes.imshow(
            shown, cmap="gray", vmin=0, vmax=255, extent=(left, left + width, bottom, bottom - height), aspect="equal"
        )
        axes.text(left + width / 2, bottom - height - 0.03, label, fontsize=7, ha="center", va="bottom")
    axes.set(xlim=(0, columns), ylim=(rows * CELL, 0))
    figure.suptitle(title)
    return figure


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120, format="png")
    return buffer.getvalue()
