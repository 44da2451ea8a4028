"""MLflow: one experiment a space, one parent run a study, one child run a trial; written off the training's path."""

import contextlib
import platform
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import CnnsearchError, StudyError
from cnnsearch.study import listing, moved, ranking, schema, trial_queue
from cnnsearch.study import mlflow_store as store
from cnnsearch.study import study as studies
from cnnsearch.study.confirmation import Repeat
from cnnsearch.study.storage import hold
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED, Record, counts
from cnnsearch.tuning.callbacks import mlflow_recovery
from cnnsearch.tuning.callbacks.mlflow_recovery import Told

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


RETRY = 10
"""Seconds after which a store that did not answer is asked again."""

PATIENCE = 60
"""Seconds that the end of a search waits for a store that is still being opened; 15 if it was stopped."""


class Tracker:
    """Writes a study to MLflow, all from one background thread, so that nobody waits for it.

    The explicit client is used throughout: MLflow's fluent API is bound to threads and loses the parent.
    A store that cannot be opened stops the search (`check`). One that stops to answer later costs a message: what it
    missed is written from the study when it answers again, or by the next run.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._thread = ThreadPoolExecutor(1, "mlflow")
        # MLflow takes seconds to import: they pass while the first worker starts
        self._thread.submit(store.prepare)
        self._opening: Future[None] | None = None
        self._study: Study | None = None
        self._client: Any = None
        self._parent = ""
        self._experiment = ""
        self._data: list[Any] = []
        self._tags: dict[str, str] = {}
        self._runs: dict[int, str] = {}
        self._warned = False
        self._away = False
        self._asked = 0.0
        self._ended: dict[int, Record] = {}
        self._repeats: list[Told] = []
        self._missed: dict[int, dict[int, float]] = {}
        self._sent: set[int | tuple[int, int]] = set()

    def begin(self, study: Study) -> None:
        """Open the store and the study's parent run, once; nobody waits for it."""
        if self._opening is None:
            self._study = study
            # those of before alone: what ends from now on is told by itself
            self._ended |= {record.number: record for record in study.records() if record.state in COUNTED}
            kept = mlflow_recovery.read(study.folder)
            for each in study.repeats():
                repeat = Repeat(**{field: each[field] for field in Repeat._fields if field in each})
                self._repeats.append(Told(repeat, kept.get((repeat.trial, repeat.seed), [])))
            self._opening = self._thread.submit(self._open)

    def check(self) -> None:
        """Raise what kept the store from being opened.

        Raises:
            CnnsearchError: it names the store and how to use another.
        """
        if self._opening is not None and self._opening.done():
            self._opening.result()

    def epoch(self, trial: Record, epoch: int, metrics: dict[str, float]) -> None:
        """Log one epoch of a trial; its child run begins with its first."""
        at = time.time()
        self._later(self._log_epoch, trial, epoch, dict(metrics), at, lost=lambda: self._miss(trial.number, epoch, at))

    def end(self, done: Record) -> None:
        """Log how a trial ended. Duplicates were never trained and leave no run."""
        if done.state in STATUS:
            self._ended[done.number] = done
            self._later(self._log_ended, done)

    def repeat(self, trial: Record, repeat: Repeat, history: list[dict[str, float]]) -> None:
        """Log a further training of a trial as a run below the trial's."""
        told = Told(repeat, history)
        self._repeats.append(told)
        self._later(self._log_repeat, told)

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
        return {"run_id": self._parent, "uri": store.tracking_uri()} if self._parent and not self._away else None

    @property
    def away(self) -> bool:
        """Whether the store does not answer at present. What it missed is not lost."""
        return self._away

    def models(self, kept: Iterable[tuple[Record, Path | None]]) -> None:
        """Log the model files that are there to the runs of their trials."""
        for record, path in kept:
            if path:
                self._later(self._log_file, record, path)

    def close(self, status: str, records: list[Record], files: tuple[Path, ...] = ()) -> None:
        """Write what is left and end the parent run; without a status, delete it: nothing was trained.

        `records` are the study's, ranked.
        """
        if self._opening is not None:
            wait([self._opening], PATIENCE if status == "FINISHED" else 15)
        if self._opening is None or not self._opening.done():
            # a server that does not answer must not keep a stopped search waiting
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._note_unsent(bool(status))
            return
        # an outage is looked at once more, however short it was
        self._asked = 0.0
        if not status:
            self._later(lambda: self._client.delete_run(self._parent))
        else:
            self._later(self._end_parent, status, records, files)
        self._thread.shutdown(wait=True)
        self._note_unsent(self._away and bool(status))

    def _note_unsent(self, missing: bool) -> None:
        """Remember whether the next run has something to send that nothing else tells it."""
        if self._study is None or bool(self._study.fact("unsent")) == missing:
            return
        self._study.remember_fact("unsent", missing)
        if missing:
            mlflow_recovery.write(self._study.folder, self._repeats)
            uri = store.without_password(store.tracking_uri())
            self._warn(f"MLflow: {uri} did not get everything. The same command sends what is missing.")
        else:
            mlflow_recovery.clear(self._study.folder)

    def _later(self, write: Callable[..., None], *what: Any, lost: Callable[[], None] = lambda: None) -> None:
        def attempt() -> None:
            if self._away and not self._is_back():
                lost()
            if not self._parent or self._away:
                return
            try:
                write(*what)
            except Exception as error:
                if store.is_outage(error):
                    self._lose()
                    lost()
                else:
                    self.problem(f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}")

        self._thread.submit(attempt)

    def _miss(self, number: int, epoch: int, at: float) -> None:
        self._missed.setdefault(number, {})[epoch] = at

    def _lose(self) -> None:
        """The store does not answer: from now on it is asked now and then only."""
        self._asked = time.monotonic()
        if not self._away:
            self._away = True
            uri = store.without_password(store.tracking_uri())
            self._warn(f"MLflow: {uri} does not answer. The search continues; what is missing there is sent later.")

    def _is_back(self) -> bool:
        """Ask a store again that did not answer; if it does now, write what it missed."""
        if time.monotonic() - self._asked < RETRY:
            return False
        self._asked = time.monotonic()
        if store.unreachable(store.tracking_uri()):
            return False
        try:
            self._connect(store.tracking_uri())
        except Exception as error:
            if not store.is_outage(error):
                self.problem(f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}")
            return False
        self._away = False
        uri = store.without_password(store.tracking_uri())
        self._warn(f"MLflow: {uri} answers again. What was missing there is sent.")
        return True

    def _open(self) -> None:
        uri = store.tracking_uri()
        try:
            self._connect(uri)
        except CnnsearchError:
            raise
        except Exception as error:
            if store.is_server(uri) and store.is_outage(error):
                self._lose()
                return
            if schema.MLFLOW in str(error):
                raise CnnsearchError(schema.mlflow_problem(str(error), store.without_password(uri))) from error
            reason = str(error).strip().partition("\n")[0][:200].rstrip(".")
            raise CnnsearchError(
                f"MLflow's store {store.without_password(uri)} cannot be opened: {reason}. "
                "Set MLFLOW_TRACKING_URI to another, such as sqlite:///other.db."
            ) from error

    def _connect(self, uri: str) -> None:
        """Open the store and write what of the study is not there."""
        study = self._study
        assert study is not None
        self._client = store.connect(uri)
        self._data = store.datasets(study)
        self._tags = store.child_tags(study)
        self._experiment = store.experiment(self._client, f"cnnsearch/{study.info['space']['name']}", uri)
        parent = self._earlier_parent(study, uri)
        if self._parent and parent != self._parent:
            # another store, or an emptied one
            self._runs.clear()
            self._sent.clear()
        self._parent = parent or self._new_parent(study, uri)
        self._make_whole(study)

    def _earlier_parent(self, study: Study, uri: str) -> str:
        """The study's run, if it is in this store. The store may have been moved together with the study."""
        from mlflow.exceptions import MlflowException

        known = study.fact("mlflow")
        if not known:
            return ""
        same_store = known["uri"] == store.without_password(uri)
        began = str(known.get("folder", study.folder))
        if same_store and moved.is_copy(began, study.folder):
            return ""  # that run is the original's
        try:
            self._client.update_run(known["run_id"], status="RUNNING")
        except MlflowException as error:
            if store.is_outage(error):
                raise
            return ""  # the store was deleted or emptied meanwhile
        if not same_store or began != str(study.folder):
            self._remember_parent(study, uri, known["run_id"])
        return str(known["run_id"])

    def _remember_parent(self, study: Study, uri: str, run_id: str) -> None:
        place = {"uri": store.without_password(uri), "run_id": run_id, "folder": str(study.folder)}
        study.remember_fact("mlflow", place)

    def _new_parent(self, study: Study, uri: str) -> str:
        self._delete_orphans(study)
        run = self._client.create_run(self._experiment, run_name=study.name, tags=store.parent_tags(study))
        for key, value in store.parent_params(study).items():
            self._client.log_param(run.info.run_id, key, value)
        self._client.log_inputs(run.info.run_id, datasets=self._data)
        self._client.log_dict(run.info.run_id, study.info, "study.json")
        self._remember_parent(study, uri, run.info.run_id)
        if study.fact("logged") is not None:
            # the best model is in another store
            study.remember_fact("logged", None)
        return str(run.info.run_id)

    def _delete_orphans(self, study: Study) -> None:
        """Parent runs of this study that no study knows: their search was killed before it could say so."""
        for run in self._client.search_runs([self._experiment], "attributes.status = 'RUNNING'", max_results=1000):
            # the folder is held by this process alone; children have no such tag. Other machines have such folders, too
            here = run.data.tags.get("cnnsearch.host", platform.node()) == platform.node()
            if here and run.data.tags.get("cnnsearch.folder") == str(study.folder):
                self._client.delete_run(run.info.run_id)

    def _make_whole(self, study: Study) -> None:
        """Write what is not there: the runs of ended trials and repeats. Runs that nothing works on are deleted."""
        ended = dict(self._ended)
        query, whole = f"tags.`mlflow.parentRunId` = '{self._parent}'", set()
        for run in self._client.search_runs([self._experiment], query, max_results=store.MOST_RUNS):
            number = int(run.data.tags.get("cnnsearch.trial", -1))
            if run.info.status != "RUNNING":
                whole.add(number)
                self._sent.add(number)
                self._runs[number] = run.info.run_id
            elif number in ended:
                self._runs[number] = run.info.run_id
            elif run.info.run_id not in self._runs.values():
                self._client.delete_run(run.info.run_id)
        for number, record in ended.items():
            if number not in whole:
                self._log_missing(record, str(study.info["metric"]))
        self._make_repeats_whole()

    def _make_repeats_whole(self) -> None:
        told = list(self._repeats)
        if not told:
            return
        query, there, mine = "tags.`cnnsearch.repeats` LIKE '%'", set(), set(self._runs.values())
        for run in self._client.search_runs([self._experiment], query, max_results=store.MOST_RUNS):
            above = run.data.tags["mlflow.parentRunId"]
            if run.info.status != "RUNNING":
                there.add((above, run.data.tags["cnnsearch.seed"]))
            elif above in mine:
                self._client.delete_run(run.info.run_id)
        for each in told:
            if (self._runs.get(each.repeat.trial), str(each.repeat.seed)) in there:
                self._sent.add((each.repeat.trial, each.repeat.seed))
            else:
                self._log_repeat(each)

    def _log_ended(self, done: Record) -> None:
        if done.number in self._sent:
            return  # with what was missed
        if done.number in self._missed and self._study is not None:
            self._log_missing(done, str(self._study.info["metric"]))
        else:
            self._log_end(done)

    def _log_missing(self, done: Record, metric: str) -> None:
        """The epochs of a trial that are not there, and how it ended."""
        there = {point.step for point in self._client.get_metric_history(self._run(done), metric)}
        times = self._missed.get(done.number, {})
        for epoch, metrics in enumerate(done.history, 1):
            if epoch not in there:
                self._log_epoch(done, epoch, metrics, times.get(epoch, time.time()))
        self._log_end(done)
        self._missed.pop(done.number, None)

    def _run(self, trial: Record) -> str:
        if trial.number not in self._runs:
            tags = {"mlflow.parentRunId": self._parent, "cnnsearch.trial": str(trial.number), **self._tags}
            run = self._client.create_run(self._experiment, run_name=f"trial {trial.number}", tags=tags)
            self._client.log_inputs(run.info.run_id, datasets=self._data)
            self._runs[trial.number] = run.info.run_id
        return self._runs[trial.number]

    def _log_epoch(self, trial: Record, epoch: int, metrics: dict[str, float], at: float) -> None:
        if trial.number in self._sent:
            return  # with what was missed
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
            from cnnsearch.study.curves import curves

            self._client.log_figure(run_id, curves(done), "curves.png")
        self._client.set_terminated(run_id, STATUS[done.state])
        self._sent.add(done.number)

    def _log_repeat(self, told: Told) -> None:
        repeat, history = told
        if (repeat.trial, repeat.seed) in self._sent:
            return  # with what was missed
        above = self._runs.get(repeat.trial) or self._earlier_run(repeat.trial)
        if above is None:
            return
        tags = {
            **self._tags,
            "mlflow.parentRunId": above,
            "cnnsearch.repeats": str(repeat.trial),
            "cnnsearch.seed": str(repeat.seed),
            **({"cnnsearch.reason": repeat.reason[:500]} if repeat.reason else {}),
        }
        name = f"trial {repeat.trial}, seed {repeat.seed}"
        run_id = self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id
        for epoch, metrics in enumerate(history, 1):
            self._client.log_batch(run_id, metrics=store.metrics(metrics, epoch))
        if repeat.score is not None:
            facts = {"score": repeat.score, "epochs": repeat.epochs, "seconds": repeat.seconds}
            self._client.log_batch(run_id, metrics=store.metrics(facts, repeat.epochs))
        self._client.set_terminated(run_id, "FINISHED" if repeat.score is not None else "FAILED")
        self._sent.add((repeat.trial, repeat.seed))

    def _log_file(self, done: Record, path: Path) -> None:
        run_id = self._runs.get(done.number) or self._earlier_run(done.number)
        if run_id and not self._client.list_artifacts(run_id, "checkpoint"):
            self._client.log_artifact(run_id, str(path), "checkpoint")

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


def write_moved(runs: Path, storage: str, warn: Callable[[str], None]) -> None:
    """Write to the present store what it does not have of studies that were moved or copied since their last run."""
    for summary in listing.summaries(runs, storage):
        study: Study = summary["study"]
        known = study.fact("mlflow")
        if not known or not summary["trials"] or known.get("folder", study.info["folder"]) == str(study.folder):
            continue
        with contextlib.suppress(StudyError), contextlib.ExitStack() as stack:
            # where another process works on it, that one writes it
            studies.refuse_if_held(study)
            stack.enter_context(hold(study.folder, study.name))
            warn(f"Study '{study.name}' was moved. Its runs are written to MLflow's store here.")
            tracker = Tracker(warn)
            tracker.begin(study)
            assert tracker._opening is not None
            wait([tracker._opening], 2 * PATIENCE)
            tracker.check()
            tracker.close("KILLED" if trial_queue.to_go_on(study) else "FINISHED", ranking.ranked(study))
