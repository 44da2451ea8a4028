"""Reads Optuna's tables in a SQLite file with Python's own library: SQLAlchemy takes half a second to import."""

import contextlib
import datetime
import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy

from cnnsearch.study import schema

TIMEOUT = 30.0
"""Seconds to wait for the write of another process."""


class SqliteFile(NamedTuple):
    """Optuna's tables in a SQLite file. Each query has a connection of its own, so any thread can ask."""

    path: Path

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query.

        Raises:
            sqlite3.Error: if the file cannot be read.
        """
        # without `mode=rw` a deleted file would be made again, empty
        address = f"{self.path.absolute().as_uri()}?mode=rw"
        with contextlib.closing(sqlite3.connect(address, timeout=TIMEOUT, uri=True)) as connection:
            return connection.execute(query, values).fetchall()


def opened(address: str) -> SqliteFile | None:
    """The file of an address of SQLAlchemy; None if it is no SQLite file with the tables of the installed Optuna.

    Optuna opens those, and says what is wrong.
    """
    name = schema.sqlite_file(address)
    option = address.partition("?")[2]
    # Optuna fills in braces, and other options change how the file is opened
    if not name or name.startswith((":", "file:")) or "{" in name or (option and not option.startswith("timeout=")):
        return None
    file = SqliteFile(Path(name))
    try:
        version = file.rows("SELECT version_num FROM alembic_version")
        return file if version == [(schema.optuna_version(),)] else None
    except (sqlite3.Error, ValueError):
        return None


def studies(file: SqliteFile, only: int | None = None) -> list[FrozenStudy]:
    """All studies with their attributes, in the order of their ids; `only`: the one of this id.

    Raises:
        sqlite3.Error: if the file cannot be read.
    """
    where, given = ("WHERE study_id = ?", (only,)) if only is not None else ("", ())
    names = file.rows(f"SELECT study_id, study_name FROM studies {where} ORDER BY study_id", *given)
    directions: dict[int, list[StudyDirection]] = defaultdict(list)
    for id_, direction in file.rows(
        f"SELECT study_id, direction FROM study_directions {where} ORDER BY objective", *given
    ):
        directions[id_].append(StudyDirection[direction])
    attributes: dict[tuple[str, int], dict[str, Any]] = defaultdict(dict)
    for kind in ("user", "system"):
        for id_, key, value in file.rows(
            f'SELECT study_id, "key", value_json FROM study_{kind}_attributes {where}', *given
        ):
            attributes[kind, id_][key] = json.loads(value)
    return [
        FrozenStudy(name, None, attributes["user", id_], attributes["system", id_], id_, directions=directions[id_])
        for id_, name in names
    ]


def study(file: SqliteFile, study_id: int) -> FrozenStudy:
    """The study of this id.

    Raises:
        KeyError: if there is none.
        sqlite3.Error: if the file cannot be read.
    """
    for found in studies(file, study_id):
        return found
    raise KeyError(f"there is no study of id {study_id}")


def study_id(file: SqliteFile, name: str) -> int:
    """The id of the study of this name.

    Raises:
        KeyError: if there is none.
        sqlite3.Error: if the file cannot be read.
    """
    for (found,) in file.rows("SELECT study_id FROM studies WHERE study_name = ?", name):
        return int(found)
    raise KeyError(f"there is no study '{name}'")


def latest(file: SqliteFile) -> list[tuple[int, datetime.datetime | None]]:
    """The id of each study that has trials, and when one last ended or, if it runs, began.

    Raises:
        sqlite3.Error: if the file cannot be read.
    """
    moment = "max(coalesce(datetime_complete, datetime_start))"
    return [(id_, _moment(at)) for id_, at in file.rows(f"SELECT study_id, {moment} FROM trials GROUP BY study_id")]


class Trials(NamedTuple):
    """The rows of those trials of a study whose id is larger than `after`, or is one of `also`."""

    file: SqliteFile
    study_id: int
    after: int
    also: Sequence[int] = ()

    def heads(self) -> list[tuple[Any, ...]]:
        """Id, number, the name of the state, start and end of each trial, in the order of their ids."""
        found = self.file.rows(
            "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials "
            f"WHERE {self._where} ORDER BY trial_id",
            self.study_id,
            self.after,
        )
        return [(*row, _moment(start), _moment(end)) for *row, start, end in found]

    def of(self, table: str, order: str, *names: str) -> list[tuple[Any, ...]]:
        """The id of the trial and these columns of the rows of one table, in this order."""
        columns = ", ".join(f'own."{name}"' for name in names)
        return self.file.rows(
            f'SELECT own.trial_id, {columns} FROM "{table}" AS own JOIN trials ON trials.trial_id = own.trial_id '
            f'WHERE {self._where} ORDER BY own."{order}"',
            self.study_id,
            self.after,
        )

    @property
    def _where(self) -> str:
        also = f" OR trials.trial_id IN ({', '.join(map(str, map(int, self.also)))})" if self.also else ""
        return f"trials.study_id = ? AND (trials.trial_id > ?{also})"


def _moment(stored: str | None) -> datetime.datetime | None:
    return datetime.datetime.fromisoformat(stored) if stored else None
