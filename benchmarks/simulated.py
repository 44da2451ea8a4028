"""Searches on curves that are known, by cnnsearch's own scheduler: what the simulations of searches have in common.

Two workers train candidates to their next rung or their end, at the speed of one core each. Starting a candidate, going
on with one and training an epoch take the seconds that they took about; nothing else takes time.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from cnnsearch.tuning.schedulers.rungs import RungTrial

EPOCHS, WORKERS = 9, 2
START = {"digits": 0.6, "mnist": 1.0, "cifar": 1.5}
EPOCH = {"digits": 0.06, "mnist": 0.9, "cifar": 2.5}
GO_ON = 0.3
"""Seconds until a new candidate trains, of an epoch of a typical one, and until one that was paused trains again."""


class Candidate:
    """A plan in a search.

    Attributes:
        curve: the validation accuracy after each epoch; seconds: of an epoch.
        done: epochs trained; busy: whether a worker has it; ends: when each epoch ended, or will.
    """

    def __init__(self, curve: Sequence[float], seconds: float) -> None:
        self.curve, self.seconds = curve, seconds
        self.done, self.busy = 0, True
        self.ends: list[float] = []

    @property
    def best(self) -> float:
        """The best accuracy that was seen."""
        return max(self.curve[: self.done], default=0.0)

    def reached(self, target: float) -> float:
        """When it reaches the target in what it is being trained to."""
        return next((at for at, value in zip(self.ends, self.curve, strict=False) if value >= target), math.inf)

    def is_rung(self, scheduler: Any, epoch: int) -> bool:
        """Whether it is paused there."""
        return bool(scheduler.is_rung(epoch))

    def trained(self, epoch: int) -> None:
        """Note how far it is trained."""
        self.done, self.busy = epoch, False


C = TypeVar("C", bound=Candidate)


def turns(every: list[C], scheduler: Any, draw: Callable[[], C], start: float, begin: float = 0.0) -> Iterator[float]:
    """The moments at which a worker is free, until the caller has seen enough; `every` candidate is added to the list.

    `draw` gives new candidates. They take `start` seconds until they train, and the workers `begin` until they draw.
    """
    workers = [(begin, worker) for worker in range(WORKERS)]
    in_hand: dict[int, tuple[C, int]] = {}
    while True:
        now, worker = heapq.heappop(workers)
        yield now
        if worker in in_hand:
            one, end = in_hand.pop(worker)
            one.trained(end)
        place = scheduler.next([rung_trial(at, each) for at, each in enumerate(every) if each.done], True)
        if place is None:
            every.append(draw())
        one = every[-1 if place is None else place]
        one.busy = True
        last = len(one.curve)
        end = next((epoch for epoch in range(one.done + 1, last) if one.is_rung(scheduler, epoch)), last)
        ready = now + (GO_ON if one.done else start)
        one.ends += [ready + one.seconds * epochs for epochs in range(1, end - one.done + 1)]
        in_hand[worker] = one, end
        heapq.heappush(workers, (one.ends[-1], worker))


def rung_trial(place: int, one: Candidate) -> RungTrial:
    """A candidate as the rungs see it."""
    return RungTrial(place, tuple(one.curve[: one.done]), not one.busy and one.done < len(one.curve))
