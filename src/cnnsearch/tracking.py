"""MLflow: one experiment a space, one parent run a study, one child run a trial; written off the training's path."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cnnsearch import mlflow_store as store
from cnnsearch.confirm import Repeat
from cnnsearch.errors import CnnsearchError
from cnnsearch.record import COUNTED, Record, counts
from cnnsearch.study import Study

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


MOST_RUNS = 50_000
"""As many as MLflow gives at once."""


class Tracker:
    """Writes a study to MLflow, all from one background thread, so that nobody waits for it.

    The explicit client is used throughout: MLflow's fluent API is bound to threads and loses the parent.
    A store that cannot be opened stops the search (`check`); one that fails later costs a warning, never a trial.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._thread = ThreadPoolExecutor(1, "mlflow")
        # MLflow takes seconds to import: they pass while the first worker starts
        self._thread.submit(store.prepare)
        self._opening: Future[None] | None = None
        self._client: Any = None
        self._parent = ""
        self._experiment = ""
        self._data: list[Any] = []
        self._tags: dict[str, str] = {}
        self._runs: dict[int, str] = {}
        self._warned = False

    def begin(self, study: Study) -> None:
        """Open the store and the study's parent run, once; nobody waits for it."""
        if self._opening is None:
            # those of before alone: what ends from now on is told by itself
            ended = {record.number: record for record in study.records() if record.state in COUNTED}
            self._opening = self._thread.submit(self._open, study, ended)

    def check(self) -> None:
        """Raise what kept the store from being opened.

        Raises:
            CnnsearchError: it names the store and how to use another.
        """
        if self._opening is not None and self._opening.done():
            self._opening.result()

    def epoch(self, trial: Record, epoch: int, metrics: dict[str, float]) -> None:
        """Log one epoch of a trial; its child run begins with its first."""
        self._later(self._log_epoch, trial, epoch, dict(metrics), time.time())

    def end(self, done: Record) -> None:
        """Log how a trial ended. Duplicates were never trained and leave no run."""
        if done.state in STATUS:
            self._later(self._log_end, done)

    def repeat(self, trial: Record, repeat: Repeat, history: list[dict[str, float]]) -> None:
        """Log a further training of a trial as a run below the trial's."""
        self._later(self._log_repeat, trial, repeat, history)

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
        return {"run_id": self._parent, "uri": store.tracking_uri()} if self._parent else None

    def models(self, records: Iterable[Record]) -> None:
        """Log the model files that were kept to the runs of their trials."""
        for record in records:
            if record.checkpoint and Path(record.checkpoint).is_file():
                self._later(self._log_file, record)

    def close(self, status: str, records: list[Record], files: tuple[Path, ...] = ()) -> None:
        """Write what is left and end the parent run; without a status, delete it: nothing was trained.

        `records` are the study's, ranked.
        """
        if self._opening is None or not self._opening.done():
            # a server that does not answer must not keep a stopped search waiting
            self._thread.shutdown(wait=False, cancel_futures=True)
            return
        if self._parent and not status:
            self._later(self._client.delete_run, self._parent)
        elif self._parent:
            self._later(self._end_parent, status, records, files)
        self._thread.shutdown(wait=True)

    def _later(self, write: Callable[..., None], *what: Any) -> None:
        def attempt() -> None:
            if not self._parent:
                return
            try:
                write(*what)
            except Exception as error:
                self.problem(f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}")

        self._thread.submit(attempt)

    def _open(self, study: Study, ended: dict[int, Record]) -> None:
        uri = store.tracking_uri()
        try:
            self._client = store.connect(uri)
            self._data = store.datasets(study)
            self._tags = store.child_tags(study)
            self._experiment = store.experiment(self._client, f"cnnsearch/{study.info['space']['name']}", uri)
            self._parent = self._earlier_parent(study, uri) or self._new_parent(study, uri)
            self._make_whole(study, ended)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0][:200].rstrip(".")
            raise CnnsearchError(
                f"MLflow's store {store.without_password(uri)} cannot be opened: {reason}. "
                "Set MLFLOW_TRACKING_URI to another, such as sqlite:///other.db."
            ) from error

    def _earlier_parent(self, study: Study, uri: str) -> str:
        from mlflow.exceptions import MlflowException

        known = study.fact("mlflow")
        if not known or known["uri"] != store.without_password(uri):
            return ""
        try:
            self._client.update_run(known["run_id"], status="RUNNING")
        except MlflowException:
            return ""  # the store was deleted or emptied meanwhile
        return str(known["run_id"])

    def _new_parent(self, study: Study, uri: str) -> str:
        self._delete_orphans(study)
        run = self._client.create_run(self._experiment, run_name=study.name, tags=store.parent_tags(study))
        for key, value in store.parent_params(study).items():
            self._client.log_param(run.info.run_id, key, value)
        self._client.log_inputs(run.info.run_id, datasets=self._data)
        self._client.log_dict(run.info.run_id, study.info, "study.json")
        study.remember_fact("mlflow", {"uri": store.without_password(uri), "run_id": run.info.run_id})
        return str(run.info.run_id)

    def _delete_orphans(self, study: Study) -> None:
        """Parent runs of this study that no study knows: their search was killed before it could say so."""
        for run in self._client.search_runs([self._experiment], "attributes.status = 'RUNNING'", max_results=1000):
            # the folder is held by this process alone; children have no such tag
            if run.data.tags.get("cnnsearch.folder") == study.info["folder"]:
                self._client.delete_run(run.info.run_id)

    def _make_whole(self, study: Study, ended: dict[int, Record]) -> None:
        """What a killed `run` had not written yet: the runs of `ended` trials; others that are RUNNING are deleted."""
        query, whole = f"tags.`mlflow.parentRunId` = '{self._parent}'", set()
        for run in self._client.search_runs([self._experiment], query, max_results=MOST_RUNS):
            number = int(run.data.tags.get("cnnsearch.trial", -1))
            if run.info.status != "RUNNING":
                whole.add(number)
            elif number in ended:
                self._runs[number] = run.info.run_id
            else:
                self._client.delete_run(run.info.run_id)
        for number, record in ended.items():
            if number not in whole:
                self._log_missing(record, str(study.info["metric"]))

    def _log_missing(self, done: Record, metric: str) -> None:
        """The epochs of a trial that are not there, and how it ended."""
        there = {point.step for point in self._client.get_metric_history(self._run(done), metric)}
        for epoch, metrics in enumerate(done.history, 1):
            if epoch not in there:
                self._log_epoch(done, epoch, metrics, time.time())
        self._log_end(done)

    def _run(self, trial: Record) -> str:
        if trial.number not in self._runs:
            tags = {"mlflow.parentRunId": self._parent, "cnnsearch.trial": str(trial.number), **self._tags}
            run = self._client.create_run(self._experiment, run_name=f"trial {trial.number}", tags=tags)
            self._client.log_inputs(run.info.run_id, datasets=self._data)
            self._runs[trial.number] = run.info.run_id
        return self._runs[trial.number]

    def _log_epoch(self, trial: Record, epoch: int, metrics: dict[str, float], at: float) -> None:
        self._client.log_batch(self._run(trial), metrics=store.metrics(metrics, epoch, at))

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
            metrics=store.metrics({key: value for key, value in facts.items() if value is not None}, done.epochs),
            params=[Param(store.name(key), str(value)) for key, value in params.items()],
            tags=[RunTag(f"cnnsearch.{key}", value) for key, value in tags.items() if value],
        )
        if done.plan:
            self._client.log_text(run_id, done.plan, "plan.json")
        # MLflow draws each metric by itself; a picture takes longer than all else that is written of a trial
        if done.state == "complete" and len(done.history) > 1:
            from cnnsearch.pictures import curves

            self._client.log_figure(run_id, curves(done), "curves.png")
        self._client.set_terminated(run_id, STATUS[done.state])

    def _log_repeat(self, trial: Record, repeat: Repeat, history: list[dict[str, float]]) -> None:
        above = self._runs.get(trial.number) or self._earlier_run(trial.number)
        if above is None:
            return
        tags = {
            **self._tags,
            "mlflow.parentRunId": above,
            "cnnsearch.repeats": str(trial.number),
            "cnnsearch.seed": str(repeat.seed),
            **({"cnnsearch.reason": repeat.reason[:500]} if repeat.reason else {}),
        }
        name = f"trial {trial.number}, seed {repeat.seed}"
        run_id = self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id
        for epoch, metrics in enumerate(history, 1):
            self._client.log_batch(run_id, metrics=store.metrics(metrics, epoch))
        if repeat.score is not None:
            facts = {"score": repeat.score, "epochs": repeat.epochs, "seconds": repeat.seconds}
            self._client.log_batch(run_id, metrics=store.metrics(facts, repeat.epochs))
        self._client.set_terminated(run_id, "FINISHED" if repeat.score is not None else "FAILED")

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

    def _end_parent(self, status: str, records: list[Record], files: tuple[Path, ...]) -> None:
        ended: dict[str, float] = {f"trials_{kind}": number for kind, number in counts(records).items()}
        self._client.log_batch(self._parent, metrics=store.metrics(ended, len(records)))
        best = next((record for record in records if record.state == "complete"), None)
        if best is not None and best.score is not None:
            self._client.log_batch(self._parent, metrics=store.metrics({"best_score": best.score}, best.number))
            self._client.set_tag(self._parent, "cnnsearch.best_trial", str(best.number))
        for path in files:
            self._client.log_artifact(self._parent, str(path))
        self._client.set_terminated(self._parent, status)
