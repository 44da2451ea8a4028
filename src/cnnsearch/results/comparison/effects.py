"""Differences with their 95% intervals: from pairs, and from trials that differ in everything at once."""

import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

COVERED = 0.95
"""The share of intervals that hold the true difference."""

RATIOS = (0.0, *np.geomspace(1e-3, 1e3, 61))
"""What is tried for the variance of the random effects, that of the noise being 1."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """A mean difference; `half` is half the width of its 95% interval, None where one pair is all there is."""

    difference: float
    half: float | None
    n: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.half is not None and abs(self.difference) > self.half


def paired(differences: list[float]) -> Effect:
    """The mean of the differences of independent pairs, with Student's t interval (1908).

    Raises:
        ValueError: if there is no pair.
    """
    n = len(differences)
    if not n:
        raise ValueError("expected one difference or more, got none")
    half = quantile(n - 1) * stdev(differences) / math.sqrt(n) if n > 1 else None
    return Effect(fmean(differences), half, n)


def mixed(y: Array, fixed: Array, random: Array) -> list[Effect]:
    """The coefficients of the columns of `fixed`, all else in `random` being allowed for.

    A linear mixed model as in studies of genomes, which like studies of networks have more columns than cases (EMMA:
    Kang et al., Genetics 178, 2008): the coefficients in question are fixed, those of every other choice are drawn
    from one normal distribution, whose variance is estimated by REML (Patterson & Thompson, Biometrika 58, 1971).
    The degrees of freedom are those that both parts leave over.

    Args:
        y: the scores, of shape (n,).
        fixed: what is asked for, of shape (n, k); a constant is added.
        random: the other choices, of shape (n, q), their columns of mean 0.

    Raises:
        ValueError: if `fixed` is not of full rank with its constant, or leaves no degree of freedom.
    """
    n, k = fixed.shape
    x = np.column_stack([fixed, np.ones(n)])
    if n <= k + 1 or np.linalg.matrix_rank(x) <= k:
        raise ValueError(f"{n} trials cannot tell {k} differences apart")
    values, vectors = np.linalg.eigh(random @ random.T)
    values = np.clip(values, 0, None)
    x, y = vectors.T @ x, vectors.T @ (y - y.mean())
    ratio = max(RATIOS, key=lambda ratio: _likelihood(y, x, 1 + ratio * values))
    variance = 1 + ratio * values
    beta, inverse, residual = _solve(y, x, variance)
    freedom = max(1.0, n - k - 1 - float((1 - 1 / variance).sum()))
    halves = quantile(freedom) * np.sqrt(np.diag(inverse) * residual / (n - k - 1))
    return [Effect(float(b), float(h), n) for b, h in zip(beta[:k], halves[:k], strict=True)]


def quantile(freedom: float) -> float:
    """How many standard errors the interval reaches to each side."""
    from scipy.stats import t

    return float(t.ppf((1 + COVERED) / 2, freedom))


def _solve(y: Array, x: Array, variance: Array) -> tuple[Array, Array, float]:
    """Coefficients, their unscaled covariance and the weighted squares left over, for a diagonal `variance`."""
    inverse = np.linalg.inv(x.T @ (x / variance[:, None])).astype(np.float64)
    beta = inverse @ (x.T @ (y / variance))
    return beta, inverse, float(((y - x @ beta) ** 2 / variance).sum())


def _likelihood(y: Array, x: Array, variance: Array) -> Any:
    """The restricted log-likelihood, but for a constant."""
    _, inverse, residual = _solve(y, x, variance)
    freedom = len(y) - x.shape[1]
    return -freedom * np.log(residual) - np.log(variance).sum() + np.linalg.slogdet(inverse)[1]
