"""Which candidates are trained on: all of them to a first rung, the best of each rung to the next.

`halving` is asynchronous successive halving (ASHA; Li et al., A System for Massively Parallel Hyperparameter Tuning,
2020), `topk` trains all to the first rung and then only the best few to their end (arXiv 2307.15422). Unlike Optuna's
pruners, which only stop, both continue a candidate from where it was left. Where an epoch is long, a look on a part of
the images comes before the rungs; it is no part of the training, which begins anew after it.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

STEP = 3
"""Each rung has so many times the epochs of the one before."""

FIRST, LATER = Fraction(1, 3), Fraction(2, 3)
"""The share of the first rung that is trained on, and that of the later ones.

A trial that was promoted once is good already. Noisy values that choose sharply twice lose the best one
(docs/benchmarks/first-looks.md).
"""

SPARE = 10
"""So many places below the last of a rung that is sent on a candidate still waits; further down it ends. Its rank gets
worse with each better one that comes, and what waits has its weights on the disk."""

BEST = 3
"""So many does `topk` train to their end; with several workers it may be one more each, as the last are under way."""

FEWEST = 15
"""Before so many updates of its weights a candidate is not judged (docs/benchmarks/first-looks.md)."""

LOOK, SHARE = 60, 0.25
"""A look has so many updates; one at more than this share of the images would spare too little."""


class Stand(NamedTuple):
    """Where a candidate stands: its metric after each epoch so far, and whether it waits there.

    One that does not wait is in training, or has ended. `look` is its metric after a look.
    """

    number: int
    values: tuple[float, ...]
    waits: bool
    look: float | None = None

    def has(self, rung: float) -> bool:
        """Whether it has been at a rung."""
        return self.look is not None if rung < 1 else len(self.values) >= rung

    def at(self, rung: float, sign: int) -> float:
        """The best value up to a rung that it has been at; with a negative sign the least is best."""
        if rung < 1 and self.look is not None:
            return self.look
        return sign * max(sign * value for value in self.values[: int(rung)])

    def waits_at(self, rung: float) -> bool:
        """Whether it waits at just this rung."""
        return self.waits and (len(self.values) == rung if rung >= 1 else not self.values)


def rungs(epochs: int, updates: int, looks: bool = True) -> tuple[float, ...]:
    """The epochs after which candidates are compared, the full length last; `updates` are those of an epoch.

    9 epochs give (1, 3, 9). A first rung below 1 is a look, at that part of the images, if there shall be `looks`;
    where epochs are short, the first rungs are left out.
    """
    found, length = {float(epochs)}, float(epochs)
    while length > STEP / 2 + 0.5:
        length /= STEP
        found.add(max(1.0, float(round(length))))
    judged = sorted(rung for rung in found if rung == epochs or rung * updates >= FEWEST)
    look = [LOOK / updates] if looks and LOOK / updates <= SHARE and epochs > 1 else []
    return tuple(look + judged)


def halving(count: int, first: bool, more_to_come: bool) -> int:
    """A share of the rung; at the end a rung of one still sends it on."""
    share = count * (FIRST if first else LATER)
    return int(share) if more_to_come else max(1, round(share))


def topk(count: int, first: bool, more_to_come: bool) -> int:
    """The best few, once the last has been begun."""
    return 0 if more_to_come else BEST


def automatic(updates: int) -> str:
    """The scheduler where none is named: `halving` unless epochs are short.

    Where an epoch has fewer updates than a look, it tells little, and most of a trial's time is its start, which rungs
    do not spare: all are trained to their end, and Optuna's pruner stops them.
    """
    return "halving" if updates >= LOOK else "none"


SCHEDULERS: dict[str, Callable[[int, bool, bool], int]] = {"halving": halving, "topk": topk}
"""How many of a rung are sent on, given how many have been there, whether it is the first rung, and whether new
candidates are still to come."""


class Rungs:
    """One of SCHEDULERS over candidates of `epochs` epochs, or `auto`; `none` trains each to its end at once.

    `updates` are those that an epoch has with the usual size of batch; `looks` is whether candidates may be looked at
    with a part of the images first.
    """

    def __init__(self, name: str, epochs: int, updates: int, maximize: bool, looks: bool = True) -> None:
        name = automatic(updates) if name == "auto" else name
        every = rungs(epochs, updates, looks)
        self._sent_on = SCHEDULERS.get(name)
        self._steps = {"halving": every, "topk": (every[0], float(epochs))}.get(name, (float(epochs),))
        self._sign = 1 if maximize else -1
        self._ended: dict[float, list[tuple[float, int]]] = {step: [] for step in self._steps[:-1]}

    @property
    def has_rungs(self) -> bool:
        """Whether any candidate waits."""
        return len(self._steps) > 1

    @property
    def told(self) -> str:
        """The rungs in words."""
        look = f"{self.look:.0%} of the images, then " if self.look else ""
        epochs = " and ".join(", ".join(f"{step:g}" for step in self._steps if step >= 1).rsplit(", ", 1))
        return f"{look}{epochs} epochs. Only the best of each rung are promoted"

    @property
    def look(self) -> float:
        """The part of the images that a candidate is looked at with before it is trained; 0: it is not."""
        return self._steps[0] if self._steps[0] < 1 else 0.0

    def waits_at(self, epochs: int) -> bool:
        """Whether a candidate waits after so many epochs."""
        return epochs in self._steps[:-1]

    def ended(self, stand: Stand) -> None:
        """Count this one at its rungs from now on, without being told of it again."""
        for step, there in self._ended.items():
            if stand.has(step):
                insort(there, self._key(stand, step))

    def next(self, stands: Iterable[Stand], more_to_come: bool) -> int | None:
        """The waiting candidate to be trained on: the best of those that are sent on, of the highest rung first."""
        for step, count, waiting in self._ranked(stands):
            for place, stand in waiting[:1]:
                if place < self._line(step, count, more_to_come):
                    return stand.number
        return None

    def left_behind(self, stands: Iterable[Stand]) -> list[int]:
        """Those that wait too far down to be sent on by and by."""
        return [
            stand.number
            for step, count, waiting in self._ranked(stands)
            for place, stand in waiting
            if place >= max(BEST, self._line(step, count, True)) + SPARE
        ]

    def _line(self, step: float, count: int, more_to_come: bool) -> int:
        """How many of those that have been at a rung are sent on."""
        return self._sent_on(count, step == self._steps[0], more_to_come) if self._sent_on else 0

    def _ranked(self, stands: Iterable[Stand]) -> Iterator[tuple[float, int, list[tuple[int, Stand]]]]:
        """The rungs, the highest first: how many have been there, and those that wait there by their places, from 0."""
        every = [stand for stand in stands if stand.values or stand.look is not None]
        for step in reversed(self._steps[:-1]):
            ended = self._ended[step]
            keyed = sorted((self._key(stand, step), stand) for stand in every if stand.has(step))
            places = [(at + bisect_left(ended, key), stand) for at, (key, stand) in enumerate(keyed)]
            yield step, len(ended) + len(keyed), [each for each in places if each[1].waits_at(step)]

    def _key(self, stand: Stand, step: float) -> tuple[float, int]:
        """What those that have been at a rung are sorted by, the best first."""
        return -self._sign * stand.at(step, self._sign), stand.number
