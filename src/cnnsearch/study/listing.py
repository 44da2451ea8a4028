"""The studies of a storage, with a summary of each."""

import os
from pathlib import Path
from typing import Any

import optuna

from cnnsearch.core.errors import StudyError, nearest
from cnnsearch.study import bulk_read
from cnnsearch.study.config import study_folder
from cnnsearch.study.opening import refuse_newer
from cnnsearch.study.storage import open_storage, storage_errors
from cnnsearch.study.study import Study
from cnnsearch.study.trial import ATTRIBUTE, COUNTED, Trial


def summaries(runs: Path, storage: str = "") -> list[dict[str, Any]]:
    """Name, space, trials and last activity of every study, the latest first."""
    with storage_errors(storage, runs):
        return [_summary(study, active) for study, active in _latest_first(runs, storage)]


def _latest_first(runs: Path, storage: str) -> list[tuple[Study, str]]:
    """The studies with the time of their last activity, the latest first. Their trials are not read."""
    # unlike Path.exists it raises nothing for names that are too long or not valid
    if not storage and not os.path.exists(runs / "cnnsearch.db"):  # noqa: PTH110
        return []
    handle = open_storage(runs, storage)
    moments, found = bulk_read.latest(handle), []
    for frozen in handle.get_all_studies():
        if ATTRIBUTE in frozen.user_attrs:
            known = optuna.load_study(study_name=frozen.study_name, storage=handle)
            study = Study(known, study_folder(runs, known.study_name, storage))
            at = moments.get(frozen._study_id)
            found.append((study, at.astimezone().isoformat(timespec="seconds") if at else study.info["created"]))
    return sorted(found, key=lambda each: str(each[1]), reverse=True)


def _summary(study: Study, active: str) -> dict[str, Any]:
    records = study.trials()
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
    from cnnsearch.study import confirmation, ranking

    means = confirmation.means(study)
    if means and (first := ranking.ranked(study)[0]).number in means:
        return means[first.number]
    scores = [record.score for record in records if record.score is not None and record.state == "complete"]
    return (max(scores) if study.maximize else min(scores)) if scores else None


def load(name: str | None, runs: Path, storage: str = "") -> Study:
    """Load the study of this name; None: the study that was used last.

    Raises:
        StudyError: if there is none.
    """
    with storage_errors(storage, runs):
        known = [study for study, _ in _latest_first(runs, storage)]
        if not known:
            where = "that storage" if storage else f"{runs}/"
            raise StudyError(
                f"There is no study in {where} yet. Start one: cnnsearch run --space digits_cnn --trials 10"
            )
        names = [study.name for study in known]
        if name is not None and name not in names:
            raise StudyError(
                f"There is no study '{name}'.{nearest(name, names)} `cnnsearch studies` lists all {len(names)}."
            )
        found = known[names.index(name)] if name is not None else _last_used(known)
        refuse_newer(found)
        # read here, where errors of the storage are told; later reads take what is known
        found.trials()
    return found


def _last_used(known: list[Study]) -> Study:
    """The first study that has a counted trial; the first one if none has."""
    return next((study for study in known if any(trial.state in COUNTED for trial in study.trials())), known[0])
