"""`cnnsearch compare`: its rows and what has to be said with them, measured first if that is asked for."""

import csv
import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from cnnsearch.core.errors import StudyError
from cnnsearch.results import leaderboard
from cnnsearch.results.comparison import evidence, twins
from cnnsearch.results.comparison.evidence import MIN_PAIRS, MIN_SIDE, MIN_TRIALS, MODELLED, Comparison, Evidence
from cnnsearch.results.comparison.points import Points
from cnnsearch.results.comparison.twins import Family
from cnnsearch.study.study import Study
from cnnsearch.tuning import run
from cnnsearch.tuning.callbacks.base import Display

COLUMNS = ("choice", "value", "against", "difference", "low", "high", "n", "how", "verdict")
SHOWN = ("choice", "value", "against", "difference", "95% interval", "n", "how", "verdict")

Row = dict[str, Any]


class Worth(NamedTuple):
    """What to show: a title, one row of COLUMNS a comparison, and notes on how far to believe them."""

    title: str
    rows: list[Row]
    notes: list[str]


def found(study: Study, plugins: tuple[Path, ...], by: str) -> Worth:
    """What each choice that `by` means was worth, by the trials that there are.

    Raises:
        StudyError: if there is no such choice, or are too few trials to say anything.
    """
    known = evidence.evidence(study, Points(study, plugins))
    names = evidence.chosen(known.space, by, study.name)
    compared = evidence.compared(known, names)
    if not compared:
        raise StudyError(
            f"Too few trials to compare {by or 'choices'}: study '{study.name}' has {len(known.cases)} complete ones; "
            f"expected {MIN_TRIALS}, {MIN_SIDE} with each value, or {MIN_PAIRS} pairs that differ in nothing else. "
            "Search on with a higher --trials, or measure one choice with --by NAME --controlled."
        )
    silent = [name for name in names if name not in {comparison.name for comparison in compared}]
    return Worth(_title(study), [_row(c, study) for c in compared], _notes(study, known, compared, silent, by))


def measured(
    study: Study,
    by: str,
    pairs: int,
    display: Display,
    runs: Path,
    storage: str,
    plugins: tuple[Path, ...],
    jobs: int | None,
    timeout: float,
) -> Worth:
    """What each choice that `by` means was worth, by twins of the `pairs` best trials; those missing are trained.

    Raises:
        StudyError: if there is no such choice, or no trial has a twin.
        KeyboardInterrupt: if an end was asked for; the same call goes on.
    """
    points = Points(study, plugins)
    grouped = _families(study, points, by, pairs)
    known = evidence.evidence(study, points)
    wanted: twins.Twins = {}
    for name, each in grouped.items():
        wanted |= twins.wanted(each, known.reference(name))
    if wanted:
        display.note(_announced(grouped, len(wanted)))
        settings = replace(twins.settings(study, wanted, runs, storage, plugins, jobs), timeout=timeout)
        study, ended = run.run(settings, display, "", leaderboard.write_files)
        if ended == "interrupted":
            raise KeyboardInterrupt
        if " " in ended:
            raise StudyError(f"Training the twins stopped: {ended}")
        grouped = _families(study, points, by, pairs)
    known = evidence.evidence(study, points)
    compared = [c for name, each in grouped.items() for c in twins.comparisons(each, name, known.reference(name))]
    notes = [_about(name, each) for name, each in grouped.items()]
    if not compared:
        raise StudyError(f"No twin has been trained yet. {' '.join(notes)}")
    return Worth(_title(study), [_row(c, study) for c in compared], notes)


def _families(study: Study, points: Points, by: str, pairs: int) -> dict[str, list[Family]]:
    """The families of each choice that `by` means: of a dimension its choices between values, if it has such."""
    known = evidence.evidence(study, points)
    names = evidence.chosen(known.space, by, study.name)
    between = [name for name in names if known.space[name].kind == "choice"]
    grouped = {name: twins.families(study, points, known, name, pairs) for name in between or names}
    grouped = {name: found for name, found in grouped.items() if found}
    if not grouped:
        raise StudyError(
            f"No trial of study '{study.name}' has a twin in {by}: expected a complete one that another value changes. "
            "Search on with a higher --trials."
        )
    return grouped


def _announced(grouped: dict[str, list[Family]], wanted: int) -> str:
    return f"{wanted} twins are missing for {', '.join(grouped)}; each is trained to its end."


def _title(study: Study) -> str:
    better = "more" if study.maximize else "less"
    return f"{study.name}: what each choice was worth in {study.info['metric']} ({better} is better)"


def _row(found: Comparison, study: Study) -> Row:
    name, value, against, effect, how = found
    difference, half, n = effect.difference, effect.half, effect.n
    better = (difference > 0) == study.maximize
    return {
        "choice": name,
        "value": value,
        "against": against,
        "difference": difference,
        "low": None if half is None else difference - half,
        "high": None if half is None else difference + half,
        "n": n,
        "how": how,
        "verdict": ("better" if better else "worse") if found.effect.clear else "unclear",
    }


def _notes(study: Study, known: Evidence, compared: list[Comparison], silent: list[str], by: str) -> list[str]:
    pruned = sum(record.state == "pruned" for record in study.records())
    notes = [f"From {len(known.cases)} complete trials. n: pairs, or trials with one of the two values."]
    if known.far:
        scores = ", ".join(f"{case.number} ({case.score:.4f})" for case in known.far)
        notes.append(f"Left out, their scores being far from all others: trials {scores}.")
    if pruned:
        notes.append(
            f"{pruned} pruned trials are left out: their scores are from fewer epochs. They were the worse ones, so "
            "what made them bad looks better here than it is."
        )
    if any(comparison.how == MODELLED for comparison in compared):
        notes.append(
            "Modelled: the effects of all choices are taken to add up. The sampler tried good values more often than "
            "others, and together; --by NAME --controlled measures one."
        )
    if len(compared) > 1:
        notes.append(
            f"Of {len(compared)} intervals of 95%, about {max(1, round(len(compared) / 20))} misses the truth."
        )
    if silent:
        notes.append(f"Too few trials to tell: {', '.join(silent)}.")
    return notes


def _about(name: str, found: list[Family]) -> str:
    """How far to believe the pairs of one choice."""
    own = Counter(family.own for family in found).most_common()
    chose = ", ".join(f"{count} with {label}" for label, count in own)
    note = (
        f"{name}: {len(found)} of the best trials ({chose}), each against itself with another value and the same seed."
    )
    if len(own) == 1:
        note += (
            f" They were picked for their scores, which flatters {own[0][0]}: no trial with another value was there."
        )
    if open_ := sum(len(family.missing) for family in found):
        note += f" {open_} twins are still to be trained: the same command goes on."
    return note


def to_json(worth: Worth) -> str:
    """The rows as a JSON array."""
    return json.dumps(worth.rows, indent=1)


def to_csv(worth: Worth) -> str:
    """The rows as CSV with a header."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(worth.rows)
    return buffer.getvalue()


def to_markdown(worth: Worth) -> str:
    """The rows as a Markdown table, with the notes."""
    lines = ["| " + " | ".join(SHOWN) + " |", "|" + " --- |" * len(SHOWN)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells(row)) + " |" for row in worth.rows]
    return "\n".join([*lines, "", *worth.notes]) + "\n"


FORMATS = {"csv": to_csv, "json": to_json, "md": to_markdown}


def cells(row: Row) -> list[str]:
    """A row as it is shown: one text for each of SHOWN."""
    interval = "" if row["low"] is None else f"{row['low']:+.4f} to {row['high']:+.4f}"
    shown = {**row, "difference": f"{row['difference']:+.4f}", "95% interval": interval}
    return [str(shown[column]) for column in SHOWN]
