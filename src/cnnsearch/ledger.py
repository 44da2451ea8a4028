"""How trials end: told to Optuna, written to MLflow, remembered, or put back to be trained again."""

from collections.abc import Iterable
from dataclasses import replace

import optuna
from optuna.trial import TrialState

from cnnsearch import queued
from cnnsearch.record import ATTRIBUTE, COSTS, COUNTED, TWIN, Record, record
from cnnsearch.study import Study
from cnnsearch.tracking import Tracker


class Ledger:
    """The records of a study's ended trials, kept equal in Optuna and in MLflow."""

    def __init__(self, study: Study, tracker: Tracker) -> None:
        self.study, self.tracker = study, tracker
        self._records = {record.number: record for record in study.records()}

    def in_order(self) -> list[Record]:
        """Every record, by the trials' numbers."""
        return [self._records[number] for number in sorted(self._records)]

    def counted(self) -> int:
        """How many trials have ended, of those that count."""
        return sum(record.state in COUNTED for record in self._records.values())

    def known(self, wanted: Record, running: Iterable[Record]) -> int | None:
        """The number of another trial with the same plan that was tried, or is among the `running`.

        To a twin one that was pruned is not: it has no score of as many epochs.
        """
        states = {*COUNTED, "running"} - ({"pruned"} if wanted.origin.startswith(TWIN) else set())
        for other in [*self._records.values(), *running]:
            tried = other.state in states
            if tried and other.key == wanted.key and other.number != wanted.number:
                return other.number
        return None

    def close(self, done: Record, trial: optuna.Trial) -> Record:
        """End a trial; gives back its record as it is stored."""
        done = replace(done, params=dict(trial.params))
        finish(self.study, trial, done)
        kept = record(self._frozen(done.number))
        self._records[done.number] = kept
        self.tracker.end(kept)
        return kept

    def wait(self, there: Record, trial: optuna.Trial) -> None:
        """Keep what is known of a trial that waits at a rung; it has not ended."""
        trial.set_user_attr(ATTRIBUTE, there.to_attribute())

    def interrupt(self, running: Record, trial: optuna.Trial, why: str = "", retried: bool = False) -> None:
        """End a running trial and queue its point again, to be trained on."""
        done = replace(running, state="interrupted", reason=why or "put back when the run ended")
        finish(self.study, trial, done)
        queued.put_back(self.study, self._frozen(done.number), done.seed, retried)
        self._records[done.number] = done
        self.tracker.drop(done)

    def pass_over(self, drawn: Record, trial: optuna.Trial, again: bool) -> None:
        """End what was drawn and is not trained for its time or cost. It counts for nothing; `again`: it is queued."""
        if again:
            self.interrupt(drawn, trial, "it would not have ended in time")
        else:
            # a failed one is invisible to the sampler, which shall not learn from it
            self.close(replace(drawn, state="passed", plan=""), trial)

    def put_back_stale(self) -> None:
        """Trials of a run that was killed are still RUNNING in the storage; nothing runs them any more."""
        for frozen in self.study.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            stale = replace(record(frozen), state="interrupted", reason="its run was killed")
            finish(self.study, optuna.Trial(self.study.optuna, frozen._trial_id), stale)
            queued.put_back(self.study, frozen, queued.seed_of(self.study, frozen))
            self._records[frozen.number] = stale

    def _frozen(self, number: int) -> optuna.trial.FrozenTrial:
        return self.study.optuna.get_trials(deepcopy=False)[number]


def finish(study: Study, trial: optuna.Trial, done: Record) -> None:
    """Write a trial's record and tell Optuna how it ended."""
    trial.set_user_attr(ATTRIBUTE, done.to_attribute())
    if done.state == "complete":
        study.optuna.tell(trial, _values(study, done), skip_if_finished=True)
    elif done.state == "pruned" or done.failure:
        if done.failure:
            # FAIL is invisible to the sampler, which would propose the like again (optuna#2864)
            trial.set_constraint("feasible", 1.0)
        _tell_without_value(study, trial, TrialState.PRUNED)
    else:
        _tell_without_value(study, trial, TrialState.FAIL)


def _values(study: Study, done: Record) -> list[float]:
    """What Optuna is told of a complete trial: its score, then its costs."""
    assert done.score is not None
    return [done.score, *(float(getattr(done, COSTS[cost])) for cost in study.costs)]


def _tell_without_value(study: Study, trial: optuna.Trial, state: TrialState) -> None:
    study.optuna.tell(trial, state=state, skip_if_finished=True)
