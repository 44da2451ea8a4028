"""Messages about databases that another version of Optuna or MLflow wrote."""

import contextlib
import functools
import importlib.util
import re
import shlex
import sqlite3
from pathlib import Path

OPTUNA = "table schema"
"""A part of Optuna's error message about a database of another version."""

MLFLOW = "out-of-date database schema"
"""A part of MLflow's error message about a database of another version."""

OPTUNA_VERSIONS = ("optuna", "storages/_rdb/alembic/versions")
MLFLOW_VERSIONS = ("mlflow", "store/db_migrations/versions")
"""The packages, and the folders with a file for each version of their schemas."""


def optuna_problem(said: str, what: str, address: str) -> str:
    """Optuna's error `said` as one line with the command to use; `what` names the database for the user."""
    if "storage upgrade" not in said:
        return f"{what} was made by a newer Optuna. Upgrade it here: pip install --upgrade optuna."
    command = f"optuna storage upgrade --storage {shlex.quote(address)}"
    return f"{what} was made by an older Optuna. {_backup(address)}, then give this command: {command}"


def mlflow_problem(said: str, address: str) -> str:
    """MLflow's error `said` as one line with the command to use."""
    found = re.search(r"found version (\w+)", said)
    known = _revisions(*MLFLOW_VERSIONS)
    if found and known and found[1] not in known:
        return f"MLflow's store {address} was made by a newer MLflow. Upgrade it here: pip install --upgrade mlflow."
    command = f"mlflow db upgrade {shlex.quote(address)}"
    return (
        f"MLflow's store {address} was made by an older MLflow. {_backup(address)}, then give this command: {command}"
    )


def mlflow_file_problem(path: Path, address: str) -> str:
    """The problem with the schema of a SQLite store of MLflow; empty if there is none. MLflow is not imported."""
    known = _revisions(*MLFLOW_VERSIONS)
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
        (version,) = database.execute("select version_num from alembic_version").fetchone()
        if known and version not in set(known) - set(known.values()):
            return mlflow_problem(f"found version {version}", address)
    return ""


def _backup(address: str) -> str:
    return f"Copy {file} first" if (file := sqlite_file(address)) else "Back it up first"


def sqlite_file(address: str) -> str:
    """The file of a SQLite address; empty for other databases."""
    return address.removeprefix("sqlite:///").partition("?")[0] if address.startswith("sqlite:///") else ""


def optuna_version() -> str:
    """The schema version of the installed Optuna; empty if it is not known."""
    known = _revisions(*OPTUNA_VERSIONS)
    latest = set(known) - set(known.values())
    return latest.pop() if len(latest) == 1 else ""


@functools.cache
def _revisions(package: str, folder: str) -> dict[str, str]:
    """The schema versions that an installed package knows, each with its previous version."""
    found = importlib.util.find_spec(package)
    places = [Path(place) for place in (found.submodule_search_locations or ()) if found] if found else []
    known = {}
    for path in (each for place in places for each in (place / folder).glob("*.py")):
        text = path.read_text("utf-8", errors="replace")
        own = re.search(r'(?m)^revision = "([\w.]+)"', text)
        before = re.search(r'(?m)^down_revision = "([\w.]+)"', text)
        if own:
            known[own[1]] = before[1] if before else ""
    return known
