"""The rungs of a search: the epochs at which trials are paused, and which of them are promoted to the next rung.

`halving` is asynchronous successive halving (ASHA; Li et al., A System for Massively Parallel Hyperparameter Tuning,
2020). `topk` trains all trials to the first rung, and then only the best few to their end (arXiv 2307.15422). Optuna's
pruners only stop trials; these two also resume a paused trial from its checkpoint. If an epoch is long, a low-fidelity
evaluation, which is a short training on a part of the images, is the first rung. It is no part of the training: the
training starts with new weights.
"""

import functools
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

REDUCTION_FACTOR = 3
"""Each rung has this many times the epochs of the rung before it."""

FIRST_SHARE, LATER_SHARE = Fraction(1, 3), Fraction(2, 3)
"""The share of trials that is promoted at the first rung, and at each later rung.

A promoted trial is good already. If later rungs were as strict as the first, noise would remove the best trial too
often (docs/benchmarks/first-looks.md).
"""

PLACES_KEPT = 10
"""A paused trial is pruned if its rank is more than this many places below the last trial that is promoted.

Each better trial that comes makes its rank worse, and its checkpoint takes space on the disk.
"""

TOP_K = 3
"""How many trials are trained to their end: as many as are confirmed.

`topk` trains so many, and with several workers it may be one more for each worker. `halving` trains at least so many.
"""

MIN_UPDATES = 15
"""A trial is not compared before this many updates of its weights (docs/benchmarks/first-looks.md)."""

LOW_FIDELITY_UPDATES, MAX_FIDELITY = 60, 0.25
"""The updates of a low-fidelity evaluation, and the largest part of the images that it may use.

If it needs a larger part, it saves too little time, and there is none.
"""


class RungTrial(NamedTuple):
    """A trial as the rungs see it.

    Attributes:
        number: the trial's number.
        values: its metric after each epoch so far.
        paused: whether it is paused. If not, it is in training or has ended.
        low_fidelity: the metric of its low-fidelity evaluation; None without one.
    """

    number: int
    values: tuple[float, ...]
    paused: bool
    low_fidelity: float | None = None

    def reached(self, rung: float) -> bool:
        """Whether the trial has reached a rung."""
        return self.low_fidelity is not None if rung < 1 else len(self.values) >= rung

    def best_at(self, rung: float, sign: int) -> float:
        """The best value up to a rung that it has reached; if `sign` is -1, the smallest value is the best."""
        if rung < 1 and self.low_fidelity is not None:
            return self.low_fidelity
        return sign * max(sign * value for value in self.values[: int(rung)])

    def paused_at(self, rung: float) -> bool:
        """Whether it is paused at this rung and not at another one."""
        return self.paused and (len(self.values) == rung if rung >= 1 else not self.values)


def rungs(epochs: int, updates: int, low_fidelity: bool = True, factor: int = 0) -> tuple[float, ...]:
    """The epochs after which trials are compared; the last one is the full length.

    9 epochs give (1, 3, 9). If epochs are short, the first rungs are left out. If they are long, the first rung is a
    low-fidelity evaluation: a number below 1, which is the part of the images.

    Args:
        epochs: the epochs of a trial at full length.
        updates: the updates of the weights in one epoch.
        low_fidelity: whether the first rung may be a low-fidelity evaluation.
        factor: each rung has this many times the epochs of the rung before it, and short epochs count too; 0: the usual
            rungs.
    """
    found, length = {float(epochs)}, float(epochs)
    reduction = factor or REDUCTION_FACTOR
    while length > reduction / 2 + 0.5:
        length /= reduction
        found.add(max(1.0, float(round(length))))
    compared = sorted(rung for rung in found if rung == epochs or factor or rung * updates >= MIN_UPDATES)
    part = LOW_FIDELITY_UPDATES / updates
    first = [part] if low_fidelity and part <= MAX_FIDELITY and epochs > 1 else []
    return tuple(first + compared)


def halving(count: int, first: bool, more_to_come: bool, first_share: Fraction = FIRST_SHARE) -> int:
    """A share of the rung. When no new trials come, at least TOP_K trials are promoted."""
    share = count * (first_share if first else LATER_SHARE)
    return int(share) if more_to_come else max(TOP_K, round(share))


def topk(count: int, first: bool, more_to_come: bool) -> int:
    """The best few, when no new trials come."""
    return 0 if more_to_come else TOP_K


PROMOTED: dict[str, Callable[[int, bool, bool], int]] = {"auto": halving, "halving": halving, "topk": topk}
"""How many trials of a rung are promoted.

The arguments: how many trials have reached the rung, whether it is the first rung, and whether new trials are still to
come.
"""


class Rungs:
    """Ranks the trials of a search at each rung, and chooses which are promoted and which are pruned."""

    def __init__(
        self,
        name: str,
        epochs: int,
        updates: int,
        maximize: bool,
        low_fidelity: bool = True,
        factor: int = 0,
    ) -> None:
        """Set the rungs.

        Args:
            name: one of PROMOTED, or `none`, which has no rungs.
            epochs: the epochs of a trial at full length.
            updates: the updates of the weights in one epoch with the space's default batch size.
            maximize: whether a larger metric is better.
            low_fidelity: whether the first rung may be a low-fidelity evaluation.
            factor: as in `rungs`.
        """
        every = rungs(epochs, updates, low_fidelity, factor)
        self._promoted = PROMOTED.get(name)
        if factor and self._promoted is halving:
            self._promoted = functools.partial(halving, first_share=Fraction(1, factor))
        self._rungs = {"none": (float(epochs),), "topk": (every[0], float(epochs))}.get(name, every)
        self._sign = 1 if maximize else -1
        self._ended: dict[float, list[tuple[float, int]]] = {rung: [] for rung in self._rungs[:-1]}

    @property
    def has_rungs(self) -> bool:
        """Whether trials are paused at all."""
        return len(self._rungs) > 1

    @property
    def description(self) -> str:
        """The rungs in words."""
        first = f"{self.fidelity:.0%} of the images, then " if self.fidelity else ""
        epochs = " and ".join(", ".join(f"{rung:g}" for rung in self._rungs if rung >= 1).rsplit(", ", 1))
        return f"{first}{epochs} epochs. Only the best of each rung are promoted"

    @property
    def fidelity(self) -> float:
        """The part of the images for the low-fidelity evaluation; 0 if there is none."""
        return self._rungs[0] if self._rungs[0] < 1 else 0.0

    def is_rung(self, epochs: int) -> bool:
        """Whether trials are paused after this many epochs."""
        return epochs in self._rungs[:-1]

    def ended(self, trial: RungTrial) -> None:
        """Rank this ended trial at its rungs from now on. Do not pass it to `next` and `trials_to_prune` any more."""
        for rung, ranked in self._ended.items():
            if trial.reached(rung):
                insort(ranked, self._key(trial, rung))

    def next(self, trials: Iterable[RungTrial], more_to_come: bool) -> int | None:
        """The number of the paused trial to resume: the best promoted trial of the highest rung; None if there is none.

        `trials` are the paused trials and those in training; `more_to_come`: whether new trials are still to come.
        """
        for rung, count, paused in self._ranked(trials):
            for place, trial in paused[:1]:
                if place < self._count_promoted(rung, count, more_to_come):
                    return trial.number
        return None

    def trials_to_prune(self, trials: Iterable[RungTrial]) -> list[int]:
        """The numbers of the paused trials whose rank is too low to be promoted later."""
        return [
            trial.number
            for rung, count, paused in self._ranked(trials)
            for place, trial in paused
            if place >= max(TOP_K, self._count_promoted(rung, count, True)) + PLACES_KEPT
        ]

    def _count_promoted(self, rung: float, count: int, more_to_come: bool) -> int:
        """How many of the `count` trials that have reached a rung are promoted."""
        return self._promoted(count, rung == self._rungs[0], more_to_come) if self._promoted else 0

    def _ranked(self, trials: Iterable[RungTrial]) -> Iterator[tuple[float, int, list[tuple[int, RungTrial]]]]:
        """For each rung, the highest first: how many trials have reached it, and its paused trials with their ranks."""
        every = [trial for trial in trials if trial.values or trial.low_fidelity is not None]
        for rung in reversed(self._rungs[:-1]):
            ended = self._ended[rung]
            keyed = sorted((self._key(trial, rung), trial) for trial in every if trial.reached(rung))
            ranks = [(rank + bisect_left(ended, key), trial) for rank, (key, trial) in enumerate(keyed)]
            yield rung, len(ended) + len(keyed), [each for each in ranks if each[1].paused_at(rung)]

    def _key(self, trial: RungTrial, rung: float) -> tuple[float, int]:
        """The sort key of a trial at a rung; the best trial is the first."""
        return -self._sign * trial.best_at(rung, self._sign), trial.number
