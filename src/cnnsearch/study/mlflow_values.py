"""What MLflow stores of a study and its trials: tags, parameters, metrics and the dataset."""

import json
import math
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cnnsearch.core.version import VERSION
from cnnsearch.study.study import Study

SOURCE = {"mlflow.source.name": "cnnsearch run", "mlflow.source.type": "LOCAL"}


def parent_tags(study: Study) -> dict[str, str]:
    """The tags of a study's run."""
    machine = study.info.get("machine", {})
    return {
        **child_tags(study),
        "cnnsearch.study": study.name,
        "cnnsearch.folder": str(study.folder),
        "cnnsearch.host": platform.node(),
        "cnnsearch.devices": ", ".join(machine.get("devices", [])),
        "cnnsearch.precision": str(machine.get("precision") or "none"),
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
    """The versions of cnnsearch and of the packages that the workers and this process use."""
    machine = study.info.get("machine", {})
    found = {"cnnsearch": VERSION, "python": str(machine.get("python"))}
    # empty for workers that did not need Keras
    if machine.get("keras") != "":
        found["keras"] = str(machine.get("keras"))
    for name in (str(machine.get("backend")), "optuna", "mlflow", "numpy"):
        if not name:
            continue
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
    """The study's data as an MLflow dataset, with name and fingerprint."""
    from mlflow.entities import Dataset, DatasetInput

    data = study.info["data"]
    source = json.dumps({"dataset": study.info["dataset"], "seed": study.info["seed"]})
    dataset = Dataset(data["name"], data["fingerprint"], "cnnsearch", source, profile=json.dumps(data["images"]))
    return [DatasetInput(dataset, tags=[])]


def metrics(values: dict[str, float], step: int, at: float | None = None) -> list[Any]:
    """The finite values as MLflow metrics with the time `at` (seconds) or now; MLflow stores inf as 1.8e308."""
    from mlflow.entities import Metric

    now = int((at or time.time()) * 1000)
    return [Metric(name(key), value, now, step) for key, value in values.items() if math.isfinite(value)]


def name(text: str) -> str:
    """`text` with the characters that MLflow allows in names; others become `_`."""
    return "".join(letter if letter.isalnum() or letter in "_-./ :" else "_" for letter in text)
