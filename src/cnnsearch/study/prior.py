"""Finds the prior that `--prior` names: the shipped one, a file, or the best trials of other studies."""

from collections import Counter
from itertools import zip_longest
from pathlib import Path

from cnnsearch.core.errors import CnnsearchError, StudyError
from cnnsearch.spaces import prior as priors
from cnnsearch.spaces.definition import Space
from cnnsearch.spaces.prior import Prior, PriorPoint
from cnnsearch.study import lease, listing, ranking
from cnnsearch.study.config import StudyConfig
from cnnsearch.study.opening import is_newer
from cnnsearch.study.study import Study
from cnnsearch.study.trial import Trial

MOST = 12
"""The largest number of points of a prior."""

OF_STUDY, OF_HISTORY = 8, 6
"""How many points come from the study that `--prior` names, and from all earlier studies together with `auto`."""

ENOUGH = 5
"""A study with fewer complete trials teaches nothing with `auto`."""

GOOD = 4
"""The weights are of the best trials of a study: one in so many."""


def found(asked: str, config: StudyConfig) -> Prior:
    """The prior that `--prior` names for the study of `config`.

    Args:
        asked: `none`, `auto`, the path of a JSON file, or the name of a study in the same storage.

    Raises:
        CnnsearchError: if the file is no prior, or there is no such study, or it has no complete trial.
    """
    if asked == "none":
        return Prior()
    if asked == "auto":
        uses = [use.name for use in config.space.dimensions]
        return _history(config).plus(priors.shipped(uses) if uses else Prior(), MOST)
    if asked.endswith(".json"):
        return priors.from_file(Path(asked))
    if asked == config.name:
        raise CnnsearchError(f"--prior {asked}: a study cannot be its own prior. Name another one, or a .json file.")
    try:
        prior = of_study(listing.load(asked, config.runs, config.storage), OF_STUDY)
    except StudyError as error:
        expected = "--prior takes none, auto, a study of this storage, or a .json file."
        raise CnnsearchError(f"--prior {asked}: {error.message} {expected}") from error
    if not prior.points:
        raise CnnsearchError(f"--prior {asked}: that study has no complete trial. Name another one, or a .json file.")
    return prior


def _history(config: StudyConfig) -> Prior:
    """The best trials of the finished studies with the same dimensions; the best one of each study first."""
    known = [summary["study"] for summary in listing.summaries(config.runs, config.storage)]
    every = [of_study(each, OF_STUDY) for each in known if each.name != config.name and _teaches(each, config.space)]
    turns = [point for turn in zip_longest(*(each.points for each in every)) for point in turn if point]
    prior = Prior()
    for each in every:
        prior = prior.plus(Prior(weights=each.weights), 0)
    return Prior(tuple(turns[:OF_HISTORY]), prior.weights)


def _teaches(study: Study, space: Space) -> bool:
    """Whether a study has ended, has enough trials, and searched the same dimensions or the same model."""
    if is_newer(study) or "data" not in study.info or lease.holder(study):
        return False
    other = Space.from_dict(study.info["space"])
    same = {use.name for use in other.dimensions} == {use.name for use in space.dimensions}
    return same and other.model == space.model and len(_complete(study)) >= ENOUGH


def _complete(study: Study) -> list[Trial]:
    return [trial for trial in ranking.ranked(study) if trial.state == "complete"]


def of_study(study: Study, most: int) -> Prior:
    """What a study teaches: its best trials, at most so many, and the values of its best trials as weights."""
    best = _complete(study)
    good = best[: max(1, len(best) // GOOD)]
    counted: dict[str, Counter[object]] = {}
    for trial in good:
        for name, value in trial.choices.items():
            counted.setdefault(name, Counter())[value] += 1
    weights = {
        name: tuple((value, count / counts.total()) for value, count in counts.items())
        for name, counts in counted.items()
    }
    points = tuple(PriorPoint(study.name, dict(trial.params)) for trial in best[:most])
    return Prior(points, weights)  # type: ignore[arg-type]
