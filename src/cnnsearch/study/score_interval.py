"""The 95% interval of a recipe's score on new images, from a few trainings on new seeds.

A score of some trainings has two sources of error: the seeds, and the validation images. The interval holds both. It is
about the score, on new images of this kind, of the model that this plan trained. docs/concepts/confirmation.md
explains it, and benchmarks/coverage.py measures how often it is right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

COVERED = 0.95
"""The confidence level: the share of intervals that contain the value that they are about."""

PRIOR_WEIGHT = 4
"""How many degrees of freedom the expected variance of an accuracy has beside the observed ones."""

EXPECTED_RATIO = 1.5
"""The variance of an accuracy as a multiple of p(1 - p)/m, before scores are known. It is above 1 because models of one
plan differ, and because each score is that of its best epoch, which is a little too high and varies less.
docs/benchmarks/coverage.md has how it was chosen."""

MOST_RATIO = 4.0
"""The variance of another plan counts as at most this multiple of its expected variance, so that one poor plan does
not widen the interval of every one."""


@dataclass(frozen=True)
class Trainings:
    """The scores of one plan on new seeds.

    Attributes:
        scores: one for each seed.
        images: the number of validation images of each; 0 if it is not known.
        overlap: the share of its validation images that two trainings have in common on average; 1 if all had the same.
        search_score: the score of the model that is kept, which is none of `scores`; None if it is not known.
    """

    scores: tuple[float, ...]
    images: int = 0
    overlap: float = 1.0
    search_score: float | None = None


def of_accuracy(found: Trainings, others: Sequence[Trainings] = ()) -> tuple[float, float] | None:
    """The interval of an accuracy; None if the number of images is not known.

    The variance of an accuracy p on m images is p(1 - p)/m, if all models are equally good. The observed variances of
    this plan and of the `others` are moderated by EXPECTED_RATIO times it (Smyth, Stat. Appl. Genet. Mol. Biol. 3,
    2004). What is above it is the variance between models. The ends are Wilson's (1927), so they are between 0 and 1.
    """
    n, m = len(found.scores), found.images
    if not m:
        return None
    spread = _spread(found)
    expected = spread / m
    ratio, freedom = _moderated_ratio(found, others)
    between = max(0.0, ratio - 1) * expected
    # the errors of two trainings are equal for the images that they share
    images = expected * (1 / n + (1 - 1 / n) * found.overlap)
    # how much of the kept model's difference from the mean is its own, and not that of its images (Efron & Morris 1975)
    own = 0.0 if found.search_score is None else between / (between + expected)
    mean = fmean(found.scores)
    # it was chosen because its score was high, so only a lower score counts
    shift = own * min(0.0, (found.search_score or 0.0) - mean)
    return wilson(mean + shift, spread / (images + between * (1 - own + 1 / n)), t_quantile(freedom))


def _spread(found: Trainings) -> float:
    """p(1 - p) for two successes and two failures more, so that it is not 0 (Agresti & Coull 1998)."""
    count = len(found.scores) * found.images
    p = (fmean(found.scores) * count + 2) / (count + 4)
    return p * (1 - p)


def _moderated_ratio(found: Trainings, others: Sequence[Trainings]) -> tuple[float, int]:
    """The variance of one score as a multiple of the expected one, and its degrees of freedom."""
    known = found.scores
    if found.search_score is not None and found.search_score < fmean(known):
        # a high one was chosen, and says nothing about the variance
        known = (*known, found.search_score)
    own = len(known) - 1
    total, freedom = PRIOR_WEIGHT * EXPECTED_RATIO, PRIOR_WEIGHT + own
    if own:
        total += own * _ratio(found, known)
    for other in others:
        if len(other.scores) > 1 and other.images:
            total += (len(other.scores) - 1) * min(_ratio(other, other.scores), MOST_RATIO)
            freedom += len(other.scores) - 1
    return total / freedom, freedom


def _ratio(found: Trainings, scores: tuple[float, ...]) -> float:
    return variance(scores) * found.images / _spread(found)


def of_score(found: Trainings, others: Sequence[Trainings]) -> tuple[float, float] | None:
    """The interval of another score, such as a loss or an F1; None for one seed.

    How much of its variance comes from the images is not known. The variance of its few seeds is moderated by the
    geometric mean of the variances of all plans, `others` too: one poor plan does not widen the interval of every
    one.
    """
    n = len(found.scores)
    if n < 2:
        return None
    own = variance(found.scores)
    known = [(variance(each.scores), len(each.scores) - 1) for each in (found, *others) if len(each.scores) > 1]
    positive = [math.log(value) for value, _ in known if value > 0]
    weight = sum(freedom for _, freedom in known) - (n - 1)
    typical = math.exp(fmean(positive)) if positive else 0.0
    moderated = (weight * typical + (n - 1) * own) / (weight + n - 1)
    shared = found.overlap if found.overlap < 1 else 0.0
    half = t_quantile(weight + n - 1) * math.sqrt(moderated * (1 / n + (1 - 1 / n) * shared))
    return fmean(found.scores) - half, fmean(found.scores) + half


def differs(first: list[float], other: list[float], expected: float, overlap: float, comparisons: int) -> bool:
    """Whether two plans differ, from the differences of their scores on the same seeds and images.

    Args:
        first: the scores of one recipe; `other`: those of the other one, in the same order of splits.
        expected: the variance of one difference that comes from the images alone (McNemar 1947).
        overlap: the share of the validation images that two trainings have in common.
        comparisons: how many plans are compared with the first one (Bonferroni).
    """
    differences = [a - b for a, b in zip(first, other, strict=True)]
    n = len(differences)
    observed = variance(differences) if n > 1 else 0.0
    moderated = (PRIOR_WEIGHT * expected + (n - 1) * observed) / (PRIOR_WEIGHT + n - 1)
    error = math.sqrt(moderated * (1 / n + (1 - 1 / n) * overlap))
    quantile = t_quantile(PRIOR_WEIGHT + n - 1, 1 - (1 - COVERED) / max(1, comparisons))
    return abs(fmean(differences)) > quantile * error


def wilson(p: float, n: float, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's interval of a share p of n (Wilson 1927); `z` in standard errors, 95% if it is not given."""
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def t_quantile(freedom: int, covered: float = COVERED) -> float:
    """Student's t that `covered` of the distribution lies within, on both sides of 0.

    scipy has this function, but takes as long to import as all the rest of a leaderboard.
    """
    low, high = 0.0, 1.0
    while _within(high, freedom) < covered:
        high *= 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _within(middle, freedom) < covered else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """The share of Student's t distribution between -t and t (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    series = 0.0
    for power in range(1 + odd, freedom, 2):
        series += term
        term *= math.cos(angle) ** 2 * power / (power + 1)
    return 2 / math.pi * (angle + math.sin(angle) * series) if odd else math.sin(angle) * series
