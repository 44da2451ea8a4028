"""Twins of a study's best trials: the same points with one choice changed, trained so that its worth is measured."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from cnnsearch.results.comparison import effects
from cnnsearch.results.comparison.evidence import CONTROLLED, Comparison, Evidence
from cnnsearch.results.comparison.levels import Level
from cnnsearch.results.comparison.points import Points, Values
from cnnsearch.study.config import Settings
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED, TWIN, Record

Twins = dict[str, tuple[Values, int]]
"""Points to train with their seeds, by origin."""


@dataclass(frozen=True)
class Family:
    """A trial with its twins in one choice, by level: the complete ones, its `own` too, and the origins and points of
    those to be trained."""

    base: Record
    own: str
    members: dict[str, Record]
    missing: dict[str, tuple[str, Values]]

    @property
    def trials(self) -> set[str]:
        """What tells the family's trials from those of others: their numbers, the points of those to be trained."""
        points = (json.dumps(values, sort_keys=True) for _, values in self.missing.values())
        return {*(str(member.number) for member in self.members.values()), *points}


def families(study: Study, points: Points, known: Evidence, name: str, most: int) -> list[Family]:
    """The families of `most` bases that have twins in this choice: the best trials of each of its values in turn.

    In turn, because a base was picked for a score that chance has a part in, which flatters the value it chose: with
    as many bases on both sides this cancels out. No twin is a base, so that the same call finds the same bases after
    they are trained. No trial is in two families, so that their differences are independent.
    """
    records, levels, sign = study.records(), known.levels(name), 1 if study.maximize else -1
    values = {case.number: case.values for case in known.cases if name in case.values}
    bases = [record for record in records if record.number in values and not record.origin.startswith(TWIN)]
    bases.sort(key=lambda record: (-sign * (record.score or 0), record.number))
    own = {base.number: levels.of(values[base.number][name]) for base in bases}
    found: list[Family] = []
    taken: set[str] = set()
    for base in in_turn(bases, own):
        if len(found) < most and str(base.number) not in taken:
            others = [level for level in levels.levels if level.label != own[base.number]]
            family = _family(base, own[base.number], others, name, values[base.number], points, records)
            if len(family.trials) > 1 and not family.trials & taken:
                found.append(family)
                taken |= family.trials
    return found


def in_turn(bases: list[Record], own: dict[int, str]) -> Iterator[Record]:
    """The first of each level, then the second of each, and so on; a level that runs out is passed over."""
    sides = [[base for base in bases if own[base.number] == label] for label in dict.fromkeys(own.values())]
    for turn in zip_longest(*sides):
        yield from filter(None, turn)


def wanted(found: list[Family], against: str) -> Twins:
    """The twins to be trained; first those with the value that all others are compared with."""
    missing = [
        (label, origin, values, family) for family in found for label, (origin, values) in family.missing.items()
    ]
    missing.sort(key=lambda twin: twin[0] != against)
    return {origin: (values, family.base.seed) for _, origin, values, family in missing}


def comparisons(found: list[Family], name: str, against: str) -> list[Comparison]:
    """What the trained members of families say of one choice."""
    compared = []
    for label in dict.fromkeys(label for family in found for label in family.members if label != against):
        differences = [
            (family.members[label].score or 0) - (family.members[against].score or 0)
            for family in found
            if family.members.keys() >= {label, against}
        ]
        if differences:
            compared.append(Comparison(name, label, against, effects.paired(differences), CONTROLLED))
    return compared


def settings(
    study: Study, twins: Twins, runs: Path, storage: str, plugins: tuple[Path, ...], jobs: int | None
) -> Settings:
    """What a search that trains these twins needs: all that makes them comparable is the study's own."""
    from cnnsearch.core import host
    from cnnsearch.tuning import run

    workers, threads = host.workers_and_threads(jobs)
    kept = len(list((study.folder / "checkpoints").glob("trial-*.*")))
    return run.as_begun(
        study,
        runs=runs,
        storage=storage,
        # twins are neither drawn nor pruned
        sampler="random",
        pruner="none",
        jobs=workers,
        threads=threads,
        memory=host.memory_allowed(workers),
        keep=max(kept, Settings.keep),
        plugins=plugins,
        twins=twins,
    )


def _family(
    base: Record, own: str, others: Iterable[Level], name: str, values: Values, points: Points, records: list[Record]
) -> Family:
    members: dict[str, Record] = {own: base}
    missing: dict[str, tuple[str, Values]] = {}
    for label, value in others:
        origin = f"{TWIN}{base.number}: {name}={label}"
        twin = _twin(origin, values, name, value, points, records)
        if isinstance(twin, Record):
            members[label] = twin
        elif twin is not None:
            missing[label] = (origin, twin)
    return Family(base, own, members, missing)


def _twin(
    origin: str, values: Values, name: str, value: object, points: Points, records: list[Record]
) -> Record | Values | None:
    """The complete trial that is this twin, or the point to train for it; None if there is none to be had."""
    own = [record for record in records if record.origin == origin]
    keys, point = {record.key for record in own if record.key}, {**values, name: value}
    if points.can_draw:
        changed = points.changed(values, name, value)
        if changed is None:
            return None
        keys, point = {changed.key}, changed.values
    for record in records:
        if record.state == "complete" and record.key in keys:
            return record
    return None if any(record.state in (*COUNTED, "duplicate") for record in own) else point
