"""`cnnsearch compare`: the effect of each hyperparameter, from the trials of a study or from new controlled trials."""

from collections import Counter
from pathlib import Path

from cnnsearch.core.errors import StudyError
from cnnsearch.results import leaderboard
from cnnsearch.results.comparison import controlled_trials, evidence
from cnnsearch.results.comparison.controlled_trials import ControlledGroup, PointsToTrain
from cnnsearch.results.comparison.effect_table import EffectTable, Row
from cnnsearch.results.comparison.evidence import (
    MIN_PAIRS,
    MIN_PER_LEVEL,
    MIN_TRIALS,
    MODELLED,
    Comparison,
    Evidence,
)
from cnnsearch.results.comparison.points import Points
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.study import Study
from cnnsearch.tuning import run
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.trial_source import EndReason

SHOWN = 10
"""How many trials with outlying scores are named."""


def compare(study: Study, plugins: tuple[Path, ...], by: str) -> EffectTable:
    """The effect of each hyperparameter that `by` names, from the complete trials of the study.

    Raises:
        StudyError: if there is no such hyperparameter, or too few trials for any comparison.
    """
    known = evidence.evidence(study, Points(study, plugins), evidence.MOST)
    names = evidence.matching_names(known.space, by, study.name)
    found = evidence.comparisons(known, names)
    if not found:
        raise StudyError(
            f"Too few trials to compare {by or 'hyperparameters'}: study '{study.name}' has {len(known.cases)} "
            f"complete trials; expected {MIN_TRIALS}, with {MIN_PER_LEVEL} of each value, or {MIN_PAIRS} pairs that "
            "differ in nothing else. Continue the search with a higher --trials, or measure one hyperparameter with "
            "--by NAME --controlled."
        )
    compared = {comparison.name for comparison in found}
    missing = [name for name in names if name not in compared]
    return EffectTable(_title(study), [_row(c, study) for c in found], _notes(study, known, found, missing))


def compare_controlled(
    study: Study,
    by: str,
    pairs: int,
    display: TunerCallback,
    runs: Path,
    storage: str,
    plugins: tuple[Path, ...],
    jobs: int | None,
    timeout: float,
) -> EffectTable:
    """The effect of each hyperparameter that `by` names, from controlled trials of the `pairs` best trials.

    Missing controlled trials are trained first.

    Raises:
        StudyError: if there is no such hyperparameter, or no controlled trial is possible.
        KeyboardInterrupt: if the user stopped the training; the same call resumes it.
    """
    points = Points(study, plugins)
    groups = _groups(study, points, by, pairs)
    known = evidence.evidence(study, points)
    missing: PointsToTrain = {}
    for name, each in groups.items():
        missing |= controlled_trials.points_to_train(each, known.reference(name))
    if missing:
        display.on_note(f"{len(missing)} controlled trials are missing for {', '.join(groups)}; each is trained fully.")
        config = controlled_trials.search_settings(study, missing, runs, storage, plugins, jobs)
        study = _train(config.changed(timeout=timeout), display)
        groups = _groups(study, points, by, pairs)
    known = evidence.evidence(study, points)
    found = [
        c for name, each in groups.items() for c in controlled_trials.comparisons(each, name, known.reference(name))
    ]
    notes = [_note_on(name, each) for name, each in groups.items()]
    if not found:
        raise StudyError(f"No controlled trial has been trained yet. {' '.join(notes)}")
    return EffectTable(_title(study), [_row(c, study) for c in found], notes)


def _train(config: SearchConfig, display: TunerCallback) -> Study:
    study, end = run.run(config, (display, leaderboard.LeaderboardFiles()), "")
    if end.reason is EndReason.INTERRUPTED:
        raise KeyboardInterrupt
    if end.problem:
        raise StudyError(f"The training of the controlled trials stopped: {end.problem}")
    return study


def _groups(study: Study, points: Points, by: str, pairs: int) -> dict[str, list[ControlledGroup]]:
    """The groups of each hyperparameter that `by` names.

    If some of these are categorical, as in a dimension with several hyperparameters, only those are compared.
    """
    known = evidence.evidence(study, points)
    names = evidence.matching_names(known.space, by, study.name)
    categorical = [name for name in names if known.space[name].kind == "choice"]
    groups = {
        name: controlled_trials.controlled_groups(study, points, known, name, pairs) for name in categorical or names
    }
    groups = {name: found for name, found in groups.items() if found}
    if not groups:
        raise StudyError(
            f"Study '{study.name}' has no trial for which a controlled trial of {by} is possible: expected a complete "
            "trial whose plan changes with another value. Continue the search with a higher --trials."
        )
    return groups


def _title(study: Study) -> str:
    better = "more" if study.maximize else "less"
    return f"{study.name}: effect of each hyperparameter on {study.info['metric']} ({better} is better)"


def _row(found: Comparison, study: Study) -> Row:
    name, value, against, effect, how = found
    difference, half, n = effect.difference, effect.ci_half_width, effect.n
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
        "verdict": ("better" if better else "worse") if effect.excludes_zero else "unclear",
    }


def _notes(study: Study, known: Evidence, found: list[Comparison], missing: list[str]) -> list[str]:
    """How reliable the comparisons of a study's own trials are; `missing` hyperparameters could not be compared."""
    pruned = sum(record.state == "pruned" for record in study.trials())
    compared = f"{len(known.cases)} complete trials"
    if known.complete:
        compared = f"{len(known.cases) + len(known.outliers)} of {known.complete:,} complete trials, chosen at random"
    notes = [f"From {compared}. n is the number of pairs, or of trials with one of both values."]
    if known.outliers:
        scores = ", ".join(f"{case.number} ({case.score:.4f})" for case in known.outliers[:SHOWN])
        more = f" and {len(known.outliers) - SHOWN} more" if len(known.outliers) > SHOWN else ""
        notes.append(f"These trials are left out, because their scores are far from all others: {scores}{more}.")
    if pruned:
        notes.append(
            f"{pruned} pruned trials are left out, because their scores are from fewer epochs. They were the worse "
            "trials, so a value that made them worse looks better here than it is."
        )
    if any(comparison.how == MODELLED for comparison in found):
        notes.append(
            "The model assumes that the effects of all hyperparameters add up. The sampler tried good values more "
            "often than others, and in combination. To measure one hyperparameter, use --by NAME --controlled."
        )
    if len(found) > 1:
        notes.append("One in 20 intervals of 95% does not contain the true difference.")
    if missing:
        notes.append(f"There are too few trials to compare {', '.join(missing)}.")
    return notes


def _note_on(name: str, groups: list[ControlledGroup]) -> str:
    """How reliable the controlled trials of one hyperparameter are."""
    levels = Counter(group.base_level for group in groups).most_common()
    bases = ", ".join(f"{count} with {label}" for label, count in levels)
    note = (
        f"{name}: {len(groups)} of the best trials ({bases}), each compared with a controlled trial that has another "
        "value and the same seed."
    )
    if len(levels) == 1:
        note += (
            f" They were chosen for their scores, which favours {levels[0][0]}: there was no trial with another value."
        )
    if missing := sum(len(group.missing) for group in groups):
        note += f" {missing} controlled trials are not trained yet; the same command trains them."
    return note
