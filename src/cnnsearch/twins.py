"""Twins of a study's best trials: the same points with one choice changed, trained so that its worth is measured."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cnnsearch import effects, watchdog
from cnnsearch.compare import CONTROLLED, Comparison, Evidence
from cnnsearch.levels import Level
from cnnsearch.points import Points, Values
from cnnsearch.record import COUNTED, TWIN, Record
from cnnsearch.settings import Settings
from cnnsearch.spaces import Space, Use
from cnnsearch.study import Study

Twins = dict[str, tuple[Values, int]]
"""Points to train with their seeds, by origin."""


@dataclass(frozen=True)
class Family:
    """A trial with its twins in one choice: the complete ones by level, its `own` too, and those to be trained."""

    base: Record
    own: str
    members: dict[str, Record]
    missing: Twins


def families(study: Study, points: Points, known: Evidence, name: str, most: int) -> list[Family]:
    """The families of the `most` best trials that have twins in this choice.

    No twin is a base, so that the same call finds the same bases after they are trained; neither is a trial that is
    in the family of a better one.
    """
    records = study.records()
    values = {case.number: case.values for case in known.cases if name in case.values}
    bases = [record for record in records if record.number in values and not record.origin.startswith(TWIN)]
    sign = 1 if study.maximize else -1
    found: list[Family] = []
    for base in sorted(bases, key=lambda record: (-sign * (record.score or 0), record.number)):
        taken = {member.number for family in found for member in family.members.values()}
        if len(found) < most and base.number not in taken:
            levels = known.levels(name)
            own = levels.of(values[base.number][name])
            others = [level for level in levels.levels if level.label != own]
            family = _family(base, own, others, name, values[base.number], points, records)
            found += [family] * (len(family.members) + len(family.missing) > 1)
    return found


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
    from cnnsearch.command import share

    info = study.info
    workers, threads = share(jobs)
    kept = len(list((study.folder / "checkpoints").glob("trial-*.*")))
    return Settings(
        space=Space.from_dict(info["space"]),
        dataset=Use(*info["dataset"]),
        study=study.name,
        trials=0,
        epochs=info["epochs"],
        metric=info["metric"],
        runs=runs,
        storage=storage,
        # twins are neither drawn nor pruned
        sampler="random",
        pruner="none",
        seed=info["seed"],
        jobs=workers,
        threads=threads,
        precision=info["machine"]["precision"],
        memory=watchdog.memory_allowed(workers),
        keep=max(kept, Settings.keep),
        plugins=plugins,
        twins=twins,
    )


def _family(
    base: Record, own: str, others: Iterable[Level], name: str, values: Values, points: Points, records: list[Record]
) -> Family:
    members, missing = {own: base}, {}
    for label, value in others:
        origin = f"{TWIN}{base.number}: {name}={label}"
        twin = _twin(origin, values, name, value, points, records)
        if isinstance(twin, Record):
            members[label] = twin
        elif twin is not None:
            missing[origin] = (twin, base.seed)
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
