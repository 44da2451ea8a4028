"""Records how trials end: in Optuna, with the callbacks, and in the statistics; or requeues them."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter

import optuna
from optuna.trial import TrialState

from cnnsearch.study import trial_queue
from cnnsearch.study.study import Study
from cnnsearch.study.trial import ATTRIBUTE, CONTROLLED_ORIGIN, COSTS, COUNTED, Trial, from_optuna
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.progress import StudyStatistics


class TrialRecorder:
    """The ended trials of a study: stores them in Optuna and tells the callbacks.

    It is used at every message of a worker, so no method but `same_point` reads all trials.

    Attributes:
        trials: every trial, in the order of their numbers.
        saved: the trials whose model was saved.
        statistics: the statistics of all trials.
    """

    def __init__(self, study: Study, callbacks: TunerCallback) -> None:
        self.study, self.callbacks = study, callbacks
        self.trials: list[Trial] = []
        self.saved: list[Trial] = []
        self.statistics = StudyStatistics(study.maximize)
        self._by_key: dict[str, list[Trial]] = defaultdict(list)
        for each in study.trials():
            self._keep(each)

    def _keep(self, done: Trial) -> None:
        """Add an ended trial, or replace its earlier version."""
        place = bisect_left(self.trials, done.number, key=attrgetter("number"))
        known = place < len(self.trials) and self.trials[place].number == done.number
        self.trials[place : place + known] = [done]
        if done.state not in ("running", "waiting"):
            self.statistics = self.statistics.plus(done)
        for earlier in [each for each in self._by_key[done.key] if each.number == done.number]:
            # of a search that was killed while this trial was paused
            self._by_key[done.key].remove(earlier)
        self._by_key[done.key].append(done)
        if done.checkpoint:
            self.saved.append(done)

    def known(self, wanted: Trial, running: Iterable[Trial]) -> int | None:
        """The number of another trial with the same plan that was trained or is in `running`; None if there is none.

        A controlled trial needs a score at full length, so pruned trials and one that the time limit ended do not count
        for it.
        """
        whole = wanted.origin.startswith(CONTROLLED_ORIGIN)
        for other in [*self._by_key[wanted.key], *running]:
            tried = other.state in (*COUNTED, "running", "waiting") and not (
                whole and (other.cut or other.state == "pruned")
            )
            if tried and other.key == wanted.key and other.number != wanted.number:
                return other.number
        return None

    def same_point(self, trial: optuna.Trial) -> int | None:
        """The number of an ended trial with the same hyperparameters; None if there is none. It reads all trials.

        Two workers can draw the last point of a grid at the same time. A function that trains for itself may draw
        until its end, so its trials are compared when they have ended.
        """
        drawn = dict(trial.params)
        same = (each.number for each in self.trials if each.state in COUNTED and each.params == drawn)
        return next(same, None)

    def close(self, done: Trial, trial: optuna.Trial) -> Trial:
        """End a trial; returns its record as it is stored."""
        done = replace(done, params=dict(trial.params))
        finish(self.study, trial, done)
        kept = from_optuna(self._frozen(trial))
        self._keep(kept)
        self.callbacks.on_trial_end(kept)
        return kept

    def pause(self, there: Trial, trial: optuna.Trial) -> None:
        """Store a paused trial. It has not ended."""
        trial.set_user_attr(ATTRIBUTE, there.to_attribute())

    def interrupt(
        self, running: Trial, trial: optuna.Trial, why: str = "", retried: bool = False, moved: bool = False
    ) -> None:
        """End a running trial and queue its point again; a later trial resumes it.

        `why`: the reason, to be stored; `retried`: whether its worker was lost, which may happen only once; `moved`:
        whether its machine was lost, too.
        """
        done = replace(running, state="interrupted", reason=why or "interrupted at the end of the run; it is requeued")
        trial.set_user_attr(ATTRIBUTE, done.to_attribute())
        # first: if the storage fails in between, the next run requeues what has not ended
        trial_queue.requeue(self.study, self._frozen(trial), done.seed, retried, done.look, moved)
        finish(self.study, trial, done)
        self._keep(done)
        self.callbacks.on_trial_interrupt(done)

    def skip(self, drawn: Trial, trial: optuna.Trial, again: bool) -> None:
        """End a drawn trial that is not trained because of its time or cost. It is not counted; `again`: requeue it."""
        if again:
            self.interrupt(drawn, trial, "it would not end within the time limit")
        else:
            # Optuna's samplers ignore trials of the state FAIL, so they do not learn from this one
            self.close(replace(drawn, state="passed", plan=""), trial)

    def requeue_stale(self) -> None:
        """Requeue the trials of a run that was killed: they are RUNNING in the storage, but no worker has them."""
        requeued = trial_queue.resumed_trials(self.study)
        for frozen in self.study.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            stale = replace(from_optuna(frozen), state="interrupted", reason="its run was killed")
            if frozen.number not in requeued:
                seed = trial_queue.seed_of(self.study, frozen)
                trial_queue.requeue(self.study, frozen, seed, low_fidelity=stale.look)
            finish(self.study, optuna.Trial(self.study.optuna, frozen._trial_id), stale)
            self._keep(stale)

    def _frozen(self, trial: optuna.Trial) -> optuna.trial.FrozenTrial:
        # Optuna's `Study` returns only all trials together
        return self.study.optuna._storage.get_trial(trial._trial_id)


def finish(study: Study, trial: optuna.Trial, done: Trial) -> None:
    """Store a trial and report to Optuna how it ended."""
    trial.set_user_attr(ATTRIBUTE, done.to_attribute())
    if done.state == "complete":
        study.optuna.tell(trial, _values(study, done), skip_if_finished=True)
    elif done.state == "pruned" or done.failure:
        if done.failure:
            # samplers ignore FAIL and would propose similar points again (optuna#2864)
            trial.set_constraint("feasible", 1.0)
        _tell_without_value(study, trial, TrialState.PRUNED)
    else:
        _tell_without_value(study, trial, TrialState.FAIL)


def _values(study: Study, done: Trial) -> list[float]:
    """The values of a complete trial for Optuna: its score, then its costs or the further values of an objective."""
    assert done.score is not None
    costs = (float(getattr(done, COSTS[cost])) for cost in study.costs)
    return [done.score, *costs, *(done.history[-1][name] for name in study.more)]


def _tell_without_value(study: Study, trial: optuna.Trial, state: TrialState) -> None:
    study.optuna.tell(trial, state=state, skip_if_finished=True)
