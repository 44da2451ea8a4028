"""The order of a study's trials."""

import math
import random
from collections.abc import Iterable

from cnnsearch.study import confirmation
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED, Trial

SHOWN = (*COUNTED, "refused")


def best_first(trials: Iterable[Trial], maximize: bool) -> list[Trial]:
    """The trials that have a score, the best first; of equal ones the one with the lowest number first."""
    scored = [(trial.score, trial) for trial in trials if trial.score is not None]
    sign = -1 if maximize else 1
    return [trial for _, trial in sorted(scored, key=lambda each: (sign * each[0], each[1].number))]


def some(trials: list[Trial], most: int) -> list[Trial]:
    """At most so many of the trials, in their order. Of more, they are chosen at random, the same ones each time."""
    if len(trials) <= most:
        return trials
    return [trials[place] for place in sorted(random.Random(0).sample(range(len(trials)), most))]


def ranked(study: Study) -> list[Trial]:
    """Confirmed trials by their mean, complete ones by score, pruned ones by score, then the failed and the refused.

    Trials with a better search score than any confirmed one come before these: they were not confirmed, not beaten.
    """
    means = confirmation.means(study)
    sign = 1 if study.maximize else -1
    shown = [trial for trial in study.trials() if trial.state in SHOWN]
    tested = max((sign * r.score for r in shown if r.number in means and r.score is not None), default=math.inf)

    def place(trial: Trial) -> tuple[int, int, float, int]:
        first = -math.inf if trial.score is None else sign * trial.score
        if trial.number in means:
            return SHOWN.index(trial.state), 1, -sign * means[trial.number], trial.number
        return SHOWN.index(trial.state), 0 if first > tested else 2, -first, trial.number

    return sorted(shown, key=place)
