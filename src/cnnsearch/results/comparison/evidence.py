"""What each choice of a study was worth: its mean difference from a reference, from matched pairs or from a model."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from cnnsearch.core.errors import StudyError, nearest
from cnnsearch.results.comparison import effects
from cnnsearch.results.comparison.effects import Array, Effect
from cnnsearch.results.comparison.levels import Levels, levels, scaled, seen
from cnnsearch.results.comparison.points import Points, Values
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.study.study import Study

MIN_PAIRS = 5
"""So many independent matched pairs are preferred to the model."""

MIN_TRIALS, MIN_SIDE = 15, 3
"""The model needs so many trials, and so many with each value. Its intervals hold from there on (tested)."""

FAR = 3.0
"""A score so many interquartile ranges below the lower quartile is far out (Tukey, Exploratory Data Analysis, 1977)."""

MATCHED, MODELLED, CONTROLLED = "matched pairs", "modelled", "controlled pairs"


class Case(NamedTuple):
    """A complete trial as evidence: its score and its choices, written as simply as its plan allows."""

    number: int
    score: float
    values: Values


@dataclass(frozen=True)
class Evidence:
    """What a study's complete trials tell. `space` has the distribution of each choice, `default` the default point.

    `far` are left out: trainings that went wrong, such as one of 83% among many of 99%, would drown all else.
    """

    cases: tuple[Case, ...]
    space: dict[str, Distribution]
    default: Values
    far: tuple[Case, ...] = ()

    def levels(self, name: str) -> Levels:
        """What is compared of one hyperparameter."""
        return levels(self.space[name])

    def sides(self, name: str) -> dict[str, list[Case]]:
        """The cases that chose `name`, by level."""
        known = self.levels(name)
        found: dict[str, list[Case]] = {level.label: [] for level in known.levels}
        for case in self.cases:
            if name in case.values:
                found.setdefault(known.of(case.values[name]), []).append(case)
        return found

    def reference(self, name: str, least: int = 0) -> str:
        """The default's level, or the most frequent where the default has none, or fewer than `least` trials."""
        counts = Counter({label: len(cases) for label, cases in self.sides(name).items()})
        label = self.levels(name).of(self.default[name]) if name in self.default else None
        return label if label is not None and counts[label] >= least else counts.most_common(1)[0][0]


class Comparison(NamedTuple):
    """One value against the reference value of its hyperparameter."""

    name: str
    value: str
    against: str
    effect: Effect
    how: str


def evidence(study: Study, points: Points) -> Evidence:
    """What the complete trials of a study tell.

    Pruned trials are left out: their scores are from fewer epochs. So are failed ones, which have none.
    """
    cases = [
        Case(record.number, record.score, points.simplest(record))
        for record in study.records()
        if record.state == "complete" and record.score is not None
    ]
    far = far_out(cases, study.maximize)
    space = seen(study.optuna.get_trials(deepcopy=False))
    default = points.draw(study.info.get("default", {})) if points.can_draw else None
    simplest = points.simplified(default).values if default else study.info.get("default", {})
    return Evidence(tuple(case for case in cases if case not in far), space, simplest, far)


def far_out(cases: list[Case], maximize: bool) -> tuple[Case, ...]:
    """Those far worse than the others."""
    signed = [case.score if maximize else -case.score for case in cases]
    if not signed:
        return ()
    low, high = np.percentile(signed, [25, 75])
    if high == low:
        # most are equal: that says nothing of how far apart others may be
        return ()
    return tuple(case for case, score in zip(cases, signed, strict=True) if score < low - FAR * (high - low))


def chosen(space: dict[str, Distribution], by: str, study: str) -> list[str]:
    """The hyperparameters that `by` means: that one, all of a dimension, or all there are for ''.

    Raises:
        StudyError: if the study chose between no values of it.
    """
    names = [name for name in space if not by or name == by or name.startswith(f"{by}/")]
    if not names:
        known = [*dict.fromkeys(name.partition("/")[0] for name in space)]
        raise StudyError(
            f"Study '{study}' never chose between values of '{by}'.{nearest(by, [*space, *known])} "
            f"It chose those of {', '.join(known) or 'nothing'}."
        )
    return names


def compared(known: Evidence, names: Iterable[str]) -> list[Comparison]:
    """Every comparison of these hyperparameters that there is evidence for: the clear ones first, then by size."""
    found = [comparison for name in names for comparison in _of(known, name)]
    return sorted(found, key=lambda c: (not c.effect.clear, -abs(c.effect.difference)))


def _of(known: Evidence, name: str) -> Iterator[Comparison]:
    against, sides = known.reference(name, MIN_SIDE), known.sides(name)
    left = []
    for value in sides:
        if value != against and sides[value]:
            differences = matched(name, sides[value], sides[against])
            if len(differences) >= MIN_PAIRS:
                yield Comparison(name, value, against, effects.paired(differences), MATCHED)
            else:
                left.append(value)
    for value, effect in modelled(known, name, left, against).items():
        yield Comparison(name, value, against, effect, MODELLED)


def matched(name: str, ones: list[Case], others: list[Case]) -> list[float]:
    """The differences between `ones` and `others` that differ in `name` alone, and in what hangs on it.

    Trials that are in several pairs make one difference together, so that the differences are independent.
    """
    groups: list[tuple[set[int], set[int]]] = []
    for one, other in product(ones, others):
        if _same(one.values, other.values, name):
            mine = [group for group in groups if one.number in group[0] or other.number in group[1]]
            merged = (
                {one.number}.union(*(group[0] for group in mine)),
                {other.number}.union(*(group[1] for group in mine)),
            )
            groups = [group for group in groups if group not in mine] + [merged]
    scores = {case.number: case.score for case in (*ones, *others)}
    return [fmean(scores[n] for n in left) - fmean(scores[n] for n in right) for left, right in groups]


def _same(one: Values, other: Values, name: str) -> bool:
    # what only one of them chose hangs on `name`: all else that they share is equal
    return all(one[key] == other[key] for key in one.keys() & other.keys() if key != name)


def modelled(known: Evidence, name: str, values: list[str], against: str) -> dict[str, Effect]:
    """The effects of `values` of one hyperparameter, all other choices being allowed for (`effects.mixed`).

    Those of which there are too few trials are left out. `n` counts the trials of both values compared.
    """
    sides = {label: cases for label, cases in known.sides(name).items() if len(cases) >= MIN_SIDE}
    values = [value for value in values if value in sides]
    cases = [case for cases in sides.values() for case in cases]
    if against not in sides or not values or len(cases) < MIN_TRIALS:
        return {}
    labels = [label for label, members in sides.items() for _ in members]
    asked = [*values, *(label for label in sides if label not in (*values, against))]
    fixed = np.array([[label == value for value in asked] for label in labels], float)
    scores = np.array([case.score for case in cases])
    if not scores.std():
        return {}
    found = effects.mixed(scores, fixed, columns(known, cases, name))
    return {
        value: Effect(effect.difference, effect.half, len(sides[value]) + len(sides[against]))
        for value, effect in zip(values, found, strict=False)
    }


def columns(known: Evidence, cases: list[Case], but: str) -> Array:
    """All choices but one as columns of mean 0 and variance 1, of shape (cases, q).

    A choice between values makes one column a value, a number one column. Where a choice was not made, because it
    hangs on another, it stands at its mean.
    """
    found = [np.zeros(len(cases))]
    for name, distribution in known.space.items():
        there = np.array([name in case.values for case in cases])
        if name == but or not there.any():
            continue
        drawn = [case.values[name] for case in cases if name in case.values]
        for column in _coded(distribution, drawn):
            whole = np.zeros(len(cases))
            whole[there] = column - column.mean()
            if whole.std() > 1e-9:
                found.append(whole / whole.std())
    return np.column_stack(found)


def _coded(distribution: Distribution, drawn: list[Any]) -> list[Array]:
    if distribution.kind != "choice":
        return [np.array([scaled(distribution, value) for value in drawn])]
    return [np.array([value == choice for value in drawn], float) for choice in distribution.choices]
