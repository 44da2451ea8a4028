"""Our distributions as Optuna's, and Optuna's as ours."""

from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from cnnsearch.spaces.distributions import Distribution


def to_optuna(ours: Distribution) -> BaseDistribution:
    """Optuna's distribution with the same values; a choice's values may be of any kind.

    Raises:
        ValueError: if Optuna has no such distribution.
    """
    known: Any = ours
    if ours.kind == "choice":
        return CategoricalDistribution(known.choices)
    if ours.kind == "int":
        step = 1 if ours.log else int(ours.step or 1)
        return IntDistribution(int(ours.low), int(ours.high), log=ours.log, step=step)
    return FloatDistribution(ours.low, ours.high, log=ours.log, step=ours.step)


def from_optuna(theirs: BaseDistribution) -> Distribution:
    """Our distribution with the same values. Optuna has no default: it is the first choice or the least number."""
    if isinstance(theirs, CategoricalDistribution):
        return Distribution("choice", theirs.choices[0], tuple(theirs.choices))
    known: Any = theirs
    kind = "int" if isinstance(theirs, IntDistribution) else "float"
    step = None if known.log else known.step
    return Distribution(kind, known.low, low=known.low, high=known.high, step=step, log=known.log)
