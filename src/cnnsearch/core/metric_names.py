"""The names of metrics that models report, and the choice of the metric of a search."""

import re
from collections.abc import Collection, Iterable

from cnnsearch.core.errors import nearest

RETURNED = "default_objective"
"""KerasTuner's name for the number that an author's own `fit` returns; it is minimised."""

OBJECTIVE = "value"
"""The name of what an Optuna objective returns, if the user names none; it is minimised, as in Optuna."""

ACCURACIES = ("acc", "accuracy")

SHARES_RIGHT = (
    *("val_accuracy", "val_acc", "val_binary_accuracy"),
    *("val_categorical_accuracy", "val_sparse_categorical_accuracy"),
)
"""Metrics that are the share of the validation images that are classified right."""


def unknown_metric(metric: str, reported: Iterable[str]) -> str:
    """The message that there is no such metric, with the metrics that are reported."""
    names = sorted(reported)
    return (
        f"There is no metric '{metric}'.{nearest(metric, names)} Candidates report {', '.join(names) or 'none'}. "
        "Set it with --metric."
    )


def matching_metric(asked: str, reported: Collection[str]) -> str | None:
    """The reported metric that `asked` names, with or without Keras' number (`auc_1`); None if there is none.

    If several reported metrics differ only in their number, the number must match.
    """
    if asked in reported:
        return asked
    bare = re.sub(r"_\d+$", "", asked)
    several = any(re.fullmatch(rf"{re.escape(bare)}_\d+", name) for name in reported)
    return bare if bare in reported and not several else None


def choose_metric(reported: Collection[str]) -> tuple[str, str]:
    """The metric of a search whose user named none, and a line for the user unless it is val_accuracy."""
    if RETURNED in reported:
        return RETURNED, f"The fit of this HyperModel returns one number. The search minimises it ({RETURNED})."
    if "val_accuracy" in reported:
        return "val_accuracy", ""
    validated = [name for name in reported if name.startswith("val_") and name != "val_loss"]
    alike = [name for name in validated if name.split("_")[-1] in ACCURACIES and "top" not in name]
    only = alike if alike else validated
    if len(only) == 1:
        metric, why = only[0], "the models report no val_accuracy"
    elif "val_loss" in reported:
        metric = "val_loss"
        why = "the models report no val_accuracy" + (f" but {', '.join(only)}" if only else " and no other metric")
    else:
        left = [name for name in reported if name not in ("loss", "learning_rate")] or list(reported)
        metric, why = left[0], "the models report no val_accuracy and no val_loss"
    return metric, f"The objective is {metric}: {why}. Choose another with --metric."
