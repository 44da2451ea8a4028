"""Controlled trials: a study's best trials trained again with one hyperparameter changed, to measure its effect."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from cnnsearch.core import host
from cnnsearch.results.comparison import effects
from cnnsearch.results.comparison.evidence import CONTROLLED, Comparison, Evidence
from cnnsearch.results.comparison.levels import Level
from cnnsearch.results.comparison.points import Points, Values
from cnnsearch.study.config import SearchConfig, TunerConfig
from cnnsearch.study.ranking import best_first
from cnnsearch.study.resumed_config import stored_config
from cnnsearch.study.study import Study
from cnnsearch.study.trial import CONTROLLED_ORIGIN, COUNTED, Trial

PointsToTrain = dict[str, tuple[Values, int]]
"""The point and the seed of each controlled trial, by its origin."""


@dataclass(frozen=True)
class ControlledGroup:
    """A base trial and its controlled trials, which differ from it in one hyperparameter.

    Attributes:
        base: the trial of the study.
        base_level: the level of the base trial.
        members: the complete trials by level, with the base trial.
        missing: the origin and the point of each trial that is not trained yet, by level.
    """

    base: Trial
    base_level: str
    members: dict[str, Trial]
    missing: dict[str, tuple[str, Values]]

    @property
    def identities(self) -> set[str]:
        """What identifies the trials of the group: the number of each complete trial, the point of each other."""
        points = (json.dumps(values, sort_keys=True) for _, values in self.missing.values())
        return {*(str(member.number) for member in self.members.values()), *points}


def controlled_groups(
    study: Study, points: Points, known: Evidence, name: str, max_groups: int
) -> list[ControlledGroup]:
    """The groups for one hyperparameter. The base trials are the best trials of each level in turn.

    A base trial is chosen for its high score, and chance has a part in that score. This favours the level of the base
    trial. With as many base trials of each level this bias cancels out.

    A controlled trial is never a base, so the same call finds the same groups after the controlled trials are trained.
    No trial is in two groups, so the differences are independent.
    """
    records, levels = study.trials(), known.levels(name)
    values = {case.number: case.values for case in known.cases if name in case.values}
    known_trials = (record for record in records if record.number in values)
    bases = best_first(
        (record for record in known_trials if not record.origin.startswith(CONTROLLED_ORIGIN)), study.maximize
    )
    base_levels = {base.number: levels.label_of(values[base.number][name]) for base in bases}
    found: list[ControlledGroup] = []
    taken: set[str] = set()
    for base in alternate_levels(bases, base_levels):
        if len(found) < max_groups and str(base.number) not in taken:
            own = base_levels[base.number]
            others = [level for level in levels.levels if level.label != own]
            group = _group(base, own, others, name, values[base.number], points, records)
            if len(group.identities) > 1 and not group.identities & taken:
                found.append(group)
                taken |= group.identities
    return found


def alternate_levels(bases: list[Trial], base_levels: dict[int, str]) -> Iterator[Trial]:
    """The first trial of each level, then the second of each, and so on until all levels are empty."""
    by_level = [
        [base for base in bases if base_levels[base.number] == label] for label in dict.fromkeys(base_levels.values())
    ]
    for turn in zip_longest(*by_level):
        yield from filter(None, turn)


def points_to_train(groups: list[ControlledGroup], against: str) -> PointsToTrain:
    """The missing controlled trials; those of the reference level come first."""
    missing = [(label, origin, values, group) for group in groups for label, (origin, values) in group.missing.items()]
    missing.sort(key=lambda each: each[0] != against)
    return {origin: (values, group.base.seed) for _, origin, values, group in missing}


def comparisons(groups: list[ControlledGroup], name: str, against: str) -> list[Comparison]:
    """The effect of each level of one hyperparameter, from the complete trials of the groups."""
    found = []
    for label in dict.fromkeys(label for group in groups for label in group.members if label != against):
        differences = [
            (group.members[label].score or 0) - (group.members[against].score or 0)
            for group in groups
            if group.members.keys() >= {label, against}
        ]
        if differences:
            found.append(Comparison(name, label, against, effects.mean_difference(differences), CONTROLLED))
    return found


def search_settings(
    study: Study, points: PointsToTrain, runs: Path, storage: str, plugins: tuple[Path, ...], jobs: int | None
) -> SearchConfig:
    """The configuration of a search that trains these points; all that affects a score is as in the study."""
    workers, threads = host.workers_and_threads(jobs)
    kept = len(list((study.folder / "checkpoints").glob("trial-*.*")))
    return stored_config(
        study,
        runs=runs,
        storage=storage,
        # controlled trials are neither sampled nor pruned
        sampler="random",
        pruner="none",
        jobs=workers,
        threads=threads,
        memory=host.memory_allowed(workers),
        keep=max(kept, TunerConfig.keep),
        plugins=plugins,
        controlled=points,
    )


def _group(
    base: Trial,
    base_level: str,
    others: Iterable[Level],
    name: str,
    values: Values,
    points: Points,
    records: list[Trial],
) -> ControlledGroup:
    members: dict[str, Trial] = {base_level: base}
    missing: dict[str, tuple[str, Values]] = {}
    for label, value in others:
        origin = f"{CONTROLLED_ORIGIN}{base.number}: {name}={label}"
        controlled = _controlled_trial(origin, values, name, value, points, records)
        if isinstance(controlled, Trial):
            members[label] = controlled
        elif controlled is not None:
            missing[label] = (origin, controlled)
    return ControlledGroup(base, base_level, members, missing)


def _is_rounded(had: object, value: object) -> bool:
    if not (isinstance(had, float) and isinstance(value, float)):
        return False
    return had != value and math.isclose(had, value, rel_tol=1e-9)


def _controlled_trial(
    origin: str, values: Values, name: str, value: object, points: Points, records: list[Trial]
) -> Trial | Values | None:
    """The complete controlled trial, or the point to train for it; None if it cannot be trained."""
    own = [record for record in records if record.origin == origin]
    keys, point = {record.key for record in own if record.key}, {**values, name: value}
    if points.can_draw:
        changed = points.changed(values, name, value)
        if changed is None:
            return None
        # an earlier version rounded the values of a range with steps
        rounded = {record.key for record in own if _is_rounded(record.params.get(name), value)}
        keys, point = {changed.key, *rounded}, changed.values
    for record in records:
        if record.state == "complete" and not record.cut and record.key in keys:
            return record
    return None if any(record.state in (*COUNTED, "duplicate") for record in own) else point
