"""MLflow's pages on the studies here, for `cnnsearch ui`."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from cnnsearch.cli.server_address import check_free
from cnnsearch.core.errors import CnnsearchError
from cnnsearch.study.mlflow_store import check_usable, tracking_uri
from cnnsearch.tuning.callbacks import mlflow


def serve(host: str, port: int, runs: Path, storage: str) -> int:
    """Serve MLflow's pages until they are stopped; returns the exit code.

    A study whose folder was moved here without its MLflow store is written to MLflow first.

    Raises:
        CnnsearchError: if there is nothing to show yet, or the port cannot be used.
    """
    uri = tracking_uri()
    check_usable(uri)
    if uri.startswith("sqlite:///"):
        mlflow.write_moved(runs, storage, print)
    path = uri.removeprefix("sqlite:///")
    if uri.startswith("sqlite:///") and not os.path.exists(path):  # noqa: PTH110
        raise CnnsearchError(f"There is no {path} here yet. Search first: cnnsearch run --space digits_cnn --trials 10")
    check_free(host, port)
    print(f"MLflow on {address(host, port, path)} (Ctrl-C stops it)", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", host, "--port", str(port)]
    # not as an option: the list of processes shows options, and the address can contain a password
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri
    if os.name == "posix":
        os.execv(sys.executable, command)  # so that a signal reaches MLflow itself
    return subprocess.run(command, check=False).returncode


def address(host: str, port: int, store: str) -> str:
    """The address of the latest experiment in MLflow's view of model training. `store` is the path of a SQLite file.

    MLflow 3.17 opens its view of GenAI unless the address names the other one.
    """
    query = (
        "select e.experiment_id from runs r join experiments e on e.experiment_id = r.experiment_id "
        "where e.name like 'cnnsearch/%' order by r.start_time desc limit 1"
    )
    page = "experiments"
    # SQLite would create the file
    if os.path.exists(store):  # noqa: PTH110
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(store, timeout=5)) as database:
            if found := database.execute(query).fetchone():
                page = f"experiments/{found[0]}/runs"
    return f"http://{host}:{port}/#/{page}?workflowType=machine_learning"
