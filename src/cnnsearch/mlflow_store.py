"""MLflow's store: where it is, how it is opened, and what is said there of a study and its machine."""

import contextlib
import importlib
import json
import logging
import math
import os
import platform
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cnnsearch
from cnnsearch.study import Study

SOURCE = {"mlflow.source.name": "cnnsearch run", "mlflow.source.type": "LOCAL"}


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the store that a plain `mlflow ui` in this folder opens."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def without_password(uri: str) -> str:
    """`uri` as it may be shown and stored."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}***@{rest.rpartition('@')[2]}" if "@" in rest else uri


def prepare() -> None:
    """Import MLflow, quietly; a server that does not answer is asked twice and not for minutes."""
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    importlib.import_module("mlflow")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # it prints a traceback for what it raises, which is told in a line
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def connect(uri: str) -> Any:
    """A client of the store at `uri`, which is made if it is a SQLite file that is not there.

    Raises:
        OSError: if that file cannot be written.
        MlflowException: if the store does not answer.
    """
    prepare()
    from mlflow import MlflowClient

    with _alone(uri):
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


@contextlib.contextmanager
def _alone(uri: str) -> Iterator[None]:
    """One process at a time: two that make the tables of a new SQLite store together break it for good."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    import filelock

    path = Path(uri.removeprefix("sqlite:///"))
    with path.open("ab"):
        pass  # MLflow itself tries for minutes to open what is a folder or read-only
    with filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=60):
        if path.stat().st_size == 0:
            _make(path)
        yield


def _make(path: Path) -> None:
    """A new SQLite store, whole or not at all: one that was cut off while its tables were made never opens again."""
    from mlflow import MlflowClient

    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    MlflowClient(f"sqlite:///{partial}").search_experiments(max_results=1)
    partial.replace(path)


def experiment(client: Any, name: str, uri: str) -> str:
    """The identifier of the experiment `name`, which is made if it is not there."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    # a SQLite store would otherwise write to ./mlruns of whichever folder a process runs in
    beside = (Path.cwd() / "mlruns" / name).as_uri() if uri.startswith("sqlite:") else None
    return str(client.create_experiment(name, artifact_location=beside))


def log_export(study: Study, folder: Path) -> None:
    """Log the small files of an export to the study's parent run; the model was logged at the search's end."""
    log_files(study, [path for path in sorted(folder.iterdir()) if path.suffix in (".png", ".md", ".json")], "export")


def log_files(study: Study, paths: list[Path], place: str) -> None:
    """Log files to the folder `place` of the study's parent run.

    Raises:
        MlflowException: if the store or the run is gone.
    """
    known = study.fact("mlflow")
    if not known:
        return
    uri = tracking_uri() if "***@" in known["uri"] else known["uri"]
    client = connect(uri)
    for path in paths:
        client.log_artifact(known["run_id"], str(path), place)


def signature(input_shape: Sequence[int], classes: int) -> Any:
    """What a model takes and gives: raw images (n, *input_shape) as float32, and probabilities (n, classes)."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    pixels, answers = (Schema([TensorSpec(np.dtype("float32"), (-1, *shape))]) for shape in (input_shape, (classes,)))
    return ModelSignature(pixels, answers)


def needs(*packages: str) -> list[str]:
    """The packages a model needs, as pip names them.

    Named here, since MLflow would otherwise find them by loading the model once more in a process of its own.
    """
    return [f"{name}=={version(name)}" for name in ("numpy", *packages)]


def parent_tags(study: Study) -> dict[str, str]:
    """The tags of a study's run."""
    machine = study.info.get("machine", {})
    return {
        **child_tags(study),
        "cnnsearch.study": study.name,
        "cnnsearch.folder": study.info["folder"],
        "cnnsearch.devices": ", ".join(machine.get("devices", [])),
        "cnnsearch.precision": str(machine.get("precision")),
        "cnnsearch.machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def child_tags(study: Study) -> dict[str, str]:
    """The tags of every trial's run: source, data and versions."""
    return {
        **SOURCE,
        "cnnsearch.data_fingerprint": study.info["data"]["fingerprint"],
        "cnnsearch.versions": ", ".join(f"{name} {number}" for name, number in versions(study).items()),
    }


def versions(study: Study) -> dict[str, str]:
    """Of cnnsearch, of what the workers use and of what this process uses."""
    machine = study.info.get("machine", {})
    found = {
        "cnnsearch": cnnsearch.__version__,
        "python": str(machine.get("python")),
        "keras": str(machine.get("keras")),
    }
    for name in (str(machine.get("backend")), "optuna", "mlflow", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def parent_params(study: Study) -> dict[str, str]:
    """The parameters of a study's run."""
    info = study.info
    return {
        "space": info["space"]["name"],
        "dataset": info["dataset"][0],
        "data_fingerprint": info["data"]["fingerprint"],
        "images": str(info["data"]["images"]),
        "epochs": str(info["epochs"]),
        "metric": info["metric"],
        "seed": str(info["seed"]),
    }


def datasets(study: Study) -> list[Any]:
    """The study's data as MLflow's pages show it: its name and fingerprint."""
    from mlflow.entities import Dataset, DatasetInput

    data = study.info["data"]
    source = json.dumps({"dataset": study.info["dataset"], "seed": study.info["seed"]})
    dataset = Dataset(data["name"], data["fingerprint"], "cnnsearch", source, profile=json.dumps(data["images"]))
    return [DatasetInput(dataset, tags=[])]


def metrics(values: dict[str, float], step: int, at: float | None = None) -> list[Any]:
    """MLflow's metrics of finite values, of the time `at` or now; MLflow would store inf as 1.8e308."""
    from mlflow.entities import Metric

    now = int((at or time.time()) * 1000)
    return [Metric(name(key), value, now, step) for key, value in values.items() if math.isfinite(value)]


def name(text: str) -> str:
    """`text` in the letters that MLflow allows in names."""
    return "".join(letter if letter.isalnum() or letter in "_-./ :" else "_" for letter in text)
