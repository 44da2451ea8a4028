"""A scheduler and a callback, as somebody else would write them."""

import csv
from pathlib import Path

from cnnsearch import Decision, TrialScheduler, TunerCallback, callback, scheduler


@scheduler
class best_first(TrialScheduler):
    """Pause every trial after its first epoch, and resume the best of them once no new trial starts."""

    def on_trial_result(self, trial):
        first = len(trial.history) == 1 and trial.resumable
        return Decision.PAUSE if first else super().on_trial_result(trial)

    def choose_trial_to_resume(self, running, more_to_come, in_time):
        if more_to_come or not self.paused:
            return None
        sign = 1 if self.context.maximize else -1
        return max(self.paused.values(), key=lambda trial: sign * trial.history[-1][self.context.metric])

    def next_stop(self, trial, epochs):
        return epochs if trial.history else 1

    @property
    def described(self):
        return "Each trial pauses after its first epoch."


@callback
class epochs_csv(TunerCallback):
    """Write each epoch of each trial to epochs.csv in the study's folder."""

    def on_study_begin(self, study):
        self.path = Path(study.folder) / "epochs.csv"

    def on_epoch_end(self, trial, epoch, metrics):
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([trial.number, epoch, *metrics.values()])

    def on_study_end(self, study, end):
        self.note("Every epoch is in epochs.csv.")
