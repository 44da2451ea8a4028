"""Metrics of all validation images at once, with the definitions of scikit-learn, and their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from cnnsearch.core.errors import CnnsearchError, DataError, nearest

# NumPy is imported where it is used: the commands start without it
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Measures = Callable[["NDArray[Any]"], dict[str, float]]
"""Computes metrics by name, such as `val_auc`, from probabilities (n, classes) of the validation images."""

TOP = 5


def balanced_accuracy(y: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """The mean of the recalls of the classes that occur in `y`: `balanced_accuracy_score`."""
    import numpy as np

    found = _confusion(y, probabilities)
    counts = found.sum(1)
    return float((np.diag(found)[counts > 0] / counts[counts > 0]).mean())


def f1_macro(y: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """The mean of the F1 scores of the classes that occur in `y` or in the predictions: `f1_score(average="macro")`."""
    import numpy as np

    found = _confusion(y, probabilities)
    # true positives twice, false positives and false negatives
    weighed = found.sum(0) + found.sum(1)
    return float((2 * np.diag(found)[weighed > 0] / weighed[weighed > 0]).mean())


def auc(y: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """The area under the ROC curve: `roc_auc_score(multi_class="ovr")`.

    For two classes it is that of class 1, else the mean of each class against all others. Classes that do not occur
    in `y` are left out. It is NaN if fewer than two classes occur.
    """
    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    areas = [_area(y == label, probabilities[:, label]) for label in classes]
    known = [area for area in areas if not math.isnan(area)]
    return sum(known) / len(known) if known else math.nan


def top5_accuracy(y: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """The share of images whose class is among the five most probable: `top_k_accuracy_score(k=5)`."""
    import numpy as np

    own = np.take_along_axis(probabilities, y[:, None], 1)
    # scikit-learn puts the later one of two equally probable classes first
    later = np.arange(probabilities.shape[1]) > y[:, None]
    before = (probabilities > own) | ((probabilities == own) & later)
    return float((before.sum(1) < TOP).mean())


COMPUTED = {
    "val_auc": auc,
    "val_f1_macro": f1_macro,
    "val_balanced_accuracy": balanced_accuracy,
    "val_top5_accuracy": top5_accuracy,
}
"""Metrics that take extra time, so they are computed only in a search for one of them; then all are computed."""

OF_PLANS = ("val_accuracy", "val_loss", *COMPUTED)
"""The metrics that every space of dimensions can be searched for."""

ALSO_REPORTED = ("accuracy", "loss")
"""Metrics of the training images, which candidates report too."""

DISPLAY_NAMES = {
    "auc": "AUC",
    "f1_macro": "macro F1",
    "balanced_accuracy": "balanced accuracy",
    "top5_accuracy": "top-5 accuracy",
}


def display_name(metric: str) -> str:
    """A metric's name for readers: `val_f1_macro` is `validation macro F1`."""
    part, _, name = metric.rpartition("val_")
    name = DISPLAY_NAMES.get(name, name.replace("_", " "))
    return f"validation {name}" if metric.startswith("val_") and not part else metric.replace("_", " ")


def is_share(metric: str) -> bool:
    """Whether a metric is shown as a percentage."""
    return "accuracy" in metric


def measures(metric: str, y: NDArray[Any]) -> Measures | None:
    """A function that computes the metrics of COMPUTED; None if `metric` is not one of them.

    Args:
        metric: the metric of the search.
        y: the validation labels, as codes (n,).
    """
    if metric not in COMPUTED:
        return None
    return lambda probabilities: measured(y, probabilities)


def measured(y: NDArray[Any], probabilities: NDArray[Any]) -> dict[str, float]:
    """The metrics of COMPUTED that are defined for these labels (n,) and probabilities (n, classes)."""
    import numpy as np

    answers: NDArray[Any] = np.asarray(probabilities, "float32")
    found = {
        name: compute(y, answers)
        for name, compute in COMPUTED.items()
        if name != "val_top5_accuracy" or answers.shape[1] > TOP
    }
    # there is no AUC of a single class, which is not the candidate's fault
    return {name: value for name, value in found.items() if not math.isnan(value)}


def check(metric: str) -> None:
    """Check that candidates of dimensions report a metric.

    Raises:
        CnnsearchError: if they do not; it names the nearest one.
    """
    known = (*OF_PLANS, *ALSO_REPORTED)
    if metric in known:
        return
    # by its letters `val_f1` is nearer to `val_auc`
    bare = metric.removeprefix("val_")
    longer = [name for name in OF_PLANS if bare and bare in name]
    meant = f" Did you mean '{longer[0]}'?" if longer else nearest(metric, known)
    raise CnnsearchError(
        f"There is no metric '{metric}'.{meant} A space of dimensions has the metrics {', '.join(OF_PLANS)}."
    )


def check_labels(metric: str, y: NDArray[Any], classes: Sequence[str]) -> None:
    """Check that a metric is defined for the validation labels (n,).

    Raises:
        DataError: if every candidate would get the same value, or none.
    """
    import numpy as np

    if metric == "val_top5_accuracy" and len(classes) <= TOP:
        raise DataError(
            f"val_top5_accuracy is 1 for every candidate where there are {len(classes)} classes. "
            "Search for val_accuracy or val_balanced_accuracy instead."
        )
    present = np.unique(y)
    if metric == "val_auc" and len(present) < 2:
        raise DataError(
            f"val_auc needs two classes among the validation images, and all of them are of class "
            f"'{classes[present[0]]}'. Search for val_accuracy instead, or give other validation images."
        )


def class_weights(y: NDArray[Any], classes: int) -> NDArray[np.float32]:
    """The weight of each image (n,): n / (k * images of its class), if k classes occur in `y`.

    It is `sklearn.utils.class_weight.compute_sample_weight("balanced", y)`: each class has the same total weight, and
    the mean weight is 1.
    """
    import numpy as np

    counts = np.bincount(y, minlength=classes)
    weights = len(y) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    by_image: NDArray[np.float32] = weights[y].astype("float32")
    return by_image


def _confusion(y: NDArray[Any], probabilities: NDArray[Any]) -> NDArray[Any]:
    """The confusion matrix: true classes in rows, predicted classes in columns."""
    import numpy as np

    classes = probabilities.shape[1]
    pairs = y * classes + probabilities.argmax(1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _area(positive: NDArray[Any], scores: NDArray[Any]) -> float:
    """The share of pairs of a positive and a negative in which the positive has the higher score.

    Pairs with equal scores count half (Hanley and McNeil 1982).
    """
    import numpy as np

    negatives, positives = np.count_nonzero(~positive), np.count_nonzero(positive)
    if not (negatives and positives):
        return math.nan
    least = positives * (positives + 1) / 2
    return float((mean_ranks(scores)[positive].sum() - least) / (negatives * positives))


def mean_ranks(scores: Any) -> NDArray[Any]:
    """The rank of each score, from 1, (n,); equal scores share the mean of their ranks.

    scipy has this function, but takes about a second to import.
    """
    import numpy as np

    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    means: NDArray[Any] = counts.cumsum() - (counts - 1) / 2
    return means[places]
