"""The order of a study's trials."""

import math

from cnnsearch.study.confirmation import confirmed
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED, Trial

SHOWN = (*COUNTED, "refused")


def ranked(study: Study) -> list[Trial]:
    """Confirmed trials by their mean, complete ones by score, pruned ones by score, then the failed and the refused.

    Trials with a better search score than any confirmed one come before these: they were not confirmed, not beaten.
    """
    means = {trial: found.mean for trial, found in confirmed(study).items()}
    sign = 1 if study.maximize else -1
    shown = [record for record in study.trials() if record.state in SHOWN]
    tested = max((sign * r.score for r in shown if r.number in means and r.score is not None), default=math.inf)

    def place(record: Trial) -> tuple[int, int, float, int]:
        first = -math.inf if record.score is None else sign * record.score
        if record.number in means:
            return SHOWN.index(record.state), 1, -sign * means[record.number], record.number
        return SHOWN.index(record.state), 0 if first > tested else 2, -first, record.number

    return sorted(shown, key=place)
