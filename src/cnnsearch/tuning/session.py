"""The parts that all tuners of one command share: study, limits of workers, signals and callbacks."""

from collections.abc import Callable
from dataclasses import dataclass

from cnnsearch.spaces.plugins import Catalog
from cnnsearch.study import lease
from cnnsearch.study.config import SearchConfig
from cnnsearch.study.study import Study
from cnnsearch.tuning import registry
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.launchers.base import Launcher
from cnnsearch.tuning.signals import SignalHandler
from cnnsearch.tuning.supervisor import Limits
from cnnsearch.tuning.trial_source import A, End, EndReason, TrialSource
from cnnsearch.tuning.tuner import Tuner


@dataclass(frozen=True)
class Session:
    """The parts of a tuner that a search and the confirmation after it have in common."""

    study: Study
    limits: Limits
    stop: SignalHandler
    callbacks: TunerCallback

    def tune(self, source: TrialSource[A], launcher: Launcher) -> End:
        """Run the trials of `source` on the workers of `launcher`, and return how that ended.

        Raises:
            CnnsearchError: if nothing can be trained.
        """
        return Tuner(self.study, source, launcher, self.limits, self.stop, self.callbacks).run()

    def tune_on_new_workers(self, source: TrialSource[A], config: SearchConfig, jobs: int, known: Catalog) -> End:
        """The same on `jobs` workers that are started for it, and that end with it."""
        with self.stop.deferred():
            launcher = registry.launcher(config, jobs, known)
            try:
                return self.tune(source, launcher)
            finally:
                launcher.close()


def to_its_end(study: Study, callbacks: TunerCallback, work: Callable[[], End]) -> End:
    """The end of `work`. After it, or after its error, the callbacks are told and the study's lease is released."""
    end = End(EndReason.FAILED, "a fault")
    try:
        end = work()
    except KeyboardInterrupt:
        end = End(EndReason.INTERRUPTED)
        raise
    finally:
        try:
            callbacks.on_study_end(study, end)
        finally:
            lease.release(study)
    return end
