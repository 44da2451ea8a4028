"""Keeps the model files of the best trials. Checkpoints of trials in training are `training/checkpoint.py`'s."""

from collections.abc import Iterable
from pathlib import Path

from cnnsearch.core import prediction_file
from cnnsearch.study.trial import Trial

BUDGET = 2 << 30
"""The largest total size of a study's model files, in bytes. The best one is kept even if it is larger."""


class CheckpointManager:
    """Keeps the model files of the `keep` best trials, and their predictions, in `folder`.

    The total size of the models is at most BUDGET.

    As on the leaderboard, every complete trial comes before every pruned one.
    """

    def __init__(self, folder: Path, keep: int, maximize: bool) -> None:
        self.folder, self.keep, self._sign = folder.resolve(), max(1, keep), 1 if maximize else -1
        self._unsaved: set[int] = set()

    def offer(self, done: Trial, others: Iterable[Trial], suffix: str = "keras") -> Path | None:
        """The file to save the model of `done` to; None if `keep` others are better."""
        if done.score is None:
            return None
        better = [r for r in self._ranked(others) if self._place(r) <= self._place(done)]
        return self.folder / f"trial-{done.number:05d}.{suffix}" if len(better) < self.keep else None

    def note_unsaved(self, number: int) -> None:
        """The model of this trial could not be saved, so that it takes no place."""
        self._unsaved.add(number)

    def tidy(self, trials: Iterable[Trial]) -> None:
        """Delete the model files of all but the best trials."""
        names = [Path(trial.checkpoint).name for trial in self._ranked(trials)[: self.keep]]
        kept, total = set(), 0
        for place, name in enumerate(names):
            path = self.folder / name
            total += path.stat().st_size if path.exists() else 0
            if total <= BUDGET or place == 0:
                kept.add(name)
        for path in self.folder.glob("trial-*.*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)
        files = {prediction_file.beside(self.folder / name) for name in kept}
        for path in self.folder.glob(f"{prediction_file.PREFIX}*"):
            if path not in files:
                path.unlink(missing_ok=True)

    def _ranked(self, trials: Iterable[Trial]) -> list[Trial]:
        scored = [
            trial
            for trial in trials
            if trial.score is not None and trial.checkpoint and trial.number not in self._unsaved
        ]
        return sorted(scored, key=lambda trial: (*self._place(trial), trial.number))

    def _place(self, trial: Trial) -> tuple[bool, float]:
        return trial.state != "complete", -self._sign * (trial.score or 0.0)
