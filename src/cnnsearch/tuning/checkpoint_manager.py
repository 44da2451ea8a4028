"""The best few models on disk, and no more."""

from collections.abc import Iterable
from pathlib import Path

from cnnsearch.study.trial import Trial

BUDGET = 2 << 30
"""Bytes that the model files of a study may take; the best one is kept even if it alone takes more."""


class CheckpointManager:
    """Keeps `keep` model files in `folder`, within BUDGET: those of the best scores.

    As on the leaderboard, every complete trial comes before every pruned one.
    """

    def __init__(self, folder: Path, keep: int, maximize: bool) -> None:
        self.folder, self.keep, self._sign = folder.resolve(), max(1, keep), 1 if maximize else -1

    def offer(self, done: Trial, others: Iterable[Trial], suffix: str = "keras") -> Path | None:
        """Where to save the model of `done`, or None if enough others are better."""
        if done.score is None:
            return None
        better = [r for r in self._ranked(others) if self._place(r) <= self._place(done)]
        return self.folder / f"trial-{done.number:05d}.{suffix}" if len(better) < self.keep else None

    def tidy(self, records: Iterable[Trial]) -> None:
        """Delete the files of all but the best."""
        names = [Path(record.checkpoint).name for record in self._ranked(records)[: self.keep]]
        kept, total = set(), 0
        for place, name in enumerate(names):
            path = self.folder / name
            total += path.stat().st_size if path.exists() else 0
            if total <= BUDGET or place == 0:
                kept.add(name)
        for path in self.folder.glob("trial-*.*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def _ranked(self, records: Iterable[Trial]) -> list[Trial]:
        scored = [record for record in records if record.score is not None and record.checkpoint]
        return sorted(scored, key=lambda record: (*self._place(record), record.number))

    def _place(self, record: Trial) -> tuple[bool, float]:
        return record.state != "complete", -self._sign * (record.score or 0.0)
