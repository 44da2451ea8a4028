"""MLflow: one experiment a space, one parent run a study, one child run a trial; written off the training's path."""

import json
import logging
import math
import os
import platform
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cnnsearch
from cnnsearch.errors import CnnsearchError
from cnnsearch.record import Record
from cnnsearch.study import Study

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


SOURCE = {"mlflow.source.name": "cnnsearch run", "mlflow.source.type": "LOCAL"}


class Tracker:
    """Writes a study to MLflow, all from one background thread, so that nobody waits for it.

    The explicit client is used throughout: MLflow's fluent API is bound to threads and loses the parent.
    A store that fails in the middle of a search costs a warning, never a trial.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._thread = ThreadPoolExecutor(1, "mlflow")
        self._begun = False
        # MLflow takes seconds to import: they pass while the first worker starts
        self._connected: Future[Any] = self._thread.submit(_client, tracking_uri())
        self._client: Any = None
        self._parent = ""
        self._experiment = ""
        self._data: list[Any] = []
        self._runs: dict[int, str] = {}
        self._warned = False

    def begin(self, study: Study) -> None:
        """Open the store and the study's parent run, once."""
        if not self._begun:
            self._begun = True
            # a store that does not open must stop the search at its start, not lose its records
            self._thread.submit(self._open, study).result()

    def epoch(self, trial: Record, epoch: int, metrics: dict[str, float]) -> None:
        """Log one epoch of a trial; its child run begins with its first."""
        self._later(self._log_epoch, trial, epoch, dict(metrics))

    def end(self, done: Record) -> None:
        """Log how a trial ended. Duplicates were never trained and leave no run."""
        if done.state in STATUS:
            self._later(self._log_end, done)

    def drop(self, done: Record) -> None:
        """Delete the run of an interrupted trial: the next `run` trains it again under a new one."""
        self._later(self._delete, done)

    def problem(self, text: str) -> None:
        """Warn that something is missing in MLflow, once."""
        if not self._warned:
            self._warned = True
            self._warn(f"MLflow: {text}")

    def model_order(self) -> dict[str, str] | None:
        """Where a worker shall log the best model, once all else is written; None if there is no store."""
        self._thread.submit(lambda: None).result()
        return {"run_id": self._parent, "uri": tracking_uri()} if self._parent else None

    def models(self, records: Iterable[Record]) -> None:
        """Log the model files that were kept to the runs of their trials."""
        for record in records:
            if record.checkpoint and Path(record.checkpoint).is_file():
                self._later(self._log_file, record)

    def close(self, status: str, best: Record | None = None, files: tuple[Path, ...] = ()) -> None:
        """Write what is left and end the parent run; without a status, delete it: nothing was trained."""
        if self._parent and not status:
            self._later(self._client.delete_run, self._parent)
        elif self._parent:
            self._later(self._end_parent, status, best, files)
        self._thread.shutdown(wait=True)

    def _later(self, write: Callable[..., None], *what: Any) -> None:
        def attempt() -> None:
            try:
                write(*what)
            except Exception as error:
                self.problem(f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}")

        self._thread.submit(attempt)

    def _open(self, study: Study) -> None:
        uri = tracking_uri()
        try:
            self._client = self._connected.result()
            self._data = _datasets(study)
            self._experiment = _experiment(self._client, f"cnnsearch/{study.info['space']['name']}", uri)
            self._parent = self._find_parent(study, uri)
        except Exception as error:
            reason = str(error).partition("\n")[0][:200]
            raise CnnsearchError(
                f"MLflow's store {_without_password(uri)} cannot be opened ({reason}). "
                "Set MLFLOW_TRACKING_URI to another, such as sqlite:///other.db."
            ) from error

    def _find_parent(self, study: Study, uri: str) -> str:
        from mlflow.exceptions import MlflowException

        known = study.info.get("mlflow", {})
        if known.get("uri") == _without_password(uri):
            try:
                self._client.update_run(known["run_id"], status="RUNNING")
                return str(known["run_id"])
            except MlflowException:
                pass  # the store was deleted or emptied meanwhile: begin a new parent
        run = self._client.create_run(self._experiment, run_name=study.name, tags=_parent_tags(study))
        for key, value in _parent_params(study).items():
            self._client.log_param(run.info.run_id, key, value)
        self._client.log_inputs(run.info.run_id, datasets=self._data)
        self._client.log_dict(run.info.run_id, study.info, "study.json")
        study.remember(mlflow={"uri": _without_password(uri), "run_id": run.info.run_id})
        return str(run.info.run_id)

    def _run(self, trial: Record) -> str:
        if trial.number not in self._runs:
            tags = {"mlflow.parentRunId": self._parent, "cnnsearch.trial": str(trial.number), **SOURCE}
            run = self._client.create_run(self._experiment, run_name=f"trial {trial.number}", tags=tags)
            self._client.log_inputs(run.info.run_id, datasets=self._data)
            self._runs[trial.number] = run.info.run_id
        return self._runs[trial.number]

    def _log_epoch(self, trial: Record, epoch: int, metrics: dict[str, float]) -> None:
        self._client.log_batch(self._run(trial), metrics=_metrics(metrics, epoch))

    def _log_end(self, done: Record) -> None:
        from mlflow.entities import Param, RunTag

        run_id = self._run(done)
        facts = {
            "score": done.score,
            "best_epoch": done.best_epoch,
            "epochs": done.epochs,
            "seconds": done.seconds,
            "params": done.weights,
            "macs": done.macs,
        }
        tags = {
            "state": done.state,
            "origin": done.origin,
            "failure": done.failure,
            "reason": done.reason[:500],
        }
        params = {**done.params, "seed": done.seed}
        self._client.log_batch(
            run_id,
            metrics=_metrics({key: value for key, value in facts.items() if value is not None}, done.epochs),
            params=[Param(_name(key), str(value)) for key, value in params.items()],
            tags=[RunTag(f"cnnsearch.{key}", value) for key, value in tags.items() if value],
        )
        if done.plan:
            self._client.log_text(run_id, done.plan, "plan.json")
        if done.history:
            from cnnsearch.pictures import curves

            self._client.log_figure(run_id, curves(done), "curves.png")
        self._client.set_terminated(run_id, STATUS[done.state])

    def _log_file(self, done: Record) -> None:
        run_id = self._runs.get(done.number) or self._earlier_run(done.number)
        if run_id and not self._client.list_artifacts(run_id, "checkpoint"):
            self._client.log_artifact(run_id, done.checkpoint, "checkpoint")

    def _earlier_run(self, number: int) -> str | None:
        """The run of a trial that an earlier `run` trained."""
        query = f"tags.`mlflow.parentRunId` = '{self._parent}' and tags.`cnnsearch.trial` = '{number}'"
        found = self._client.search_runs([self._experiment], query, max_results=1)
        return str(found[0].info.run_id) if found else None

    def _delete(self, done: Record) -> None:
        run_id = self._runs.pop(done.number, None)
        if run_id:
            self._client.delete_run(run_id)

    def _end_parent(self, status: str, best: Record | None, files: tuple[Path, ...]) -> None:
        if best is not None and best.score is not None:
            self._client.log_batch(self._parent, metrics=_metrics({"best_score": best.score}, best.number))
            self._client.set_tag(self._parent, "cnnsearch.best_trial", str(best.number))
        for path in files:
            self._client.log_artifact(self._parent, str(path))
        self._client.set_terminated(self._parent, status)


def log_export(study: Study, folder: Path) -> None:
    """Log the small files of an export to the study's parent run; the model is logged at the search's end.

    Raises:
        MlflowException: if the store or the run is gone.
    """
    known = study.info.get("mlflow")
    if known and known["uri"] == _without_password(tracking_uri()):
        client = _client(tracking_uri())
        for path in sorted(folder.iterdir()):
            if path.suffix in (".png", ".md", ".json"):
                client.log_artifact(known["run_id"], str(path), "export")


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or the store that a plain `mlflow ui` in this folder opens."""
    return os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"


def _client(uri: str) -> Any:
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    client = MlflowClient(uri)
    # the store is opened, and a new one created, at its first use
    client.search_experiments(max_results=1)
    return client


def _experiment(client: Any, name: str, uri: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    # a SQLite store would otherwise write to ./mlruns of whichever folder a process runs in
    beside = (Path.cwd() / "mlruns" / name).as_uri() if uri.startswith("sqlite:") else None
    return str(client.create_experiment(name, artifact_location=beside))


def _parent_tags(study: Study) -> dict[str, str]:
    machine = study.info.get("machine", {})
    return {
        **SOURCE,
        "cnnsearch.study": study.name,
        "cnnsearch.version": cnnsearch.__version__,
        "cnnsearch.keras": f"{machine.get('keras')} on {machine.get('backend')}",
        "cnnsearch.devices": ", ".join(machine.get("devices", [])),
        "cnnsearch.precision": str(machine.get("precision")),
        "cnnsearch.machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def _datasets(study: Study) -> list[Any]:
    """The study's data as MLflow's pages show it: its name and fingerprint."""
    from mlflow.entities import Dataset, DatasetInput

    data = study.info["data"]
    source = json.dumps({"dataset": study.info["dataset"], "seed": study.info["seed"]})
    dataset = Dataset(data["name"], data["fingerprint"], "cnnsearch", source, profile=json.dumps(data["images"]))
    return [DatasetInput(dataset, tags=[])]


def _parent_params(study: Study) -> dict[str, str]:
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


def _metrics(values: dict[str, float], step: int) -> list[Any]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    # MLflow would store inf as 1.8e308
    return [Metric(_name(key), value, now, step) for key, value in values.items() if math.isfinite(value)]


def _name(name: str) -> str:
    """`name` in the letters that MLflow allows."""
    return "".join(letter if letter.isalnum() or letter in "_-./ :" else "_" for letter in name)


def _without_password(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}***@{rest.rpartition('@')[2]}" if "@" in rest else uri
