"""The names of metrics as models report them, and which of them a search goes by."""

import re
from collections.abc import Collection, Iterable

from cnnsearch.core.errors import nearest

RETURNED = "default_objective"
"""The one number that a `fit` of an author's own gives back, by KerasTuner's name; it is made small."""

ACCURACIES = ("acc", "accuracy")


def unknown(metric: str, reported: Iterable[str]) -> str:
    """That there is no such metric, and which there are."""
    names = sorted(reported)
    return (
        f"There is no metric '{metric}'.{nearest(metric, names)} Candidates report {', '.join(names) or 'none'}. "
        "Set it with --metric."
    )


def matching(asked: str, reported: Collection[str]) -> str | None:
    """The reported metric that `asked` names, whatever number it was given; None if there is none.

    Where several are told apart by their numbers, only the right number will do.
    """
    if asked in reported:
        return asked
    bare = re.sub(r"_\d+$", "", asked)
    several = any(re.fullmatch(rf"{re.escape(bare)}_\d+", name) for name in reported)
    return bare if bare in reported and not several else None


def chosen(reported: Collection[str]) -> tuple[str, str]:
    """The metric that a search goes by where none was named, and a line that says so where it is not val_accuracy."""
    if RETURNED in reported:
        return RETURNED, f"The fit of this HyperModel gives back one number: it is minimised ({RETURNED})."
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
    return metric, f"The objective is {metric}: {why}. --metric names another."
