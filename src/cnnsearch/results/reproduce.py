"""`cnnsearch reproduce`: one trial trained again from its plan and seed, and compared with its recorded curve."""

from pathlib import Path
from typing import NamedTuple

from cnnsearch.core import host
from cnnsearch.core.errors import StudyError, TrialFailure
from cnnsearch.spaces import plugins as plugin_files
from cnnsearch.study import lease
from cnnsearch.study.resumed_config import stored_config
from cnnsearch.study.storage import lock_study, storage_errors
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial
from cnnsearch.tuning.callbacks.base import Callbacks
from cnnsearch.tuning.reproducer import Reproducer
from cnnsearch.tuning.session import Session
from cnnsearch.tuning.signals import SignalHandler
from cnnsearch.tuning.supervisor import Limits


class Reproduction(NamedTuple):
    """The metric of each epoch, as it was `recorded` and as it is `now`."""

    metric: str
    recorded: list[float]
    now: list[float]

    @property
    def largest_difference(self) -> float:
        """The largest difference in one epoch."""
        return max((abs(a - b) for a, b in zip(self.recorded, self.now, strict=False)), default=0.0)


def reproduce(study: Study, chosen: Trial, runs: Path, storage: str, plugins: tuple[Path, ...]) -> Reproduction:
    """Train a trial again on a worker, with its seed and for as many epochs as it had. Nothing is stored.

    Raises:
        StudyError: if the trial completed no epoch, or another run works on the study.
        TrialFailure: if the trial fails this time.
        CnnsearchError: if the dataset has changed, or no worker starts.
        KeyboardInterrupt: if the user stopped it.
    """
    metric = str(study.info["metric"])
    if not chosen.history:
        raise StudyError(f"Trial {chosen.number} completed no epoch, so there is nothing to compare with.")
    known, memory = plugin_files.load(plugins), host.memory_allowed(1)
    config = stored_config(study, runs=runs, storage=storage, plugins=plugins, memory=memory)
    source = Reproducer(study, chosen, memory)
    with (
        lock_study(config.study.folder, study.name),
        storage_errors(storage, runs),
        SignalHandler().listening() as stop,
    ):
        lease.take(study)
        session = Session(study, Limits(0, memory), stop, Callbacks([]))
        try:
            session.tune_on_new_workers(source, config, 1, known)
        finally:
            lease.release(study)
    if source.failure:
        raise TrialFailure(*source.failure)
    if source.result is None:
        raise KeyboardInterrupt
    return Reproduction(
        metric, [epoch[metric] for epoch in chosen.history], [epoch[metric] for epoch in source.result.history]
    )


def text(found: Reproduction, resumed: int = 0) -> str:
    """The two curves side by side, and the largest difference. `resumed` is the epoch the trial was resumed after."""
    pairs = zip(found.recorded, found.now, strict=False)
    lines = [f"epoch   recorded   now        difference   ({found.metric})"]
    lines += [f"{n:>5}   {a:<10.6f} {b:<10.6f} {b - a:+.6f}" for n, (a, b) in enumerate(pairs, 1)]
    lines += [f"The largest difference is {found.largest_difference:.2g}."]
    if resumed:
        lines += [
            f"The trial was interrupted after epoch {resumed} and resumed: its images may have come in another order."
        ]
    return "\n".join(lines)
