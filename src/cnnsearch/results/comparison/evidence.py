"""The effect of each hyperparameter value against a reference value, from matched pairs or from a model."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from cnnsearch.core.errors import StudyError, nearest
from cnnsearch.results.comparison import effects
from cnnsearch.results.comparison.effects import Array, Effect
from cnnsearch.results.comparison.levels import Levels, distributions, levels, position_of
from cnnsearch.results.comparison.points import Points, Values
from cnnsearch.spaces.distributions import Distribution
from cnnsearch.study.ranking import some
from cnnsearch.study.study import Study

MIN_PAIRS = 5
"""With this many independent matched pairs the model is not used."""

MIN_TRIALS, MIN_PER_LEVEL = 15, 3
"""The trials that the model needs, in all and of each level. A test shows that its intervals hold from there on."""

OUTLIER_RANGES = 3.0
"""A score this many interquartile ranges below the lower quartile is an outlier (Tukey, Exploratory Data Analysis,
1977)."""

MOST = 300
"""Of more complete trials so many are compared, chosen at random: each one is drawn again, which takes milliseconds."""

MATCHED, MODELLED, CONTROLLED = "matched pairs", "modelled", "controlled pairs"


class Case(NamedTuple):
    """A complete trial: its number, its score, and the fewest hyperparameter values that give its plan."""

    number: int
    score: float
    values: Values


@dataclass(frozen=True)
class Evidence:
    """The complete trials of a study.

    Attributes:
        cases: the trials that are compared.
        space: the distribution of each hyperparameter.
        default: the default point.
        outliers: trials that are left out. One training of 83% among many of 99% would hide all other effects.
        complete: the number of all complete trials, if only some are compared; else 0.
    """

    cases: tuple[Case, ...]
    space: dict[str, Distribution]
    default: Values
    outliers: tuple[Case, ...] = ()
    complete: int = 0

    def levels(self, name: str) -> Levels:
        """The levels of one hyperparameter."""
        return levels(self.space[name])

    def by_level(self, name: str) -> dict[str, list[Case]]:
        """The trials that have the hyperparameter `name`, by the label of its level."""
        known = self.levels(name)
        found: dict[str, list[Case]] = {level.label: [] for level in known.levels}
        for case in self.cases:
            if name in case.values:
                found.setdefault(known.label_of(case.values[name]), []).append(case)
        return found

    def reference(self, name: str, min_trials: int = 0) -> str:
        """The level of the default point; the most frequent level if that has fewer than `min_trials` trials."""
        counts = Counter({label: len(cases) for label, cases in self.by_level(name).items()})
        label = self.levels(name).label_of(self.default[name]) if name in self.default else None
        return label if label is not None and counts[label] >= min_trials else counts.most_common(1)[0][0]


class Comparison(NamedTuple):
    """The effect of one value against the reference value of its hyperparameter, and `how` it was estimated."""

    name: str
    value: str
    against: str
    effect: Effect
    how: str


def evidence(study: Study, points: Points, most: int = 0) -> Evidence:
    """The complete trials of a study, or so many of them, chosen at random.

    Pruned trials, and one that the time limit ended, are left out, because their scores are from fewer epochs. Failed
    trials have no score.
    """
    complete = [record for record in study.trials() if record.state == "complete" and not record.cut]
    chosen = some(complete, most) if most else complete
    cases = [
        Case(record.number, record.score, points.simplest(record)) for record in chosen if record.score is not None
    ]
    found = outliers(cases, study.maximize)
    space = distributions(study.optuna.get_trials(deepcopy=False))
    default = points.draw(study.info.get("default", {})) if points.can_draw else None
    simplest = points.simplified(default).values if default else study.info.get("default", {})
    left = tuple(case for case in cases if case not in found)
    return Evidence(left, space, simplest, found, len(complete) if len(chosen) < len(complete) else 0)


def outliers(cases: list[Case], maximize: bool) -> tuple[Case, ...]:
    """The trials whose scores are far worse than the others (see OUTLIER_RANGES)."""
    signed = [case.score if maximize else -case.score for case in cases]
    if not signed:
        return ()
    low, high = np.percentile(signed, [25, 75])
    if high == low:
        # most scores are equal, so there is no scale for a distance
        return ()
    limit = low - OUTLIER_RANGES * (high - low)
    return tuple(case for case, score in zip(cases, signed, strict=True) if score < limit)


def matching_names(space: dict[str, Distribution], by: str, study: str) -> list[str]:
    """The hyperparameters that `by` names: one, all of a dimension, or all of the space for ''.

    Raises:
        StudyError: if the study has no such hyperparameter with more than one value.
    """
    names = [name for name in space if not by or name == by or name.startswith(f"{by}/")]
    if not names:
        known = [*dict.fromkeys(name.partition("/")[0] for name in space)]
        raise StudyError(
            f"Study '{study}' has no hyperparameter '{by}' with several values.{nearest(by, [*space, *known])} "
            f"It varied {', '.join(known) or 'nothing'}."
        )
    return names


def comparisons(known: Evidence, names: Iterable[str]) -> list[Comparison]:
    """Every possible comparison of these hyperparameters; intervals without zero come first, then large effects."""
    found = [comparison for name in names for comparison in _comparisons_of(known, name)]
    return sorted(found, key=lambda c: (not c.effect.excludes_zero, -abs(c.effect.difference)))


def _comparisons_of(known: Evidence, name: str) -> Iterator[Comparison]:
    against, by_level = known.reference(name, MIN_PER_LEVEL), known.by_level(name)
    to_model = []
    for value in by_level:
        if value != against and by_level[value]:
            differences = matched_differences(name, by_level[value], by_level[against])
            if len(differences) >= MIN_PAIRS:
                yield Comparison(name, value, against, effects.mean_difference(differences), MATCHED)
            else:
                to_model.append(value)
    for value, effect in modelled_effects(known, name, to_model, against).items():
        yield Comparison(name, value, against, effect, MODELLED)


def matched_differences(name: str, ones: list[Case], others: list[Case]) -> list[float]:
    """The differences in score between `ones` and `others` that differ only in `name` and in what depends on it.

    All pairs that share a trial make one difference together, so the differences are independent.
    """
    groups: list[tuple[set[int], set[int]]] = []
    for one, other in _equal_in_shared(name, ones, others):
        if _is_match(one.values, other.values, name):
            mine = [group for group in groups if one.number in group[0] or other.number in group[1]]
            merged = (
                {one.number}.union(*(group[0] for group in mine)),
                {other.number}.union(*(group[1] for group in mine)),
            )
            groups = [group for group in groups if group not in mine] + [merged]
    scores = {case.number: case.score for case in (*ones, *others)}
    return [fmean(scores[n] for n in left) - fmean(scores[n] for n in right) for left, right in groups]


def _equal_in_shared(name: str, ones: list[Case], others: list[Case]) -> Iterator[tuple[Case, Case]]:
    """The pairs that are equal in all hyperparameters that every trial has, except `name`: few of all pairs."""
    cases = [*ones, *others]
    shared = sorted(set(cases[0].values).intersection(*(case.values for case in cases)) - {name}) if cases else []
    found: dict[tuple[Any, ...], list[Case]] = defaultdict(list)
    for other in others:
        found[tuple(other.values[key] for key in shared)].append(other)
    for one in ones:
        for other in found.get(tuple(one.values[key] for key in shared), ()):
            yield one, other


def _is_match(one: Values, other: Values, name: str) -> bool:
    # a hyperparameter that only one of them has depends on `name`; all shared ones must be equal
    return all(one[key] == other[key] for key in one.keys() & other.keys() if key != name)


def modelled_effects(known: Evidence, name: str, values: list[str], against: str) -> dict[str, Effect]:
    """The effects of `values` of one hyperparameter, adjusted for all others with `effects.mixed_model`.

    Values with too few trials are left out. `n` counts the trials of both compared values.
    """
    by_level = {label: cases for label, cases in known.by_level(name).items() if len(cases) >= MIN_PER_LEVEL}
    values = [value for value in values if value in by_level]
    cases = [case for cases in by_level.values() for case in cases]
    if against not in by_level or not values or len(cases) < MIN_TRIALS:
        return {}
    labels = [label for label, members in by_level.items() for _ in members]
    coded = [*values, *(label for label in by_level if label not in (*values, against))]
    fixed = np.array([[label == value for value in coded] for label in labels], float)
    scores = np.array([case.score for case in cases])
    if not scores.std():
        return {}
    found = effects.mixed_model(scores, fixed, design_matrix(known, cases, name))
    return {
        value: Effect(effect.difference, effect.ci_half_width, len(by_level[value]) + len(by_level[against]))
        for value, effect in zip(values, found, strict=False)
    }


def design_matrix(known: Evidence, cases: list[Case], without: str) -> Array:
    """All hyperparameters except `without` as columns of mean 0 and variance 1, of shape (cases, q).

    A categorical hyperparameter makes one column for each value, a number makes one column. A trial that does not
    have a hyperparameter has the mean, 0, in its columns.
    """
    found = [np.zeros(len(cases))]
    for name, distribution in known.space.items():
        present = np.array([name in case.values for case in cases])
        if name == without or not present.any():
            continue
        drawn = [case.values[name] for case in cases if name in case.values]
        for column in _coded(distribution, drawn):
            whole = np.zeros(len(cases))
            whole[present] = column - column.mean()
            if whole.std() > 1e-9:
                found.append(whole / whole.std())
    return np.column_stack(found)


def _coded(distribution: Distribution, drawn: list[Any]) -> list[Array]:
    if distribution.kind != "choice":
        return [np.array([position_of(distribution, value) for value in drawn])]
    return [np.array([value == choice for value in drawn], float) for choice in distribution.choices]
