"""What a search is for: a metric alone, or a metric and costs at once; and pruning that works for both."""

from cnnsearch.core.errors import CnnsearchError, nearest
from cnnsearch.study.trial import COSTS


def parsed(text: str) -> tuple[str, tuple[str, ...]]:
    """`val_accuracy,params` as the metric and the costs.

    Raises:
        CnnsearchError: if what follows the metric is no cost.
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
    """The metric and the costs that `--objective` and `--metric` ask for together; `model`: of a space with a model.

    Raises:
        CnnsearchError: if they, the pruner or the space do not go together.
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
"""Pruners that keep their rungs in Optuna's trials, which they cannot read in a study with several objectives."""
