"""Optuna's database: it reads all trials together, and a SQLite file without SQLAlchemy until something is written."""

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial

from cnnsearch.study import bulk_read, sqlite_file
from cnnsearch.study.sqlite_file import SqliteFile

Found = TypeVar("Found")


class Database(RDBStorage):
    """Optuna's database. It reads many trials in a fraction of the time.

    Optuna makes an object for each row, and reads the distribution of a hyperparameter again for each trial. A study
    of 10,000 trials has more than 300,000 rows. To import SQLAlchemy and to check the tables takes most of a second.
    """

    def __init__(self, url: str, engine_kwargs: dict[str, Any] | None = None) -> None:
        self._address = url, engine_kwargs
        self._file = sqlite_file.opened(url)
        if self._file is None:
            self._connect()

    def _connect(self) -> None:
        self._file = None
        url, engine_kwargs = self._address
        super().__init__(url, engine_kwargs=engine_kwargs)

    def __getattr__(self, name: str) -> Any:
        """What Optuna's own `__init__` sets, which is called when this is needed first."""
        if name.startswith("__") or vars(self).get("_file") is None:
            raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")
        self._connect()
        return getattr(self, name)

    def __getstate__(self) -> dict[Any, Any]:
        if self._file is not None:
            self._connect()
        found: dict[Any, Any] = super().__getstate__()
        return found

    def _read(self, from_file: Callable[[SqliteFile], Found], by_optuna: Callable[[], Found]) -> Found:
        """What is in the file; if there is none, or it cannot be read any more, Optuna's answer, or its error."""
        if self._file is not None:
            try:
                return from_file(self._file)
            except sqlite3.Error:
                self._connect()
        return by_optuna()

    def get_all_studies(self) -> list[FrozenStudy]:
        """All studies."""
        return self._read(sqlite_file.studies, super().get_all_studies)

    def get_study_id_from_name(self, study_name: str) -> int:
        """The id of a study.

        Raises:
            KeyError: if there is no such study.
        """
        by_optuna = super().get_study_id_from_name
        return self._read(lambda file: sqlite_file.study_id(file, study_name), lambda: by_optuna(study_name))

    def get_study_name_from_id(self, study_id: int) -> str:
        """The name of a study.

        Raises:
            KeyError: if there is no such study.
        """
        by_optuna = super().get_study_name_from_id
        return self._read(lambda file: sqlite_file.study(file, study_id).study_name, lambda: by_optuna(study_id))

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """The directions of a study.

        Raises:
            KeyError: if there is no such study.
        """
        by_optuna = super().get_study_directions
        return self._read(lambda file: sqlite_file.study(file, study_id).directions, lambda: by_optuna(study_id))

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """The facts that are stored with a study.

        Raises:
            KeyError: if there is no such study.
        """
        by_optuna = super().get_study_user_attrs
        return self._read(lambda file: sqlite_file.study(file, study_id).user_attrs, lambda: by_optuna(study_id))

    def latest(self) -> list[Any]:
        """The id of each study that has trials, and when one last ended or, if it runs, began, in UTC."""
        return self._read(sqlite_file.latest, lambda: bulk_read.latest_rows(self))

    def _get_trials(
        self, study_id: int, states: Any, included_trial_ids: set[int], trial_id_greater_than: int
    ) -> list[FrozenTrial]:
        def from_file(file: SqliteFile) -> list[FrozenTrial]:
            sqlite_file.study(file, study_id)
            also = [each for each in included_trial_ids if each <= trial_id_greater_than]
            found = bulk_read.made(sqlite_file.Trials(file, study_id, trial_id_greater_than, also))
            return [each for each in found if states is None or each.state in states]

        def by_optuna() -> list[FrozenTrial]:
            # Optuna asks so for all trials of a study that it has not read yet
            if states is None and not included_trial_ids:
                return bulk_read.trials(self, study_id, trial_id_greater_than)
            found: list[FrozenTrial] = super(Database, self)._get_trials(
                study_id, states, included_trial_ids, trial_id_greater_than
            )
            return found

        return self._read(from_file, by_optuna)
