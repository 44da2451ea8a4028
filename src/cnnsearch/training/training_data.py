"""The data that a candidate is trained on: training and validation images with labels in the form of its loss."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cnnsearch.core.metrics import class_weights
from cnnsearch.data.dataset import Images
from cnnsearch.data.splits import Split
from cnnsearch.training import label_forms
from cnnsearch.training.candidate import Candidate
from cnnsearch.training.copies import MOST


class TrainingData(NamedTuple):
    """What a trainer may see: training and validation images, never test images.

    Attributes:
        y: labels in one of `label_forms.FORMS`; so are those of `y_val`.
        x_clean: `x` without its noise, for datasets that know it.
        weights: float32 (n,), how much each training image counts in the loss; None if all count alike.
    """

    x: Images
    y: Any
    x_val: Images
    y_val: Any
    batch_size: int
    x_clean: Images | None = None
    weights: NDArray[np.float32] | None = None


def for_candidate(candidate: Candidate, split: Split, classes: int) -> TrainingData:
    """Training and validation images with labels as `candidate`'s loss takes them, and the weights of its plan."""
    weights = class_weights(split.y, classes) if candidate.class_weight == "balanced" else None
    columns = candidate.units or classes
    y, y_val = (label_forms.encoded(labels, candidate.labels, columns) for labels in (split.y, split.y_val))
    return TrainingData(split.x, y, split.x_val, y_val, candidate.batch_size, split.x_clean, weights)


def subset(split: Split, share: float, seed: int) -> Split:
    """`split` with only a share of the training images, at most MOST bytes. It is the same for every candidate."""
    count = max(1, min(round(share * len(split.x)), MOST // max(1, split.x[:1].nbytes)))
    rows = np.sort(np.random.default_rng(seed).permutation(len(split.x))[:count])
    clean = None if split.x_clean is None else split.x_clean[rows]
    return replace(split, x=split.x[rows], y=split.y[rows], x_clean=clean)
