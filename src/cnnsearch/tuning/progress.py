"""The status of a running search, as frozen data that the displays read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from cnnsearch.study.confirmation import Repeat
from cnnsearch.study.trial import COUNTED, Trial

UNLIMITED = 1_000_000
"""The number of trials of a search that ends when the space is exhausted."""


class Running(NamedTuple):
    """A trial in training."""

    number: int
    epoch: int
    epochs: int
    seconds: float


class RepeatResult(NamedTuple):
    """A training on a new seed that ended.

    Attributes:
        trial: the trial that was trained again; `repeat`: its new seed and score.
        history: the metrics of each epoch.
        ended: how many of all `trainings` of this confirmation have ended.
    """

    trial: Trial
    repeat: Repeat
    history: tuple[dict[str, float], ...]
    ended: int
    trainings: int

    @property
    def first(self) -> float:
        """The trial's search score."""
        return self.trial.score or 0.0


@dataclass(frozen=True)
class StudyStatistics:
    """Statistics of the ended trials. `plus` returns new ones that include one more trial.

    Attributes:
        states: the number of trials in each state; `failures`: the number of failed trials of each kind of failure.
        seconds: the total time of the counted trials.
        best: the complete trial with the best score; of equal ones the first.
    """

    maximize: bool
    states: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    best: Trial | None = None

    def plus(self, record: Trial) -> "StudyStatistics":
        """The statistics with one more trial."""
        counts = record.state in COUNTED
        return replace(
            self,
            states=_one_more(self.states, record.state),
            failures=_one_more(self.failures, record.failure) if counts and record.failure else self.failures,
            seconds=self.seconds + record.seconds * counts,
            best=record if self._beaten_by(record) else self.best,
        )

    def count(self, *states: str) -> int:
        """The number of trials in one of these states."""
        return sum(self.states.get(state, 0) for state in states)

    @property
    def ended(self) -> int:
        """The number of counted trials that have ended."""
        return self.count(*COUNTED)

    def _beaten_by(self, record: Trial) -> bool:
        if record.state != "complete" or record.score is None:
            return False
        return self.best is None or self._place(record) > self._place(self.best)

    def _place(self, record: Trial) -> tuple[float, int]:
        return (record.score or 0.0) * (1 if self.maximize else -1), -record.number


def _one_more(counts: Mapping[str, int], name: str) -> Mapping[str, int]:
    return {**counts, name: counts.get(name, 0) + 1}


@dataclass(frozen=True)
class TuningStatus:
    """The status of a running search. `done` is the trial that just ended; None if none did.

    `more`: the names of the further values that an objective returns.
    """

    trials: int
    statistics: StudyStatistics
    running: tuple[Running, ...]
    seconds: float
    jobs: int
    default: dict[str, Any]
    done: Trial | None = None
    more: tuple[str, ...] = ()

    @property
    def further_values(self) -> dict[str, float]:
        """The further values of the trial that just ended; empty unless it is complete."""
        done = self.done
        return {name: done.history[-1][name] for name in self.more} if done and done.state == "complete" else {}

    @property
    def counted(self) -> str:
        """How many trials have ended, of how many; without the latter if they end with the space."""
        return f"{self.statistics.ended}" + (f"/{self.trials}" if self.trials < UNLIMITED else "")

    @property
    def left(self) -> float | None:
        """Seconds until the last trial ends, estimated from the mean so far; None before the first trial has ended."""
        ended = self.statistics.ended
        if not ended or self.trials >= UNLIMITED:
            return None
        mean = self.statistics.seconds / ended
        open_trials = self.trials - ended
        return max(0.0, (open_trials * mean - sum(r.seconds for r in self.running)) / max(1, self.jobs))

    def later(self, seconds: float) -> "TuningStatus":
        """The status so many seconds later, if nothing happened."""
        running = tuple(run._replace(seconds=run.seconds + seconds) for run in self.running)
        return replace(self, seconds=self.seconds + seconds, running=running)


def main_choices(record: Trial, default: dict[str, Any], most: int = 6) -> str:
    """The choices of a trial that differ from the default point, `most` of them at most."""
    parts = [f"{name}={_short(value)}" for name, value in record.choices.items() if default.get(name) != value]
    more = f" +{len(parts) - most}" if len(parts) > most else ""
    return (" ".join(parts[:most]) + more) if parts else "the default point"


def clock(seconds: float) -> str:
    """Seconds as `1:02:03` or `2:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
