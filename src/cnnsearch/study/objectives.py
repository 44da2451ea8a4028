"""The objectives of a search: one metric, or a metric and costs."""

from cnnsearch.core.errors import CnnsearchError, nearest
from cnnsearch.study.trial import COSTS


def parsed(text: str) -> tuple[str, tuple[str, ...]]:
    """The metric and the costs of a text such as `val_accuracy,params`.

    Raises:
        CnnsearchError: if the text is not a metric followed by different costs.
    """
    metric, *costs = (part.strip() for part in text.split(","))
    if metric in COSTS:
        raise CnnsearchError(f"--objective {text}: expected a metric first, such as val_accuracy,{metric}.")
    for cost in costs:
        if cost not in COSTS:
            raise CnnsearchError(
                f"--objective {text}: '{cost}' is not a cost.{nearest(cost, COSTS)} "
                f"Expected a metric, then any of {', '.join(COSTS)}."
            )
    if not metric or len(set(costs)) < len(costs):
        raise CnnsearchError(f"--objective {text}: expected a metric and different costs, such as val_accuracy,params.")
    return metric, tuple(costs)


def asked(text: str | None, metric: str | None, pruner: str | None, model: bool) -> tuple[str | None, tuple[str, ...]]:
    """The metric and the costs of `--objective` and `--metric`; `model`: whether the space has a model.

    Raises:
        CnnsearchError: if the options, the pruner or the space contradict each other.
    """
    if not text:
        return metric, ()
    first, costs = parsed(text)
    if metric not in (None, first):
        raise CnnsearchError(f"--metric {metric} and --objective {text} name two metrics; leave one out.")
    if model and "macs" in costs:
        raise CnnsearchError(f"--objective {text}: the multiply-adds of a model space are not known; use params.")
    if costs and pruner in ALONE:
        raise CnnsearchError(f"--pruner {pruner} works with only one objective; with {text} use median or percentile.")
    return first, costs


ALONE = ("halving", "hyperband")
"""Pruners that do not work with several objectives: they store their rungs in a way that Optuna refuses there."""
