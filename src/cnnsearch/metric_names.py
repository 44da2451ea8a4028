"""The names of metrics as models report them, and which of them a search goes by."""

import re
from collections.abc import Collection, Iterable
from typing import Any

from cnnsearch.errors import nearest

RETURNED = "default_objective"
"""The one number that a `fit` of an author's own gives back, by KerasTuner's name; it is made small."""

ACCURACIES = ("acc", "accuracy")


def numbered(model: Any) -> frozenset[str]:
    """Names that Keras numbers within a process (`auc`, `auc_1`, …): those of the classes of metrics."""
    import keras

    classes = {type(metric) for metric in _flat(getattr(model, "metrics", ()))}
    classes |= {kind for kind in vars(keras.metrics).values() if isinstance(kind, type)}
    return frozenset(_snake(kind.__name__) for kind in classes)


def plain(metrics: dict[str, float], known: Collection[str]) -> dict[str, float]:
    """`metrics` with the numbers of a new model: `val_auc_7` is `val_auc`, and `val_auc_8` beside it `val_auc_1`."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name in metrics:
        base, number = _parted(name, known)
        found.setdefault(base, []).append((number, name))
    renamed = {}
    for base, names in found.items():
        for place, (_, name) in enumerate(sorted(names)):
            renamed[name] = f"{base}_{place}" if place else base
    return {renamed[name]: value for name, value in metrics.items()}


def _parted(name: str, known: Collection[str]) -> tuple[str, int]:
    """`val_auc_7` as `val_auc` and 7; a name that Keras did not number, with 0."""
    match = re.fullmatch(r"((?:val_)?(.+?))_(\d+)", name)
    if match and any(match[2] == one or match[2].endswith(f"_{one}") for one in known):
        return match[1], int(match[3])
    return name, 0


def _flat(metrics: Any) -> Iterable[Any]:
    for metric in metrics:
        yield metric
        yield from _flat(getattr(metric, "metrics", ()) or ())


def _snake(name: str) -> str:
    """`SparseTopK` as `sparse_top_k`, as Keras names its objects."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


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
