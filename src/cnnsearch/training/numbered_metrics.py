"""Removes the numbers that Keras adds to names of metrics within a process."""

import re
import sys
from collections.abc import Collection, Iterable
from typing import Any

from cnnsearch.training.lazy_keras import is_loaded


def numbered(model: Any) -> frozenset[str]:
    """The names that Keras numbers within a process (`auc`, `auc_1`, …): those of the classes of metrics."""
    if not is_loaded():
        return frozenset()
    classes = {type(metric) for metric in _flat(getattr(model, "metrics", ()))}
    classes |= {kind for kind in vars(sys.modules["keras"].metrics).values() if isinstance(kind, type)}
    return frozenset(_snake(kind.__name__) for kind in classes)


def plain(metrics: dict[str, float], known: Collection[str], asked: str = "") -> dict[str, float]:
    """`metrics` with the numbers of a first model: `val_auc_7` becomes `val_auc`, `val_auc_8` becomes `val_auc_1`.

    If the metric `asked` for is among them, such as `val_recall_1`, its author may have numbered it. All metrics of its
    kind then keep their names.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for name in metrics:
        base, number = _parted(name, known)
        found.setdefault(base, []).append((number, name))
    own = _parted(asked, known)[0].removeprefix("val_") if asked in metrics and _parted(asked, known)[1] else ""
    renamed: dict[str, str] = {}
    for base, names in found.items():
        in_order = [name for _, name in sorted(names)]
        kept = base.removeprefix("val_") == own
        new = in_order if kept else [base, *(f"{base}_{place}" for place in range(1, len(in_order)))]
        renamed |= dict(zip(in_order, new, strict=True))
    return {renamed[name]: value for name, value in metrics.items()}


def _parted(name: str, known: Collection[str]) -> tuple[str, int]:
    """`val_auc_7` as `val_auc` and 7. The number is 0 for a name that Keras did not number."""
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
