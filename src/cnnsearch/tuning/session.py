"""What every tuner of one command shares: the study, the limits of workers, signals and callbacks."""

from dataclasses import dataclass

from cnnsearch.study.study import Study
from cnnsearch.tuning.callbacks.base import TunerCallback
from cnnsearch.tuning.launchers.base import Launcher
from cnnsearch.tuning.signals import SignalHandler
from cnnsearch.tuning.supervisor import Limits
from cnnsearch.tuning.trial_source import A, End, TrialSource
from cnnsearch.tuning.tuner import Tuner


@dataclass(frozen=True)
class Session:
    """The parts of a tuner that a search and the confirmation after it have in common."""

    study: Study
    limits: Limits
    stop: SignalHandler
    callbacks: TunerCallback

    def tune(self, source: TrialSource[A], launcher: Launcher) -> End:
        """Run the trials of `source` on the workers of `launcher`; how that ended.

        Raises:
            CnnsearchError: if nothing can be trained.
        """
        return Tuner(self.study, source, launcher, self.limits, self.stop, self.callbacks).run()
