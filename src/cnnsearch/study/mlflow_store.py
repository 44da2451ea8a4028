"""MLflow's store: its address, how it is opened, and the tags and parameters of a study."""

import contextlib
import http.client
import importlib
import logging
import os
import shutil
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import CnnsearchError, error_line
from cnnsearch.study import mlflow_artifacts, schema
from cnnsearch.study.address import redacted
from cnnsearch.study.study import Study

MOST_RUNS = 50_000
"""The largest number of runs in one answer of MLflow."""


KIND = {"mlflow.experimentKind": "custom_model_development"}
"""With this tag MLflow 3 shows an experiment in its view of model training, without it in that of GenAI."""

ANSWER_WITHIN = 3
"""Seconds within which a server must answer before a search starts."""


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the store that `mlflow ui` without options opens in this folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def is_server(uri: str) -> bool:
    """Whether the store is an HTTP server."""
    return uri.startswith(("http://", "https://"))


def check_usable(uri: str) -> None:
    """Check that a server answers, and that a SQLite file is of this version of MLflow, before a search starts.

    Raises:
        CnnsearchError: if not; it names the store and the reason.
    """
    file = schema.sqlite_file(uri)
    if file and Path(file).is_file() and (problem := schema.mlflow_file_problem(Path(file), uri)):
        raise CnnsearchError(problem)
    if reason := unreachable(uri):
        raise CnnsearchError(
            f"MLflow's server {redacted(uri)} cannot be used: {reason}. "
            "Start it, or set MLFLOW_TRACKING_URI to another store, such as sqlite:///mlflow.db."
        )


def unreachable(uri: str) -> str:
    """Why a server does not answer within ANSWER_WITHIN seconds; empty if it does, or the store is no server."""
    if not is_server(uri):
        return ""
    found: list[str] = []
    # in a thread, because the lookup of a host name has no time limit
    asking = threading.Thread(target=lambda: found.append(_ask(uri)), daemon=True)
    asking.start()
    asking.join(ANSWER_WITHIN)
    return found[0] if found else f"no answer within {ANSWER_WITHIN} seconds"


def _ask(uri: str) -> str:
    """Ask a server for its health, without a password. An error such as 401 counts as an answer."""
    parts = urllib.parse.urlsplit(uri)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    try:
        # a server behind a proxy may not show its health
        if _status(f"{bare}/health") == 404 and _status(f"{bare}/{EXPERIMENTS}") == 404:
            return "no MLflow answers at this address (error 404)"
        return ""
    except urllib.error.URLError as error:
        reason = error.reason
        return str((reason.strerror if isinstance(reason, OSError) else None) or reason)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


EXPERIMENTS = "api/2.0/mlflow/experiments/search?max_results=1"


def _status(address: str) -> int:
    # no secret is sent here, and MLflow itself checks certificates
    unchecked = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(address, timeout=ANSWER_WITHIN, context=unchecked) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        if error.code in (502, 503, 504):
            raise OSError(f"it answers with error {error.code}") from error
        return error.code


OUTAGE = ("failed with exception", "error code 502", "error code 503", "error code 504", "OperationalError")
"""Parts of MLflow's error messages if its server or database does not answer at the moment."""


def is_outage(error: BaseException) -> bool:
    """Whether a store with this error may answer later."""
    return isinstance(error, ConnectionError | TimeoutError) or any(words in str(error) for words in OUTAGE)


def prepare() -> None:
    """Import MLflow without its output, and limit how long it asks a server that does not answer."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    importlib.import_module("mlflow")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # it prints a traceback for errors that cnnsearch shows as one line
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def connect(uri: str) -> Any:
    """A client of the store at `uri`. A SQLite file that does not exist is created.

    Raises:
        OSError: if that file cannot be written.
        MlflowException: if the store does not answer.
    """
    prepare()
    from mlflow import MlflowClient

    with _alone(uri):
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    # MLflow remembers the folder of a run's artifacts by the run's id, which a copied store has, too
    utils = importlib.import_module("mlflow.tracking._tracking_service.utils")
    getattr(utils, "_artifact_repos_cache", {}).clear()
    return client


@contextlib.contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Let one process at a time open a SQLite store: two that create its tables together make it unusable."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    import filelock

    path = Path(uri.removeprefix("sqlite:///"))
    with path.open("ab"):
        pass  # fails at once if it is a folder or read-only; MLflow would try for minutes
    with filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=60):
        if path.stat().st_size == 0:
            _make(path)
        mlflow_artifacts.update_locations(path.resolve())
        yield


def _make(path: Path) -> None:
    """Create a SQLite store in another file and rename it: a store without all its tables can never be opened."""
    from mlflow import MlflowClient

    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    MlflowClient(f"sqlite:///{partial}").search_experiments(max_results=1)
    partial.replace(path)


def experiment(client: Any, name: str, uri: str) -> str:
    """The identifier of the experiment `name`; it is created if it does not exist."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        for key, value in KIND.items():
            if key not in found.tags:
                client.set_experiment_tag(found.experiment_id, key, value)
        return str(found.experiment_id)
    # else a SQLite store would write to ./mlruns of the current folder
    local = uri.startswith("sqlite:///")
    beside = (Path.cwd() / "mlruns" / name).as_uri() if local else None
    tags = KIND | ({mlflow_artifacts.STORE: str(Path(uri.removeprefix("sqlite:///")).resolve())} if local else {})
    return str(client.create_experiment(name, artifact_location=beside, tags=tags))


def try_to_log(study: Study, paths: list[Path], place: str) -> str:
    """Log files to the folder `place` of the study's parent run; returns why that failed, or an empty text."""
    try:
        log_files(study, paths, place)
    except CnnsearchError as error:
        return error.message
    # a server may fail in many ways
    except Exception as error:
        return error_line(error)
    return ""


def log_files(study: Study, paths: list[Path], place: str) -> None:
    """Log files to the folder `place` of the study's parent run.

    Raises:
        MlflowException: if the store or the run does not exist.
    """
    known, uri = study.fact("mlflow"), tracking_uri()
    if not known:
        return
    # importing MLflow would take most of the time
    if uri.startswith("sqlite:///") and (
        found := mlflow_artifacts.local_folder(Path(uri.removeprefix("sqlite:///")), str(known.get("run_id", "")))
    ):
        (found / place).mkdir(parents=True, exist_ok=True)
        for path in paths:
            shutil.copy2(path, found / place)
        return
    client, _, run_id = parent_run(study)
    for path in paths:
        client.log_artifact(run_id, str(path), place)


def parent_run(study: Study) -> tuple[Any, str, str]:
    """A client of the store that has the study's run, the store's address, and the run.

    Raises:
        CnnsearchError: if the run is neither in the present store nor in the store of the study.
    """
    known = study.fact("mlflow") or {}
    run_id, here, began = str(known.get("run_id", "")), tracking_uri(), str(known.get("uri", ""))
    # the stored address of a study that was moved or copied is not valid
    moved = known.get("folder", study.info["folder"]) != str(study.folder)
    there = () if "***@" in began or (moved and not is_server(began)) else (began,)
    for uri in dict.fromkeys((here, *there)):
        if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
            continue
        if reason := unreachable(uri):
            raise CnnsearchError(f"MLflow's server {redacted(uri)} cannot be used: {reason}.")
        client = connect(uri)
        if run_id and _has(client, run_id):
            return client, uri, run_id
    raise CnnsearchError(
        f"the study's run is not in {redacted(here)}. "
        "Run the study's command again, or `cnnsearch ui`, to write it there."
    )


def _has(client: Any, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if is_outage(error):
            raise
        return False
