"""The studies of a storage, with a summary of each."""

import os
from pathlib import Path
from typing import Any

import optuna

from cnnsearch.core.errors import StudyError, nearest
from cnnsearch.study.config import study_folder
from cnnsearch.study.opening import refuse_newer
from cnnsearch.study.storage import open_storage, storage_errors
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED, Trial, from_optuna


def summaries(runs: Path, storage: str = "") -> list[dict[str, Any]]:
    """Name, space, trials and last activity of every study, the latest first."""
    # unlike Path.exists it raises nothing for names that are too long or not valid
    if not storage and not os.path.exists(runs / "cnnsearch.db"):  # noqa: PTH110
        return []
    with storage_errors(storage, runs):
        handle = open_storage(runs, storage)
        found = []
        for frozen in handle.get_all_studies():
            known = optuna.load_study(study_name=frozen.study_name, storage=handle)
            study = Study(known, study_folder(runs, known.study_name, storage))
            if study.info:
                found.append(_summary(study))
    return sorted(found, key=lambda summary: summary["active"], reverse=True)


def _summary(study: Study) -> dict[str, Any]:
    trials = study.optuna.get_trials(deepcopy=False)
    moments = [moment for trial in trials if (moment := trial.datetime_complete or trial.datetime_start)]
    records = [from_optuna(trial) for trial in trials]
    active = max(moments).astimezone().isoformat(timespec="seconds") if moments else study.info["created"]
    return {
        "name": study.name,
        "space": study.info["space"]["name"],
        "dataset": study.info["dataset"][0],
        "trials": sum(r.state in COUNTED for r in records),
        "best": _best(study, records),
        "active": active,
        "study": study,
    }


def _best(study: Study, records: list[Trial]) -> float | None:
    """The score of the leaderboard's first trial: its mean over new seeds, else its search score."""
    from cnnsearch.study import ranking
    from cnnsearch.study.confirmation import confirmed

    means = confirmed(study)
    if means and (first := ranking.ranked(study)[0]).number in means:
        return means[first.number].mean
    scores = [record.score for record in records if record.score is not None and record.state == "complete"]
    return (max(scores) if study.maximize else min(scores)) if scores else None


def load(name: str | None, runs: Path, storage: str = "") -> Study:
    """Load the study of this name; None: the study that was used last.

    Raises:
        StudyError: if there is none.
    """
    known = summaries(runs, storage)
    if not known:
        where = "that storage" if storage else f"{runs}/"
        raise StudyError(f"There is no study in {where} yet. Start one: cnnsearch run --space digits_cnn --trials 10")
    names = [str(summary["name"]) for summary in known]
    begun = [str(summary["name"]) for summary in known if summary["trials"]]
    name = name or (begun or names)[0]
    if name not in names:
        raise StudyError(
            f"There is no study '{name}'.{nearest(name, names)} `cnnsearch studies` lists all {len(names)}."
        )
    # its trials are read already
    study: Study = next(summary["study"] for summary in known if summary["name"] == name)
    refuse_newer(study)
    return study
