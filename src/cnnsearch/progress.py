"""Where a search stands, as frozen data that the displays read."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from cnnsearch.record import COUNTED, Record


class Running(NamedTuple):
    """A trial in training."""

    number: int
    epoch: int
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Progress:
    """A search at one moment. `done` is the trial that just ended, if that is the news."""

    trials: int
    records: tuple[Record, ...]
    running: tuple[Running, ...]
    maximize: bool
    seconds: float
    jobs: int
    default: dict[str, Any]
    done: Record | None = None

    def count(self, *states: str) -> int:
        """How many trials are in one of these states."""
        return sum(record.state in states for record in self.records)

    @property
    def ended(self) -> int:
        """How many of the trials that count have ended."""
        return self.count(*COUNTED)

    @property
    def best(self) -> Record | None:
        """The complete trial with the best score."""
        scored = [r for r in self.records if r.state == "complete" and r.score is not None]
        sign = 1 if self.maximize else -1
        return max(scored, key=lambda r: (sign * (r.score or 0), -r.number), default=None)

    @property
    def left(self) -> float | None:
        """Seconds until the last trial ends, going by the mean so far; None before the first."""
        if not self.ended:
            return None
        mean = sum(r.seconds for r in self.records if r.state in COUNTED) / self.ended
        open_trials = self.trials - self.ended
        return max(0.0, (open_trials * mean - sum(r.seconds for r in self.running)) / max(1, self.jobs))


def main_choices(record: Record, default: dict[str, Any], most: int = 6) -> str:
    """What sets a trial apart: its choices that differ from the default point."""
    parts = [f"{name}={_short(value)}" for name, value in record.choices.items() if default.get(name) != value]
    more = f" +{len(parts) - most}" if len(parts) > most else ""
    return (" ".join(parts[:most]) + more) if parts else "the default point"


def clock(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
