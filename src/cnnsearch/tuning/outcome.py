"""How a search ended: the message for the user, and which ends are errors."""

from collections import Counter

from cnnsearch.core.errors import CnnsearchError, NothingCompletedError
from cnnsearch.study import trial_queue
from cnnsearch.study.study import Study
from cnnsearch.study.trial import COUNTED
from cnnsearch.tuning.trial_source import End, EndReason

DONE = (EndReason.COMPLETE, EndReason.EXHAUSTED, EndReason.TIMEOUT)
"""The ends of a search whose best trials are confirmed."""


def check_ended(opened: Study, end: End) -> None:
    """Raise an error if a search has no result.

    Raises:
        NothingCompletedError: if no trial completed; it says the most common reason.
        CnnsearchError: if a problem stopped the search.
    """
    nothing = "" if end.reason is EndReason.INTERRUPTED else _nothing_completed(opened, end)
    if nothing:
        raise NothingCompletedError(nothing)
    if end.problem:
        raise CnnsearchError(f"The search stopped: {end.problem}")


def _nothing_completed(opened: Study, end: End) -> str:
    """Why a search has no result: how its trials ended, and the most common reason; empty if it has a result."""
    trials = [trial for trial in opened.trials() if trial.state in (*COUNTED, "refused")]
    if any(trial.state == "complete" for trial in trials):
        return ""
    if not trials:
        return (
            f"No trial of {opened.name} completed: {(end.problem or 'none ended within the time limit').rstrip('.')}."
        )
    counts = Counter(trial.failure or trial.state for trial in trials)
    kinds = ", ".join(f"{number} {kind}" for kind, number in counts.most_common())
    reasons = Counter(f"{trial.failure}: {trial.reason}" for trial in trials if trial.failure)
    said = f" The most common reason is {reasons.most_common(1)[0][0]}" if reasons else ""
    if end.problem:  # it names the reason
        said = f" The search stopped: {end.problem}"
    return f"No trial of {opened.name} completed ({kinds}).{said.rstrip('.')}{'.' if said else ''}"


def stopped(opened: Study) -> str:
    """A line for the user about a search that was stopped: how many trials ended, and how many can be resumed."""
    done = sum(trial.state in COUNTED for trial in opened.trials())
    begun = len(trial_queue.resumable_trials(opened))
    more = f" {begun} more can be resumed from {'its' if begun == 1 else 'their'} last epoch." if begun else ""
    return f"Stopped. {done} trial{'' if done == 1 else 's'} ended and {'is' if done == 1 else 'are'} stored.{more}"
