"""What other studies teach: points that were good there, and weights of single values. Both are read from JSON."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cnnsearch.core.errors import CnnsearchError
from cnnsearch.spaces.distributions import Distribution, Value
from cnnsearch.spaces.hyperparameters import Draw
from cnnsearch.spaces.plugins import shipped_folder

ORIGIN = "prior "
"""The origin of a trial whose point came from a prior is this and the name of the prior."""

MATCH = 2 / 3
"""A shipped prior is used if it and the space share at least this part of their dimensions."""

Weights = Mapping[str, tuple[tuple[Value, float], ...]]
"""By the full name of a hyperparameter, values that were good, each with its weight."""


class PriorPoint(NamedTuple):
    """A point that was good in other studies. `source` is the name of its prior."""

    source: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Prior:
    """A portfolio of points, and weights for the sampler. Without both it changes nothing.

    Portfolios are known from auto-sklearn 2 (Feurer et al. 2022) and from the zero-shot search of Syne Tune (Wistuba
    et al. 2015, Salinas et al. 2022): points that together cover many datasets are tried before anything else.

    Attributes:
        points: the portfolio; the first points are trained first.
        weights: values that were good in other studies.
    """

    points: tuple[PriorPoint, ...] = ()
    weights: Weights = field(default_factory=dict)

    @property
    def sources(self) -> list[str]:
        """The names of the priors that its points came from."""
        return list(dict.fromkeys(point.source for point in self.points))

    @property
    def dimensions(self) -> set[str]:
        """The names of the dimensions that it knows."""
        names = {name for point in self.points for name in point.values} | set(self.weights)
        return {name.partition("/")[0] for name in names}

    def plus(self, other: "Prior", most: int) -> "Prior":
        """This prior and another, with at most so many points. Weights of both count alike."""
        names = dict.fromkeys([*self.weights, *other.weights])
        weights = {name: (*self.weights.get(name, ()), *other.weights.get(name, ())) for name in names}
        return Prior((*self.points, *other.points)[:most], weights)


def from_file(path: Path) -> Prior:
    """The prior in a JSON file: `points`, a list of dicts, and `weights`, a list of `[value, weight]` for each name.

    Raises:
        CnnsearchError: if the file cannot be read or is no prior.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CnnsearchError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CnnsearchError(f"{path} is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise CnnsearchError(f"{path} is no prior: expected a dict with the keys points and weights.")
    points, weights = found.get("points", []), found.get("weights", {})
    if not isinstance(points, list) or not all(isinstance(each, dict) and each for each in points):
        raise CnnsearchError(f"{path} is no prior: points is a list of dicts such as {{'filters/first': 16}}.")
    if not isinstance(weights, dict) or not all(_is_weighted(each) for each in weights.values()):
        raise CnnsearchError(f"{path} is no prior: weights has a list such as [[16, 0.7], [32, 0.3]] for each name.")
    if not points and not weights:
        raise CnnsearchError(f"{path} is no prior: it has neither points nor weights.")
    pairs = {name: tuple((value, float(weight)) for value, weight in each) for name, each in weights.items()}
    return Prior(tuple(PriorPoint(path.stem, point) for point in points), pairs)


def _is_weighted(given: Any) -> bool:
    """Whether it is a list of pairs of a value and a weight that is not negative."""
    return isinstance(given, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and isinstance(pair[0], Value)
        and isinstance(pair[1], int | float)
        and pair[1] >= 0
        for pair in given
    )


def shipped(dimensions: Iterable[str]) -> Prior:
    """The shipped prior that shares most dimensions with a space; an empty one if each shares less than MATCH."""
    wanted, best, most = set(dimensions), Prior(), 0.0
    for path in sorted((shipped_folder() / "search_spaces" / "priors").glob("*.json")):
        found = from_file(path)
        # of both: a space with few dimensions, all of them known, may be for quite other networks
        share = len(wanted & found.dimensions) / max(1, len(wanted), len(found.dimensions))
        if share >= MATCH and share > most:
            best, most = found, share
    return best


def replay_projected(values: Mapping[str, Any]) -> Draw:
    """A Draw that gives the nearest values that a space has; the default of a name that has no such value."""

    def draw(name: str, distribution: Distribution) -> Value:
        found = projected(values[name], distribution) if name in values else None
        return distribution.default if found is None else found

    return draw


def projected(value: Any, distribution: Distribution) -> Value:
    """The value of `distribution` that is nearest to `value`, which another space had; None if there is none.

    Numbers out of range become the least or the greatest value. Of numeric choices the nearest one is taken. Texts
    and truth values must be among the choices.
    """
    if distribution.contains(value):
        return value  # type: ignore[no-any-return]
    if not _is_number(value):
        return None
    if distribution.kind == "choice":
        numbers = [choice for choice in distribution.choices if _is_number(choice)]
        return min(numbers, key=lambda choice: _distance(choice, value), default=None)
    found = min(max(value, distribution.low), distribution.high)
    if distribution.step:
        steps = round((found - distribution.low) / distribution.step)
        # rounding may give more than the highest step, or a little more than the greatest value
        steps = min(steps, math.floor((distribution.high - distribution.low) / distribution.step + 1e-9))
        found = min(distribution.low + steps * distribution.step, distribution.high)
    return round(found) if distribution.kind == "int" else float(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _distance(choice: Any, value: Any) -> float:
    """How far two numbers are apart: by their ratio if both are positive."""
    return abs(math.log(choice / value)) if choice > 0 and value > 0 else float(abs(choice - value))
