"""Corrects the addresses of artifacts after a SQLite store of MLflow was moved or copied together with them."""

import contextlib
import os
import sqlite3
import urllib.parse
import urllib.request
from pathlib import Path

STORE = "cnnsearch.store"
"""The tag of an experiment with the path of its store when the experiment was made."""

PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""The tables and columns in which MLflow stores absolute addresses of artifacts."""


def update_locations(store: Path) -> None:
    """Set the addresses of cnnsearch's experiments in `store` to the folder that their artifacts are in now.

    MLflow stores absolute addresses, so a copied store would write into the folder of the original.
    """
    with contextlib.closing(sqlite3.connect(store, timeout=30)) as database, database:
        for number, name, location, tag in _experiments(database):
            old, began = _path(location), Path(tag).parent if tag else _root(location, name)
            if began is None or began == store.parent:
                continue
            new = Path(os.path.normpath(store.parent / os.path.relpath(old, began)))
            if not tag and old.is_dir() and not new.is_dir():
                continue  # the artifacts were never in the folder of the store
            _replace(database, location, new.as_uri())
            database.execute("delete from experiment_tags where key = ? and experiment_id = ?", (STORE, number))
            tagged = (STORE, str(store), number)
            database.execute("insert into experiment_tags (key, value, experiment_id) values (?, ?, ?)", tagged)


def local_folder(store: Path, run_id: str) -> Path | None:
    """The folder of a run's artifacts; None if the store does not have the run, or its artifacts are on a server."""
    if not run_id or not store.is_file():
        return None
    update_locations(store.resolve())
    query = "select artifact_uri from runs where run_uuid = ? and lifecycle_stage = 'active'"
    try:
        with contextlib.closing(sqlite3.connect(store, timeout=30)) as database:
            found = database.execute(query, (run_id,)).fetchone()
    except sqlite3.Error:
        return None  # MLflow raises the error
    return _path(found[0]) if found and found[0].startswith("file:") else None


def _experiments(database: sqlite3.Connection) -> list[tuple[int, str, str, str | None]]:
    query = (
        "select e.experiment_id, e.name, e.artifact_location, t.value from experiments e "
        "left join experiment_tags t on t.experiment_id = e.experiment_id and t.key = ? "
        "where e.name like 'cnnsearch/%' and e.artifact_location like 'file:%'"
    )
    try:
        return database.execute(query, (STORE,)).fetchall()
    except sqlite3.OperationalError:
        return []  # a store without tables, or of another schema: MLflow raises the error


def _path(location: str) -> Path:
    return Path(urllib.request.url2pathname(urllib.parse.urlsplit(location).path))


def _root(location: str, name: str) -> Path | None:
    """The folder of the store, if its artifacts are in the folder `mlruns` beside it; else None."""
    beside = Path("mlruns", name).parts
    parts = _path(location).parts
    return Path(*parts[: -len(beside)]) if parts[-len(beside) :] == beside else None


def _replace(database: sqlite3.Connection, old: str, new: str) -> None:
    for table, column in PLACES:
        with contextlib.suppress(sqlite3.OperationalError):  # earlier schemas lack some
            database.execute(
                f"update {table} set {column} = ? || substr({column}, ?) where substr({column}, 1, ?) = ?",
                (new, len(old) + 1, len(old), old),
            )
