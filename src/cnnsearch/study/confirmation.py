"""Confirmation: the scores of trials that were trained again on new seeds, with means and 95% intervals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, NamedTuple

from cnnsearch.core import packed_bits
from cnnsearch.core.metric_names import SHARES_RIGHT
from cnnsearch.study import score_interval
from cnnsearch.study.config import trial_seed
from cnnsearch.study.score_interval import Trainings
from cnnsearch.study.study import Study

SPLIT = 1_000_003
"""Takes the place of a trial's number in the seed of a split."""


class Repeat(NamedTuple):
    """One more training of a trial on a new seed.

    Attributes:
        score: None if it failed.
        split: the seed of its own split into training and validation images; None: the split of the study.
        images: the number of its validation images; 0 if it is not known.
        right: which of them the model classified right, as `packed_bits`; empty if it is not known.
    """

    trial: int
    seed: int
    score: float | None
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""
    split: int | None = None
    images: int = 0
    right: str = ""


@dataclass(frozen=True)
class Confirmed:
    """The scores of one trial on new seeds.

    The search score is not one of them: the trial was chosen because that score was high.

    Attributes:
        interval: the 95% interval of the score, on new images, of the model that this trial's recipe trained; None if
            it is not known.
        ties: the trials that cannot be told from this one.
        seeds_only: the interval is about new seeds and the same validation images, because the metric is no share of
            images, and all seeds had the same ones.
    """

    trial: int
    scores: tuple[float, ...]
    interval: tuple[float, float] | None
    ties: frozenset[int] = frozenset()
    seeds_only: bool = False

    @property
    def n(self) -> int:
        """The number of seeds."""
        return len(self.scores)

    @property
    def mean(self) -> float:
        """The mean score."""
        return fmean(self.scores)

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval; None without one."""
        return None if self.interval is None else (self.interval[1] - self.interval[0]) / 2


def confirmed(study: Study) -> dict[int, Confirmed]:
    """The confirmed trials of a study, by number."""
    counts = study.info.get("data", {}).get("images", {})
    # older studies did not store the number, and all their seeds had the study's split
    repeats = [found._replace(images=found.images or counts.get("val", 0)) for found in map(read, study.repeats())]
    confirmed_trials = {repeat.trial for repeat in repeats}
    scores = {trial.number: trial.score for trial in study.trials() if trial.number in confirmed_trials}
    return summarised(repeats, str(study.info["metric"]), counts.get("train", 0), scores)


def means(study: Study) -> dict[int, float]:
    """The means of the confirmed trials of a study, by number, without their intervals."""
    scores: dict[int, list[float]] = {}
    for repeat in map(read, study.repeats()):
        if repeat.score is not None:
            scores.setdefault(repeat.trial, []).append(repeat.score)
    return {trial: fmean(found) for trial, found in scores.items()}


def read(stored: Mapping[str, Any]) -> Repeat:
    """The repeat that `Study.repeats` gives."""
    return Repeat(**{name: stored[name] for name in Repeat._fields if name in stored})


def summarised(
    repeats: Iterable[Repeat], metric: str = "", train: int = 0, scores: Mapping[int, float | None] | None = None
) -> dict[int, Confirmed]:
    """Means with their 95% intervals, by trial.

    Args:
        train: the number of training images; 0 if it is not known.
        scores: the search scores of the trials.
    """
    done: dict[int, list[Repeat]] = {}
    for repeat in repeats:
        if repeat.score is not None:
            done.setdefault(repeat.trial, []).append(repeat)
    if metric not in SHARES_RIGHT:
        # which images are classified right says nothing about another metric
        done = {trial: [each._replace(right="") for each in found] for trial, found in done.items()}
    trainings = {trial: _trainings(found, train, (scores or {}).get(trial)) for trial, found in done.items()}
    found = {}
    for trial, own in trainings.items():
        others = [each for number, each in trainings.items() if number != trial]
        interval = score_interval.of_accuracy(own, others) if metric in SHARES_RIGHT else None
        seeds_only = interval is None and own.overlap == 1
        interval = interval or score_interval.of_score(own, others)
        found[trial] = Confirmed(trial, own.scores, interval, seeds_only=seeds_only)
    return {trial: replace(each, ties=_ties(each, found, done, train)) for trial, each in found.items()}


def _trainings(repeats: list[Repeat], train: int, search_score: float | None) -> Trainings:
    images = min(repeat.images for repeat in repeats)
    return Trainings(tuple(repeat.score or 0.0 for repeat in repeats), images, _overlap(repeats, train), search_score)


def _overlap(repeats: list[Repeat], train: int) -> float:
    """The share of the validation images that two of these trainings have in common on average."""
    images, splits = min(repeat.images for repeat in repeats), {repeat.split for repeat in repeats}
    if len(splits) < len(repeats) or not images:
        return 1.0
    return images / (images + train)


def _ties(
    one: Confirmed, every: Mapping[int, Confirmed], done: Mapping[int, list[Repeat]], train: int
) -> frozenset[int]:
    """The other trials that cannot be told from this one."""
    others = [each for each in every.values() if each.trial != one.trial]
    return frozenset(each.trial for each in others if not _differ(one, each, done, train, len(others)))


def _differ(one: Confirmed, other: Confirmed, done: Mapping[int, list[Repeat]], train: int, comparisons: int) -> bool:
    """Whether two trials differ: by the images that one of both classified right, else by their intervals."""
    first, second = ({repeat.split: repeat for repeat in done[each.trial] if repeat.right} for each in (one, other))
    splits = [split for split in first if split in second and split is not None]
    if len(splits) < 2:
        if one.interval is None or other.interval is None:
            return False
        return one.interval[0] > other.interval[1] or other.interval[0] > one.interval[1]
    pairs = [(first[split], second[split]) for split in splits]
    return score_interval.differs(
        [a.score or 0.0 for a, _ in pairs],
        [b.score or 0.0 for _, b in pairs],
        fmean(_variance_of_difference(a, b) for a, b in pairs),
        _overlap([a for a, _ in pairs], train),
        comparisons,
    )


def _variance_of_difference(one: Repeat, other: Repeat) -> float:
    """The variance of the difference of two accuracies on the same images that comes from the images (McNemar 1947)."""
    first, second = (packed_bits.unpacked(each.right, each.images) for each in (one, other))
    # one image more that only one of both classifies right, so that it is not 0
    disagreement = ((first != second).sum() + 1) / (len(first) + 1)
    return float(disagreement - (first.mean() - second.mean()) ** 2) / len(first)


def optimism(first: float, found: Confirmed, maximize: bool) -> float:
    """By how much the search score is better than the mean over new seeds."""
    return (first - found.mean) * (1 if maximize else -1)


def repeat_seed(study: Study, trial: int, turn: int) -> int:
    """The seed of the `turn`th repeat (from 0) of a trial: it depends only on the study's seed and both numbers."""
    return trial_seed(int(study.info["seed"]) + 1_299_709 * (turn + 1), trial)


def split_seed(study: Study, turn: int) -> int:
    """The seed of the split of the `turn`th repeats (from 0): the same for all trials, so that they can be compared."""
    return trial_seed(int(study.info["seed"]) + 1_299_709 * (turn + 1), SPLIT)
