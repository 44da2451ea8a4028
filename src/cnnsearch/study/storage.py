"""Where studies are stored: the address, the folder with its lock, and error messages of one line."""

import contextlib
import errno
import weakref
from collections.abc import Iterator
from pathlib import Path

import optuna
from optuna.storages import BaseStorage

from cnnsearch.core.errors import CnnsearchError, StudyError
from cnnsearch.study import schema, server_errors
from cnnsearch.study.address import server, with_driver
from cnnsearch.study.database import Database


def storage_url(runs: Path, storage: str = "") -> str:
    """Optuna's storage address: the given one with an installed driver, or a SQLite file in the runs folder."""
    # the timeout is in seconds: how long a write waits for that of another process
    return with_driver(storage) if storage else f"sqlite:///{runs / 'cnnsearch.db'}?timeout=30"


LIBPQ = {"connect_timeout": 10, "tcp_user_timeout": 30_000}
"""How long PostgreSQL's library waits: seconds for a connection, and milliseconds for a network that lost it."""


NO_ADDRESS = "it is not a database address"


def open_storage(runs: Path, storage: str = "") -> BaseStorage:
    """Open Optuna's storage. It connects again by itself to a server that was restarted since the last transaction.

    Raises:
        StudyError: if `storage` is not an address.
        Exception: errors of SQLAlchemy and Optuna, see `storage_errors`.
    """
    try:
        return _opened(storage_url(runs, storage))
    except ValueError as error:
        # such as a port that is no number
        if not storage:
            raise
        raise StudyError(f"--storage cannot be used: {NO_ADDRESS}.") from error


def _opened(url: str) -> BaseStorage:
    if server(url) is None:
        return optuna.storages.get_storage(Database(url))
    # here and below, as it takes half a second, and a SQLite file is read without it
    import sqlalchemy

    kind = sqlalchemy.make_url(url)
    wait = {name: value for name, value in LIBPQ.items() if name not in kind.query}
    options = {"pool_pre_ping": True, "connect_args": wait if "+psycopg" in kind.drivername else {}}
    database = Database(url, engine_kwargs=options)
    opened = optuna.storages.get_storage(database)
    # else a notebook has one more connection after each call
    weakref.finalize(opened, database.engine.dispose)
    return opened


def make_folder(folder: Path) -> None:
    """Make `folder` and check that it can be written.

    Raises:
        CnnsearchError: if it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise CnnsearchError(
            f"{folder} cannot be written ({error.strerror}). Name another folder with --runs DIR."
        ) from error


REASONS = {
    "disk is full": "the disk is full; free some space, and run the same command again",
    "is locked": "another process has locked it; wait until that process ends, and run the same command again",
    "readonly": "it may not be written",
    "no such table": "it was deleted or replaced while it was in use",
    "disk i/o": "it was deleted while it was in use, or the disk has a fault",
    "no space left": "the disk is full; free some space, and run the same command again",
}
"""Parts of the messages of databases and operating systems, and the reasons that users see."""


@contextlib.contextmanager
def storage_errors(storage: str, runs: Path | None = None) -> Iterator[None]:
    """Turn errors of the storage into a StudyError of one line. `runs` is the folder of studies, for the message."""
    try:
        yield
    except CnnsearchError:
        raise
    except ImportError as error:
        if "DB access module" not in str(error):
            raise
        raise StudyError(server_errors.driver_problem(storage)) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        why = _reason(error, "")
        raise StudyError(f"{error.filename or 'A file'} cannot be written: {why}.") from error
    except Exception as error:
        import sqlalchemy.exc

        what = "The database of --storage" if storage else f"The study database {(runs or Path()) / 'cnnsearch.db'}"
        if isinstance(error, RuntimeError) and schema.OPTUNA in str(error):
            address = "ADDRESS" if storage else storage_url(runs or Path()).partition("?")[0]
            raise StudyError(schema.optuna_problem(str(error), what, address)) from error
        if not isinstance(error, sqlalchemy.exc.SQLAlchemyError | optuna.exceptions.OptunaError):
            raise
        what = "--storage" if storage else "the study database in the runs folder"
        raise StudyError(f"{what} cannot be used: {_reason(error, storage)}.") from error


def _reason(error: Exception, storage: str) -> str:
    """The reason for the user: from REASONS, else the error's own text, unless it may show the address `storage`."""
    import sqlalchemy.exc

    if isinstance(error, sqlalchemy.exc.ArgumentError):
        return NO_ADDRESS
    if server(storage) and (known := server_errors.reason(error, storage)):
        return known
    said = f"{error} {error.__cause__ or ''}".lower()
    known = next((reason for words, reason in REASONS.items() if words in said), "")
    first = str(error.__cause__ or error).partition("\n")[0][:150].rstrip(".")
    return known or (type(error).__name__ if storage else f"{type(error).__name__}: {first}")


@contextlib.contextmanager
def lock_study(folder: Path, name: str) -> Iterator[None]:
    """Lock the study's folder inside the `with` block, so that one run at a time uses it.

    Raises:
        StudyError: if another process has the lock.
    """
    import filelock

    make_folder(folder)
    lock = filelock.FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise StudyError(
            f"Study '{name}' is in use by another run here. Wait until it ends, or choose another study: --study NAME."
        ) from None
    try:
        yield
    finally:
        lock.release()
