"""The callback that writes a search to MLflow in a background thread."""

import contextlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from cnnsearch.core.errors import CnnsearchError, StudyError, error_line, first_line
from cnnsearch.study import confirmation, lease, listing, ranking, schema, trial_queue
from cnnsearch.study import mlflow_store as store
from cnnsearch.study.address import redacted
from cnnsearch.study.storage import lock_study
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED, Trial
from cnnsearch.tuning.callbacks import mlflow_recovery
from cnnsearch.tuning.callbacks.base import Callbacks, TunerCallback
from cnnsearch.tuning.callbacks.mlflow_recovery import RepeatHistory
from cnnsearch.tuning.callbacks.mlflow_runs import STATUS, Epoch, StudyRuns
from cnnsearch.tuning.outcome import DONE
from cnnsearch.tuning.progress import RepeatResult
from cnnsearch.tuning.trial_source import End, EndReason

EVERY = 2.0
"""Seconds between two writes of the epochs of trials in training."""

SHARE = 0.1
"""The part of the time that these writes may take."""

RETRY = 10
"""Seconds between two attempts to reach a store that did not answer."""

END_STATUS = {**dict.fromkeys(DONE, "FINISHED"), EndReason.INTERRUPTED: "KILLED"}
"""The status of a study's run in MLflow, by how the search ended. Any other end is a failure."""

LEADERBOARD_FILES = ("leaderboard.csv", "leaderboard.md")
"""The files in a study's folder that become artifacts of its run."""

PATIENCE = 60
"""Seconds that the end of a search waits for a store that is still opening; 15 if the search was stopped."""


class MlflowCallback(TunerCallback):
    """Writes a study to MLflow in one background thread, so that the search does not wait for it.

    A store that cannot be opened ends the search (`on_step_end`). If a store stops answering later, the user gets a
    message, and the missing runs are written when it answers again, or by the next run.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "mlflow")
        self._opening: Future[None] | None = None
        self._runs = StudyRuns()
        self._warned = self._failed = False
        self._away = False
        self._asked = 0.0
        self._writing: Future[None] | None = None
        self._wrote, self._took = time.monotonic(), 0.0

    def on_setup(self) -> None:
        """Import MLflow while the first worker starts; the import takes seconds."""
        self._thread.submit(store.prepare)

    def on_study_begin(self, study: Study) -> None:
        """Open the store and the study's parent run, once, in the background."""
        if self._opening is None:
            self._runs.study = study
            # only the trials of earlier runs: `on_trial_end` adds the others
            self._runs.ended |= {record.number: record for record in study.trials() if record.state in COUNTED}
            kept = mlflow_recovery.read(study.folder)
            for repeat in map(confirmation.read, study.repeats()):
                self._runs.repeats.append(RepeatHistory(repeat, kept.get((repeat.trial, repeat.seed), [])))
            self._opening = self._thread.submit(self._open)

    def on_step_end(self) -> None:
        """Check that the store was opened, and write the epochs of trials in training from time to time.

        Raises:
            CnnsearchError: if it cannot be; it names the store and how to use another.
        """
        if self._opening is not None and self._opening.done():
            self._opening.result()
        due = time.monotonic() - self._wrote > max(EVERY, self._took / SHARE)
        if due and self._runs.has_epochs and (self._writing is None or self._writing.done()):
            self._writing = self._later(self._write_epochs)

    def _write_epochs(self) -> None:
        began = time.monotonic()
        try:
            self._runs.log_epochs()
        finally:
            self._wrote = time.monotonic()
            self._took = self._wrote - began

    def on_epoch_end(self, trial: Trial, epoch: int, metrics: dict[str, float]) -> None:
        """Log one epoch of a trial, at the latest when the trial ends. The first one creates the trial's run."""
        self._runs.add_epoch(trial, Epoch(epoch, dict(metrics), time.time()))

    def on_trial_end(self, trial: Trial) -> None:
        """Log how a trial ended. A duplicate has no run, or one that is deleted: some are known only at their end."""
        if trial.state in STATUS:
            self._runs.ended[trial.number] = trial
            self._later(self._runs.log_ended, trial)
            if self._runs.study and (log := self._runs.study.log(trial.number)):
                self._later(self._runs.log_text, trial, log)
        else:
            self.on_trial_interrupt(trial)

    def on_repeat_end(self, result: RepeatResult) -> None:
        """Log a training on a new seed as a run below the trial's run."""
        done = RepeatHistory(result.repeat, list(result.history))
        self._runs.repeats.append(done)
        self._later(self._runs.log_repeat, done)

    def on_trial_interrupt(self, trial: Trial) -> None:
        """Delete the run of an interrupted trial. The trial that resumes it has a new run."""
        self._runs.interrupted.add(trial.number)
        self._later(self._runs.delete, trial)

    def problem(self, text: str) -> None:
        """Show the first warning that something is missing in MLflow; later ones are dropped."""
        if not self._warned:
            self._warned = True
            self.note(f"MLflow: {text}")

    def model_order(self) -> dict[str, str] | None:
        """Wait until all is written; return the run and the store for the best model, or None if there is no store."""
        self._thread.submit(lambda: None).result()
        return (
            {"run_id": self._runs.parent, "uri": store.tracking_uri()} if self._runs.parent and not self._away else None
        )

    @property
    def away(self) -> bool:
        """Whether the store does not answer at present. What it missed is not lost."""
        return self._away

    def models(self, kept: Iterable[tuple[Trial, Path | None]]) -> None:
        """Log the model files to the runs of their trials."""
        for record, path in kept:
            if path:
                self._later(self._runs.log_file, record, path)

    def on_study_end(self, study: Study, end: End) -> None:
        """End the parent run, with the leaderboard's files as artifacts."""
        if self._opening is None and study.fact("unsent"):
            self.on_study_begin(study)
        ranked = ranking.ranked(study)
        if any(record.state in COUNTED for record in ranked):
            files = tuple(filter(Path.is_file, (study.folder / name for name in LEADERBOARD_FILES)))
            self.close(END_STATUS.get(end.reason, "FAILED"), ranked, files)
        else:
            self.close("", [])

    def close(self, status: str, records: list[Trial], files: tuple[Path, ...] = ()) -> None:
        """Write what is pending and end the parent run. Without a status nothing was trained, and the run is deleted.

        `records` are the study's, ranked.
        """
        if self._opening is not None:
            wait([self._opening], PATIENCE if status == "FINISHED" else 15)
        if self._opening is None or not self._opening.done():
            # a stopped search must not wait for a server that does not answer
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._note_unsent(bool(status))
            return
        error = self._opening.exception()
        if error:
            # the search ended before `on_step_end` could raise it
            self.problem(str(error).partition("\n")[0])
        # try once more, even if the last attempt was less than RETRY seconds ago
        self._asked = 0.0
        if status and self._failed:
            # a server that is being restarted refuses some writes; what they missed is written now
            self._later(self._runs.connect, store.tracking_uri())
        if not status:
            self._later(lambda: self._runs.client.delete_run(self._runs.parent))
        else:
            self._later(self._runs.end_parent, status, records, files)
        self._thread.shutdown(wait=True)
        self._note_unsent((self._away or error is not None) and bool(status))

    def _note_unsent(self, missing: bool) -> None:
        """Store whether the next run has to send something to MLflow."""
        study = self._runs.study
        if study is None:
            return
        known = bool(study.fact("unsent"))
        if missing:
            mlflow_recovery.write(study.folder, self._runs.repeats)
            uri = redacted(store.tracking_uri())
            self.note(f"MLflow: {uri} did not receive every run. The same command sends the missing ones.")
        if known != missing:
            study.remember_fact("unsent", missing)
        if known and not missing:
            mlflow_recovery.clear(study.folder)

    def _later(self, write: Callable[..., None], *what: Any) -> Future[None]:
        def attempt() -> None:
            if self._away:
                self._try_again()
            if not self._runs.parent or self._away:
                return
            try:
                write(*what)
            except Exception as error:
                if store.is_outage(error):
                    self._lose()
                else:
                    self._failed = True
                    self.problem(error_line(error))

        return self._thread.submit(attempt)

    def _lose(self) -> None:
        """Note that the store does not answer. From now on it is tried every RETRY seconds."""
        self._asked = time.monotonic()
        if not self._away:
            self._away = True
            uri = redacted(store.tracking_uri())
            self.note(f"MLflow: {uri} does not answer. The search continues. The missing runs are sent later.")

    def _try_again(self) -> None:
        """Try a store again that did not answer. If it answers now, write what is missing."""
        if time.monotonic() - self._asked < RETRY:
            return
        self._asked = time.monotonic()
        if store.unreachable(store.tracking_uri()):
            return
        try:
            self._runs.connect(store.tracking_uri())
        except Exception as error:
            if not store.is_outage(error):
                self.problem(error_line(error))
            return
        self._away = False
        uri = redacted(store.tracking_uri())
        self.note(f"MLflow: {uri} answers again. The missing runs are sent.")

    def _open(self) -> None:
        uri = store.tracking_uri()
        try:
            self._runs.connect(uri)
        except CnnsearchError:
            raise
        except Exception as error:
            # with a parent run, it was opened and is lost since
            if (store.is_server(uri) or self._runs.parent) and store.is_outage(error):
                self._lose()
                return
            if schema.MLFLOW in str(error):
                raise CnnsearchError(schema.mlflow_problem(str(error), redacted(uri))) from error
            raise CnnsearchError(
                f"MLflow's store {redacted(uri)} cannot be opened: {first_line(error)}. "
                "Set MLFLOW_TRACKING_URI to another store, such as sqlite:///other.db."
            ) from error


class Notes(TunerCallback):
    """Passes the notes of other callbacks to a function."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show

    def on_note(self, text: str) -> None:
        self._show(text)


def write_moved(runs: Path, storage: str, warn: Callable[[str], None]) -> None:
    """Write studies that were moved or copied since their last run to the present store."""
    for summary in listing.summaries(runs, storage):
        study: Study = summary["study"]
        known = study.fact("mlflow")
        if not known or not summary["trials"] or known.get("folder", study.info["folder"]) == str(study.folder):
            continue
        with contextlib.suppress(StudyError), contextlib.ExitStack() as stack:
            # if another process works on the study, that process writes it
            lease.refuse_if_held(study)
            stack.enter_context(lock_study(study.folder, study.name))
            warn(f"Study '{study.name}' was moved. Its runs are written to the MLflow store here.")
            tracker = MlflowCallback()
            Callbacks([tracker, Notes(warn)])
            tracker.on_study_begin(study)
            assert tracker._opening is not None
            wait([tracker._opening], 2 * PATIENCE)
            tracker.on_step_end()
            tracker.close("KILLED" if trial_queue.resumable_trials(study) else "FINISHED", ranking.ranked(study))
