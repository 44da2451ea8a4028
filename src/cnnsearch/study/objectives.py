"""The objectives of a search: one metric, a metric and costs, or the values that an Optuna objective returns."""

from typing import Any, NamedTuple

from cnnsearch.core.errors import CnnsearchError, nearest
from cnnsearch.core.metric_names import OBJECTIVE
from cnnsearch.spaces.definition import Space
from cnnsearch.study.config import maximize
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


class Values(NamedTuple):
    """The values of a search.

    Attributes:
        metric: the name of the first one; None: the space's.
        direction: "maximize" or "minimize"; empty: what the metric's name says.
        more: name and direction of each further value that an Optuna objective returns.
    """

    metric: str | None = None
    direction: str = ""
    more: tuple[tuple[str, str], ...] = ()


def values(names: tuple[str, ...], directions: tuple[str, ...], space: Space) -> Values:
    """The values of the options `--metric` and `--direction`.

    Raises:
        CnnsearchError: if the options contradict each other, or the space has only one value.
    """
    if not space.trains_itself:
        if directions and not (names and (space.model or space.trainer)):
            raise CnnsearchError(
                "--direction is for Optuna objectives, and for a metric of your own model that --metric names. The "
                "direction of other metrics is known."
            )
        if len(names) > 1 or len(directions) > 1:
            raise CnnsearchError(
                f"{_repeated(names)}: only an Optuna objective returns several values. For a metric and costs together "
                "use --objective, such as --objective val_accuracy,params."
            )
    if max(len(names), len(directions)) < 2:
        return Values(names[0] if names else None, directions[0] if directions else "")
    if names and directions and len(names) != len(directions):
        raise CnnsearchError(
            f"The number of --metric is {len(names)}, and that of --direction {len(directions)}. Give both once for "
            "each value of the objective, in the order in which it returns them."
        )
    known = names or tuple(f"{OBJECTIVE}_{place}" for place in range(len(directions)))
    if len(set(known)) < len(known):
        raise CnnsearchError(f"{_repeated(names)}: each value of the objective needs a name of its own.")
    found = directions or tuple("maximize" if maximize(name) else "minimize" for name in known)
    return Values(known[0], found[0], tuple(zip(known[1:], found[1:], strict=True)))


def _repeated(names: tuple[str, ...]) -> str:
    return " ".join(f"--metric {name}" for name in names)


def check_several(given: dict[str, Any]) -> None:
    """Refuse options that have no meaning for an objective of several values.

    Raises:
        CnnsearchError: it names the option.
    """
    why = {
        "objective": "costs are values of the objective itself: it returns them",
        "pruner": "a pruner compares reports, which Optuna refuses for several values",
        "scheduler": "a scheduler compares reports, which Optuna refuses for several values",
        "confirm": "a mean over new seeds is there for one value only",
    }
    for name, reason in why.items():
        if given[name] not in (None, "auto", "none", "0"):
            raise CnnsearchError(f"--{name} {given[name]} does not work with several values: {reason}. Leave it out.")


def check_sampler(sampler: str, several: bool) -> None:
    """Refuse a sampler that has one objective only; `several`: whether the search has costs or several values.

    Raises:
        CnnsearchError: if it has.
    """
    if several and sampler == "cmaes":
        raise CnnsearchError("--sampler cmaes works with only one objective. Use tpe, gp, random or qmc.")


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
