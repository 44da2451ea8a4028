"""Deletes a study: from Optuna's storage, from the disk and, if asked, from MLflow."""

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import optuna

from cnnsearch.core import checkpoint_store, whole_file
from cnnsearch.core.checkpoint_address import redacted
from cnnsearch.core.errors import CnnsearchError, StudyError, first_line
from cnnsearch.data import shared_memory, stored
from cnnsearch.spaces import data_files, pickled_model
from cnnsearch.study import disk, lease, listing, moved, unwritten
from cnnsearch.study import mlflow_store as store
from cnnsearch.study.config import study_folder
from cnnsearch.study.storage import lock_study, open_storage, storage_errors
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED

OWN = (
    *moved.KEPT,
    *("logs", "leaderboard.csv", "leaderboard.md", ".probe", "unsent.json", unwritten.FILE),
    *(f"{shared_memory.PREFIX}*", f"{stored.PREFIX}*"),
    *(f"{pickled_model.PREFIX}*{pickled_model.SUFFIX}", f"{data_files.PREFIX}*", f"{whole_file.PREFIX}*"),
)
"""Patterns of the files that cnnsearch writes to the folder of a study."""


class Deletion(NamedTuple):
    """A study and what is deleted with it.

    Attributes:
        study: the study.
        place: its folder in the runs folder; it may be a link to another folder.
        files: the files that cnnsearch wrote there; empty if the folder is a link.
        runs: a client of MLflow's store and the identifiers of the study's runs there, or None if they stay.
    """

    study: Study
    place: Path
    files: tuple[Path, ...]
    runs: tuple[Any, list[str]] | None

    def text(self) -> str:
        """What is deleted, as lines of text."""
        trials = sum(record.state in COUNTED for record in self.study.trials())
        lines = [f"Study '{self.study.name}': {trials} trial{'' if trials == 1 else 's'}."]
        if self.place.is_symlink():
            lines.append(f"{self.place} is a link. It is removed; the files in {self.place.resolve()} stay.")
        elif self.files:
            lines.append(f"Files in {self.place}: {disk.text(sum(map(disk.size, self.files)))}.")
        lines += [f"Its checkpoints of trials in training at {redacted(each)}." for each in self.elsewhere]
        if self.runs:
            lines.append(f"{len(self.runs[1])} runs in MLflow. `mlflow gc` deletes their artifacts from the disk.")
        elif self.study.fact("mlflow"):
            lines.append("Its runs in MLflow are kept; --mlflow deletes them, too.")
        return "\n".join(lines)

    @property
    def elsewhere(self) -> list[str]:
        """The addresses of its folders with checkpoints that are not in `place`."""
        return self.study.training_checkpoints.folders


def find(name: str, runs: Path, storage: str, mlflow: bool) -> Deletion:
    """Find what belongs to a study. Nothing is deleted.

    Raises:
        StudyError: if there is no such study, or a run works on it.
        CnnsearchError: if its runs in MLflow are to be deleted and cannot be found.
    """
    study = listing.load(name, runs, storage)
    lease.refuse_if_held(study)
    place = study_folder(runs, study.name, storage)
    if study.folder.name != place.name and not place.is_symlink():
        place = place.with_name(study.folder.name)
    owned = [] if place.is_symlink() else [path for pattern in OWN for path in sorted(place.glob(pattern))]
    return Deletion(study, place, tuple(owned), _mlflow_runs(study) if mlflow else None)


def delete(deletion: Deletion, runs: Path, storage: str) -> str:
    """Delete it; returns a line about the files that stay on the disk, or an empty text.

    Raises:
        StudyError: if a run works on the study, or files cannot be removed.
    """
    name, place = deletion.study.name, deletion.place
    link, elsewhere = place.is_symlink(), deletion.elsewhere
    with contextlib.nullcontext() if link else lock_study(place, name):
        # the user may have taken a while to agree
        with storage_errors(storage, runs):
            lease.refuse_if_held(deletion.study)
        if deletion.runs:
            client, identifiers = deletion.runs
            _delete_runs(client, identifiers)
        with storage_errors(storage, runs):
            optuna.delete_study(study_name=name, storage=open_storage(runs, storage))
        # before the files: after an error there no command knows these folders
        left = _delete_checkpoints(elsewhere)
        try:
            for path in deletion.files:
                _remove(path)
        except OSError as error:
            reason = error.strerror or error
            raise StudyError(
                f"Study '{name}' is deleted, but {error.filename} cannot be removed: {reason}. Remove it by hand."
            ) from error
    if link:
        place.unlink()
        return left
    (place / ".lock").unlink(missing_ok=True)
    try:
        place.rmdir()
    except OSError:
        return f"{place} stays: it has files that cnnsearch did not write. {left}".strip()
    return left


def _delete_checkpoints(folders: Iterable[str]) -> str:
    """Delete folders with checkpoints; a line about those that cannot be deleted, or an empty text."""
    left = []
    for folder in folders:
        try:
            checkpoint_store.delete_folder(folder)
        except (OSError, CnnsearchError) as error:
            left.append(f"{redacted(folder)} cannot be deleted: {error}. Delete it by hand.")
    return " ".join(left)


def _delete_runs(client: Any, identifiers: list[str]) -> None:
    for done, identifier in enumerate(identifiers):
        try:
            client.delete_run(identifier)
        except Exception as error:
            raise StudyError(
                f"Only {done} of {len(identifiers)} runs in MLflow were deleted: {first_line(error)}. The study "
                "is kept. Run the command again, or leave out --mlflow."
            ) from error


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder; the target of a link stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _mlflow_runs(study: Study) -> tuple[Any, list[str]]:
    """A client, and the identifiers of the study's run and of the runs of its trials and repeats."""
    client, _, parent = store.parent_run(study)
    experiment = client.get_run(parent).info.experiment_id
    found = client.search_runs([experiment], "tags.`mlflow.parentRunId` LIKE '%'", max_results=store.MOST_RUNS)
    above = {run.info.run_id: run.data.tags["mlflow.parentRunId"] for run in found}
    below = [run for run in above if parent in (above[run], above.get(above[run]))]
    return client, [*below, parent]
