"""One trial trained again from its plan and its seed, and how far that is from what was recorded."""

from typing import Any, NamedTuple

from cnnsearch.core.errors import StudyError
from cnnsearch.results.origin import Origin


class Reproduced(NamedTuple):
    """The metric of each epoch as it was `recorded` and as it is `now`."""

    metric: str
    recorded: list[float]
    now: list[float]

    @property
    def worst(self) -> float:
        """The largest difference of an epoch."""
        return max((abs(a - b) for a, b in zip(self.recorded, self.now, strict=False)), default=0.0)


def reproduce(origin: Origin) -> Reproduced:
    """Train the trial of `origin` once more, for as many epochs as it had.

    Raises:
        StudyError: if it has not ended an epoch.
    """
    from cnnsearch.training.device import set_precision

    chosen, metric = origin.chosen, str(origin.study.info["metric"])
    if not chosen.history:
        raise StudyError(f"Trial {chosen.number} ended no epoch, so there is nothing to compare with.")
    set_precision(origin.study.info["machine"]["precision"])
    history: list[dict[str, Any]] = origin.train()[0].history
    return Reproduced(metric, [epoch[metric] for epoch in chosen.history], [epoch[metric] for epoch in history])


def text(found: Reproduced, resumed: int = 0) -> str:
    """The two curves side by side, and what they say."""
    pairs = zip(found.recorded, found.now, strict=False)
    lines = [f"epoch   recorded   now        difference   ({found.metric})"]
    lines += [f"{n:>5}   {a:<10.6f} {b:<10.6f} {b - a:+.6f}" for n, (a, b) in enumerate(pairs, 1)]
    lines += [f"The largest difference is {found.worst:.2g}."]
    if resumed:
        lines += [
            f"The trial was cut off after epoch {resumed} and gone on with: its images may have come in another order."
        ]
    return "\n".join(lines)
