"""Keeps the model files of the best trials. Checkpoints of trials in training are `training/checkpoint.py`'s."""

from collections.abc import Iterable
from itertools import islice
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

    def offer(self, done: Trial, others: Iterable[Trial], suffix: str = "keras") -> Path | None:
        """The file to save the model of `done` to; None if `keep` others are better."""
        if done.score is None:
            return None
        better = (each for each in self._ranked(others) if self._place(each) <= self._place(done))
        saved = sum(1 for each in islice(filter(Path.exists, map(self._file, better)), self.keep))
        return self.folder / f"trial-{done.number:05d}.{suffix}" if saved < self.keep else None

    def tidy(self, trials: Iterable[Trial]) -> None:
        """Delete the model files of all but the best trials."""
        kept, found, total = set(), 0, 0
        for path in map(self._file, self._ranked(trials)):
            if found == self.keep:
                break
            if not path.exists():
                # it is being saved, or could not be saved and takes no place
                kept.add(path.name)
                continue
            total += path.stat().st_size
            if total <= BUDGET or not found:
                kept.add(path.name)
            found += 1
        for path in self.folder.glob("trial-*.*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)
        files = {prediction_file.beside(self.folder / name) for name in kept}
        for path in self.folder.glob(f"{prediction_file.PREFIX}*"):
            if path not in files:
                path.unlink(missing_ok=True)

    def _ranked(self, trials: Iterable[Trial]) -> list[Trial]:
        scored = [trial for trial in trials if trial.score is not None and trial.checkpoint]
        return sorted(scored, key=lambda trial: (*self._place(trial), trial.number))

    def _file(self, trial: Trial) -> Path:
        return self.folder / Path(trial.checkpoint).name

    def _place(self, trial: Trial) -> tuple[bool, float]:
        return trial.state != "complete", -self._sign * (trial.score or 0.0)
