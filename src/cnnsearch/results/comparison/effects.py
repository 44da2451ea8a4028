"""Effects with their 95% intervals, estimated from pairs of trials or with a linear mixed model of all trials."""

import math
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

COVERAGE = 0.95
"""The share of intervals that contain the true difference."""

VARIANCE_RATIOS = (0.0, *np.geomspace(1e-3, 1e3, 61))
"""The candidates for the variance of the random effects, in units of the noise variance."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """A mean difference of `n` pairs or trials.

    `ci_half_width` is half the width of the 95% interval; None if there is only one pair.
    """

    difference: float
    ci_half_width: float | None
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval does not contain 0."""
        return self.ci_half_width is not None and abs(self.difference) > self.ci_half_width


def mean_difference(differences: list[float]) -> Effect:
    """The mean of the differences of independent pairs, with Student's t interval (1908).

    Raises:
        ValueError: if there is no pair.
    """
    n = len(differences)
    if not n:
        raise ValueError("expected one difference or more, got none")
    ci_half_width = t_quantile(n - 1) * stdev(differences) / math.sqrt(n) if n > 1 else None
    return Effect(fmean(differences), ci_half_width, n)


def mixed_model(y: Array, fixed: Array, random: Array) -> list[Effect]:
    """The coefficients of the columns of `fixed`, adjusted for the columns of `random`.

    A linear mixed model, as in genome studies. Those, too, have more columns than cases (EMMA: Kang et al.,
    Genetics 178, 2008). The coefficients of `fixed` are fixed effects. The coefficients of all other hyperparameters
    are drawn from one normal distribution. Its variance is estimated by REML (Patterson & Thompson, Biometrika 58,
    1971). The degrees of freedom are those that remain after both parts of the model.

    Args:
        y: the scores, of shape (n,).
        fixed: the columns whose effects are estimated, of shape (n, k); a constant is added.
        random: the other hyperparameters, of shape (n, q), each column with mean 0.

    Raises:
        ValueError: if `fixed` with its constant does not have full rank, or no degree of freedom remains.
    """
    n, k = fixed.shape
    x = np.column_stack([fixed, np.ones(n)])
    if n <= k + 1 or np.linalg.matrix_rank(x) <= k:
        raise ValueError(f"{n} trials are too few to estimate {k} differences")
    y = y - y.mean()
    vectors, squares = _left_singular(random)
    # the other columns have a part that lies outside of `random`, where the variance is that of the noise alone
    rest = np.column_stack([x, y])
    rest = np.linalg.qr(rest - vectors @ (vectors.T @ rest)).R
    x, y = np.vstack([vectors.T @ x, rest[:, :-1]]), np.concatenate([vectors.T @ y, rest[:, -1]])
    values = np.concatenate([squares, np.zeros(len(rest))])
    likelihoods = _restricted_likelihoods(y, x, 1 + np.outer(VARIANCE_RATIOS, values), n)
    ratio = VARIANCE_RATIOS[int(likelihoods.argmax())]
    variance = 1 + ratio * values
    beta, inverse, residual = _solve(y, x, variance)
    freedom = max(1.0, n - k - 1 - float((1 - 1 / variance).sum()))
    widths = t_quantile(freedom) * np.sqrt(np.diag(inverse) * residual / (n - k - 1))
    return [Effect(float(b), float(width), n) for b, width in zip(beta[:k], widths[:k], strict=True)]


def _left_singular(x: Array) -> tuple[Array, Array]:
    """The left singular vectors of `x`, of shape (n, q), and the squared singular values that are not 0.

    From the eigenvalues of x'x: a tenth of the time of numpy.linalg.svd.
    """
    squares, right = np.linalg.eigh(x.T @ x)
    kept = squares > 1e-10 * max(float(squares.max()), 1e-300)
    return x @ (right[:, kept] / np.sqrt(squares[kept])), squares[kept]


def t_quantile(freedom: float) -> float:
    """Half the width of the interval in standard errors, for these degrees of freedom."""
    return float(stdtrit(freedom, (1 + COVERAGE) / 2))


def _solve(y: Array, x: Array, variance: Array) -> tuple[Array, Array, float]:
    """Coefficients, their unscaled covariance and the weighted sum of squared residuals, for a diagonal `variance`."""
    inverse = np.linalg.inv(x.T @ (x / variance[:, None])).astype(np.float64)
    beta = inverse @ (x.T @ (y / variance))
    return beta, inverse, float(((y - x @ beta) ** 2 / variance).sum())


def _restricted_likelihoods(y: Array, x: Array, variances: Array, n: int) -> Array:
    """The restricted log-likelihood of `n` cases without its constant term, for each row of `variances`."""
    # one covariance of the coefficients for each row, computed together: a loop takes most of the time of a report
    covariances = np.einsum("rm,mi,mj->rij", 1 / variances, x, x)
    right = np.einsum("rm,mi,m->ri", 1 / variances, x, y)
    beta = np.linalg.solve(covariances, right[..., None])[..., 0]
    residuals = ((y - beta @ x.T) ** 2 / variances).sum(axis=1)
    freedom = n - x.shape[1]
    found: Array = -freedom * np.log(residuals) - np.log(variances).sum(axis=1) - np.linalg.slogdet(covariances)[1]
    return found
