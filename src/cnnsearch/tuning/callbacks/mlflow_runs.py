"""The runs of one study in MLflow's store: an experiment for the space, a run for the study, a run for each trial."""

import platform
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from cnnsearch.study import mlflow_store as store
from cnnsearch.study import mlflow_values as values
from cnnsearch.study import moved
from cnnsearch.study.address import redacted
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial, counts
from cnnsearch.tuning.callbacks.mlflow_recovery import RepeatHistory

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
"""The status of a trial's run, by the trial's state."""

MOST_METRICS = 900
"""The most metrics in one call; MLflow's own limit is 1000."""


class Epoch(NamedTuple):
    """The metrics of an epoch, and the time at which it ended."""

    epoch: int
    metrics: dict[str, float]
    at: float


class StudyRuns:
    """Writes the runs of a study. All methods except `add_epoch` are called in one thread.

    It uses MLflow's client, because MLflow's fluent API is bound to threads and loses the parent run.

    Attributes:
        study: the study, None until the search begins.
        client: MLflow's client, None until `connect`.
        parent: the id of the study's run, empty until then.
        ended: the trials that ended, by number; `repeats`: the trainings on new seeds. Both must
            be in the store.
    """

    def __init__(self) -> None:
        self.study: Study | None = None
        self.client: Any = None
        self.parent = ""
        self.ended: dict[int, Trial] = {}
        # numbers of trials whose runs are to be deleted, also if the store was away when they were interrupted
        self.interrupted: set[int] = set()
        self.repeats: list[RepeatHistory] = []
        self._experiment = ""
        self._data: list[Any] = []
        self._tags: dict[str, str] = {}
        self._of_trials: dict[int, str] = {}
        self._new: dict[int, tuple[Trial, list[Epoch]]] = {}
        self._lock = threading.Lock()
        self._missed: dict[int, dict[int, float]] = {}
        self._sent: set[int | tuple[int, int]] = set()

    def connect(self, uri: str) -> None:
        """Open the store and write what is missing there."""
        study = self.study
        assert study is not None
        self.client = store.connect(uri)
        self._data = values.datasets(study)
        self._tags = values.child_tags(study)
        self._experiment = store.experiment(self.client, f"cnnsearch/{study.info['space']['name']}", uri)
        parent = self._earlier_parent(study, uri)
        if self.parent and parent != self.parent:
            # another store, or the runs were deleted
            self._of_trials.clear()
            self._sent.clear()
        self.parent = parent or self._new_parent(study, uri)
        self._make_whole(study)

    def _earlier_parent(self, study: Study, uri: str) -> str:
        """The study's run, if it is in this store. The store may have been moved together with the study."""
        from mlflow.exceptions import MlflowException

        known = study.fact("mlflow")
        if not known:
            return ""
        same_store = known["uri"] == redacted(uri)
        began = str(known.get("folder", study.folder))
        if same_store and moved.is_copy(began, study.folder):
            return ""  # that run belongs to the original study
        try:
            self.client.update_run(known["run_id"], status="RUNNING")
        except MlflowException as error:
            if store.is_outage(error):
                raise
            return ""  # the store or the run was deleted
        if not same_store or began != str(study.folder):
            self._remember_parent(study, uri, known["run_id"])
        return str(known["run_id"])

    def _remember_parent(self, study: Study, uri: str, run_id: str) -> None:
        place = {"uri": redacted(uri), "run_id": run_id, "folder": str(study.folder)}
        study.remember_fact("mlflow", place)

    def _new_parent(self, study: Study, uri: str) -> str:
        self._delete_orphans(study)
        run = self.client.create_run(self._experiment, run_name=study.name, tags=values.parent_tags(study))
        for key, value in values.parent_params(study).items():
            self.client.log_param(run.info.run_id, key, value)
        self.client.log_inputs(run.info.run_id, datasets=self._data)
        self.client.log_dict(run.info.run_id, study.info, "study.json")
        self._remember_parent(study, uri, run.info.run_id)
        if study.fact("logged") is not None:
            # the best model is in another store
            study.remember_fact("logged", None)
        return str(run.info.run_id)

    def _delete_orphans(self, study: Study) -> None:
        """Delete parent runs that the study does not know: their search was killed before it stored them."""
        for run in self.client.search_runs([self._experiment], "attributes.status = 'RUNNING'", max_results=1000):
            # child runs have no such tag; other machines may have a folder of the same path
            here = run.data.tags.get("cnnsearch.host", platform.node()) == platform.node()
            if here and run.data.tags.get("cnnsearch.folder") == str(study.folder):
                self.client.delete_run(run.info.run_id)

    def _make_whole(self, study: Study) -> None:
        """Write the missing runs of ended trials and repeats. Unfinished runs that no trial needs are deleted."""
        ended = dict(self.ended)
        query, whole = f"tags.`mlflow.parentRunId` = '{self.parent}'", set()
        for run in self.client.search_runs([self._experiment], query, max_results=store.MOST_RUNS):
            number = int(run.data.tags.get("cnnsearch.trial", -1))
            if run.info.status != "RUNNING":
                whole.add(number)
                self._sent.add(number)
                self._of_trials[number] = run.info.run_id
            elif number in ended:
                self._of_trials[number] = run.info.run_id
            elif number in self.interrupted or run.info.run_id not in self._of_trials.values():
                self._of_trials.pop(number, None)
                self.client.delete_run(run.info.run_id)
        for number, record in ended.items():
            if number not in whole:
                self._log_missing(record, str(study.info["metric"]))
        self._make_repeats_whole()

    def _make_repeats_whole(self) -> None:
        repeats = list(self.repeats)
        if not repeats:
            return
        query, there, mine = "tags.`cnnsearch.repeats` LIKE '%'", set(), set(self._of_trials.values())
        for run in self.client.search_runs([self._experiment], query, max_results=store.MOST_RUNS):
            above = run.data.tags["mlflow.parentRunId"]
            if run.info.status != "RUNNING":
                there.add((above, run.data.tags["cnnsearch.seed"]))
            elif above in mine:
                self.client.delete_run(run.info.run_id)
        for each in repeats:
            if (self._of_trials.get(each.repeat.trial), str(each.repeat.seed)) in there:
                self._sent.add((each.repeat.trial, each.repeat.seed))
            else:
                self.log_repeat(each)

    def log_ended(self, done: Trial) -> None:
        """Write how a trial ended, with the epochs that the store missed."""
        if done.number in self._sent:
            self._take(done.number)
            return  # it was written with the missing epochs
        if done.number in self._missed and self.study is not None:
            self._log_missing(done, str(self.study.info["metric"]))
        else:
            self._log_end(done, self._take(done.number))

    def _log_missing(self, done: Trial, metric: str) -> None:
        """Write the missing epochs of a trial, and how it ended."""
        there = {point.step for point in self.client.get_metric_history(self._run(done), values.name(metric))}
        times = self._missed.get(done.number, {}) | {each.epoch: each.at for each in self._take(done.number)}
        every = enumerate(done.history, 1)
        missing = [Epoch(epoch, metrics, times.get(epoch, time.time())) for epoch, metrics in every]
        self._log_end(done, [each for each in missing if each.epoch not in there])
        self._missed.pop(done.number, None)

    def _run(self, trial: Trial) -> str:
        if trial.number not in self._of_trials:
            tags = {"mlflow.parentRunId": self.parent, "cnnsearch.trial": str(trial.number), **self._tags}
            run = self.client.create_run(self._experiment, run_name=f"trial {trial.number}", tags=tags)
            self.client.log_inputs(run.info.run_id, datasets=self._data)
            self._of_trials[trial.number] = run.info.run_id
        return self._of_trials[trial.number]

    def add_epoch(self, trial: Trial, epoch: Epoch) -> None:
        """Add an epoch to those that `log_epochs` or the end of the trial writes. Called in any thread."""
        with self._lock:
            self._new.setdefault(trial.number, (trial, []))[1].append(epoch)

    @property
    def has_epochs(self) -> bool:
        """Whether there are epochs to write."""
        return bool(self._new)

    def _take(self, number: int) -> list[Epoch]:
        with self._lock:
            return self._new.pop(number, (None, []))[1]

    def log_epochs(self) -> None:
        """Write the new epochs of all trials, those of a trial together."""
        for number, (trial, _) in list(self._new.items()):
            epochs = self._take(number)
            if number not in self._sent:
                self._batch(trial, epochs)

    def _batch(self, trial: Trial, epochs: list[Epoch], **more: Any) -> None:
        """Write epochs, and `more` of the arguments of MLflow's `log_batch`, in one call if they are not too many."""
        metrics = [each for epoch in epochs for each in values.metrics(epoch.metrics, epoch.epoch, epoch.at)]
        metrics += more.pop("metrics", [])
        try:
            run_id = self._run(trial)
            for start in range(0, max(1, len(metrics)), MOST_METRICS):
                self.client.log_batch(run_id, metrics=metrics[start : start + MOST_METRICS], **more)
                more = {}
        except Exception:
            for epoch in epochs:
                self._missed.setdefault(trial.number, {})[epoch.epoch] = epoch.at
            raise

    def _log_end(self, done: Trial, epochs: list[Epoch]) -> None:
        from mlflow.entities import Param, RunTag

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
        # what a function reports or draws under such a name is not replaced
        own = {name for epoch in done.history for name in epoch} - {"score"}
        told = {name: value for name, value in facts.items() if value is not None and name not in own}
        params = {"seed": done.seed, **done.params}
        self._batch(
            done,
            epochs,
            metrics=values.metrics(told, done.epochs),
            params=[Param(values.name(key), str(value)) for key, value in params.items()],
            tags=[RunTag(f"cnnsearch.{key}", value) for key, value in tags.items() if value],
        )
        run_id = self._run(done)
        if done.plan:
            self.client.log_text(run_id, done.plan, "plan.json")
        self.client.set_terminated(run_id, STATUS[done.state])
        self._sent.add(done.number)

    def log_repeat(self, done: RepeatHistory) -> None:
        """Write a training on a new seed as a run below the trial's run."""
        repeat, history = done
        if (repeat.trial, repeat.seed) in self._sent:
            return  # it was written with the missing epochs
        above = self._of_trials.get(repeat.trial) or self._earlier_run(repeat.trial)
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
        run_id = self.client.create_run(self._experiment, run_name=name, tags=tags).info.run_id
        found = [each for epoch, metrics in enumerate(history, 1) for each in values.metrics(metrics, epoch)]
        if repeat.score is not None:
            facts = {"score": repeat.score, "epochs": repeat.epochs, "seconds": repeat.seconds}
            found += values.metrics(facts, repeat.epochs)
        for start in range(0, len(found), MOST_METRICS):
            self.client.log_batch(run_id, metrics=found[start : start + MOST_METRICS])
        self.client.set_terminated(run_id, "FINISHED" if repeat.score is not None else "FAILED")
        self._sent.add((repeat.trial, repeat.seed))

    def log_file(self, done: Trial, path: Path) -> None:
        """Write a model file to the run of its trial."""
        run_id = self._of_trials.get(done.number) or self._earlier_run(done.number)
        if run_id and not self.client.list_artifacts(run_id, "checkpoint"):
            self.client.log_artifact(run_id, str(path), "checkpoint")

    def log_text(self, done: Trial, path: Path) -> None:
        """Write the log of a trial to its run."""
        if run_id := self._of_trials.get(done.number) or self._earlier_run(done.number):
            self.client.log_artifact(run_id, str(path), "log")

    def _earlier_run(self, number: int) -> str | None:
        """The run of a trial that an earlier `run` trained."""
        query = f"tags.`mlflow.parentRunId` = '{self.parent}' and tags.`cnnsearch.trial` = '{number}'"
        found = self.client.search_runs([self._experiment], query, max_results=1)
        return str(found[0].info.run_id) if found else None

    def delete(self, done: Trial) -> None:
        """Delete the run of a trial."""
        self._take(done.number)
        run_id = self._of_trials.pop(done.number, None)
        if run_id:
            self.client.delete_run(run_id)

    def end_parent(self, status: str, records: list[Trial], files: tuple[Path, ...]) -> None:
        """End the study's run; `records` are the study's, ranked."""
        ended: dict[str, float] = {f"trials_{kind}": number for kind, number in counts(records).items()}
        self.client.log_batch(self.parent, metrics=values.metrics(ended, len(records)))
        best = next((record for record in records if record.state == "complete"), None)
        if best is not None and best.score is not None:
            self.client.log_batch(self.parent, metrics=values.metrics({"best_score": best.score}, len(records)))
            self.client.set_tag(self.parent, "cnnsearch.best_trial", str(best.number))
        for path in files:
            self.client.log_artifact(self.parent, str(path))
        self.client.set_terminated(self.parent, status)
