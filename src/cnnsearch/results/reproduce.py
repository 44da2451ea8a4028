"""`cnnsearch reproduce`: one trial trained again from its plan and seed, and compared with its recorded curve."""

from typing import Any, NamedTuple

from cnnsearch.core.errors import StudyError
from cnnsearch.results.origin import Origin
from cnnsearch.training.device import set_precision


class Reproduction(NamedTuple):
    """The metric of each epoch, as it was `recorded` and as it is `now`."""

    metric: str
    recorded: list[float]
    now: list[float]

    @property
    def largest_difference(self) -> float:
        """The largest difference in one epoch."""
        return max((abs(a - b) for a, b in zip(self.recorded, self.now, strict=False)), default=0.0)


def reproduce(origin: Origin) -> Reproduction:
    """Train the trial of `origin` again, for as many epochs as it had.

    Raises:
        StudyError: if the trial completed no epoch.
    """
    chosen, metric = origin.chosen, str(origin.study.info["metric"])
    if not chosen.history:
        raise StudyError(f"Trial {chosen.number} completed no epoch, so there is nothing to compare with.")
    set_precision(origin.study.info["machine"]["precision"])
    history: list[dict[str, Any]] = origin.train()[0].history
    return Reproduction(metric, [epoch[metric] for epoch in chosen.history], [epoch[metric] for epoch in history])


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
