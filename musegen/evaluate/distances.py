"""How far two samples are from each other: overlap, divergence, Fréchet distance.

Conventions: a sample is an array with one row (or one number) a piece. Every distance is between a sample and a
reference, needs two pieces in each, and says nothing without the same figure of one half of the reference against
the other. Nothing here draws a random number, and the order of the pieces does not matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError

Array = npt.NDArray[np.float64]

GRID = 2048
"""Points at which densities are compared."""
TAIL = 4.0
"""Bandwidths that the grid goes on past the outermost values."""
UNIFORM_SHARE = 1e-3
"""Weight of a uniform density mixed into both before the divergence, so that it stays finite (two samples far apart
come to some 10 nats)."""


def validate(*samples: npt.NDArray[Any]) -> None:
    """Raise RequestError unless each sample has two rows and every value is a finite number."""
    for sample in samples:
        if len(sample) < 2:
            raise RequestError(f"a sample of {len(sample)} has no distribution; give two pieces or more")
        if not np.isfinite(sample).all():
            raise RequestError("a sample holds values that are not finite; leave out or replace them first")


# ---- densities ---------------------------------------------------------------------------------------------


def _bandwidth(sample: Array, spread: float) -> float:
    """Scott's rule in one dimension, h = s n^(-1/5); of a sample without spread a hundredth of `spread`."""
    return float(max(np.std(sample, ddof=1) * len(sample) ** -0.2, 0.01 * spread))


def densities(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[Array, Array, Array]:
    """Gaussian kernel density estimates of two samples of numbers on one grid: (points, density of a, of b).

    Bandwidths follow Scott (1992), h = s n^(-1/5), s the sample's standard deviation; no bandwidth is below a
    hundredth of the range of both samples, so a sample whose values are all equal has a narrow bump. The values are
    put on the grid (GRID points, each value shared by its two neighbours) before they are smoothed, which is what
    lets tens of thousands of distances be compared at once. Both densities sum to 1 over the grid.

    Raises:
        RequestError: for fewer than two values, or values that are not finite.
    """
    first, second = (np.asarray(x, np.float64).ravel() for x in (a, b))
    validate(first, second)
    low, high = min(first.min(), second.min()), max(first.max(), second.max())
    spread = float(high - low) or 1.0  # where all values of both are equal any width gives the same densities
    widths = [_bandwidth(x, spread) for x in (first, second)]
    points = np.linspace(low - TAIL * max(widths), high + TAIL * max(widths), GRID)
    smooth = [_smoothed(x, points, h) for x, h in zip((first, second), widths, strict=True)]
    return points, smooth[0], smooth[1]


def _smoothed(sample: Array, points: Array, bandwidth: float) -> Array:
    step = points[1] - points[0]
    place = (sample - points[0]) / step
    left = np.floor(place).astype(np.int64)
    part = place - left
    counts = np.bincount(left, 1 - part, GRID) + np.bincount(left + 1, part, GRID)
    reach = int(np.ceil(TAIL * bandwidth / step))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / bandwidth) ** 2)
    density = np.convolve(counts, kernel)[reach : reach + GRID]
    return np.asarray(density / density.sum(), np.float64)


def overlapped_area(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """The area under both densities, sum of min(p_a, p_b): 0 (apart) to 1 (alike). Densities as in `densities`.

    Raises:
        RequestError: as `densities`.
    """
    _, p, q = densities(a, b)
    return float(np.minimum(p, q).sum())


def divergence(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Kullback-Leibler divergence of the density of b from that of a, sum of p_a log(p_a / p_b), in nats from 0.

    Densities as in `densities`, each mixed with a uniform one of weight UNIFORM_SHARE.

    Raises:
        RequestError: as `densities`.
    """
    _, p, q = densities(a, b)
    p, q = ((1 - UNIFORM_SHARE) * d + UNIFORM_SHARE / GRID for d in (p, q))
    return max(0.0, float((p * np.log(p / q)).sum()))


# ---- Yang and Lerch ----------------------------------------------------------------------------------------


def pairwise(x: Array, y: Array | None = None) -> Array:
    """Euclidean distances of all pairs of rows: within x (each pair once) or between x and y."""
    first = x.reshape(len(x), -1)
    second = first if y is None else y.reshape(len(y), -1)
    if first.shape[1] == 1:
        distances = np.abs(first - second.T)
    else:
        squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None, :] - 2 * first @ second.T
        distances = np.sqrt(np.maximum(squares, 0))
    pairs: Array = distances[np.triu_indices(len(first), 1)] if y is None else distances.ravel()
    return pairs


def yang_lerch(sample: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[float, float]:
    """(overlapped area 0..1, divergence in nats) of a feature, a number or a vector a piece, after Yang and Lerch.

    The distances of all pairs of pieces within the reference are compared with those of all pairs of a piece of the
    sample and one of the reference (Yang and Lerch, "On the evaluation of generative models in music", Neural
    Computing and Applications 32, 2020, section 4): overlapped area of both, divergence of the second from the
    first. A sample that lies right within the reference scores high even where it is narrower: the univariate AUC
    and the standard deviation show that.

    Raises:
        RequestError: as `densities`, or for a reference of two pieces, which has but one distance.
    """
    x, reference = np.asarray(sample, np.float64), np.asarray(reference, np.float64)
    validate(x, reference)
    within, between = pairwise(reference), pairwise(x, reference)
    return overlapped_area(within, between), divergence(within, between)


# ---- Fréchet -----------------------------------------------------------------------------------------------


def shrunk_covariance(x: Array) -> Array:
    """The covariance of the rows of x with its correlations shrunk towards none, by the data's own measure.

    S* = S with every correlation r_ij (i != j) times 1 - w, w = sum Var(r_ij) / sum r_ij^2 within 0..1 (Schäfer and
    Strimmer, Statistical Applications in Genetics and Molecular Biology 4(1), 2005, article 32): near S for many
    rows, near its diagonal for few. (d, d) from (n, d).
    """
    n = len(x)
    deviations = x - x.mean(0)
    sd = deviations.std(0, ddof=1)
    z = np.divide(deviations, sd, out=np.zeros_like(deviations), where=sd > 0)
    correlations = z.T @ z / (n - 1)
    mean_products = z.T @ z / n
    variances = ((z**2).T @ (z**2) - n * mean_products**2) * n / (n - 1) ** 3
    off = ~np.eye(x.shape[1], dtype=bool)
    squares = float((correlations[off] ** 2).sum())
    weight = min(1.0, max(0.0, float(variances[off].sum()) / squares)) if squares > 0 else 1.0
    correlations[off] *= 1 - weight
    result: Array = correlations * sd[:, None] * sd[None, :]
    return result


def frechet(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Fréchet distance of the Gaussians fitted to two samples (n, d), |m_x - m_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^1/2).

    The squared 2-Wasserstein distance of two Gaussians (Dowson and Landau, Journal of Multivariate Analysis 12,
    1982, equation 4), as FID and FAD use it; from 0, in squared units of the features, which the caller
    standardises. Covariances are those of `shrunk_covariance`. It falls with the number of pieces even between two
    samples of one source, so compare only figures of equally many.

    Raises:
        RequestError: for fewer than two rows, or values that are not finite.
    """
    first, second = (np.asarray(sample, np.float64) for sample in (x, y))
    validate(first, second)
    means = first.mean(0) - second.mean(0)
    s_x, s_y = shrunk_covariance(first), shrunk_covariance(second)
    values, vectors = np.linalg.eigh(s_x)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    # S_x S_y has the eigenvalues of the symmetric root S_y root, which NumPy finds stably.
    trace = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ s_y @ root), 0)).sum()
    return max(0.0, float(means @ means + np.trace(s_x) + np.trace(s_y) - 2 * trace))


# ---- ranks -------------------------------------------------------------------------------------------------


def rank_auc(sample: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """The chance that a value of the sample is greater than one of the reference, ties counting half: 0..1, 0.5 alike.

    The Mann-Whitney statistic over the number of pairs.

    Raises:
        RequestError: as `validate`.
    """
    x, y = (np.asarray(values, np.float64).ravel() for values in (sample, reference))
    validate(x, y)
    ordered = np.sort(y)
    below = np.searchsorted(ordered, x, side="left") + np.searchsorted(ordered, x, side="right")
    return float(below.mean() / (2 * len(y)))


def auc_interval(auc: float, n_sample: int, n_reference: int) -> tuple[float, float]:
    """The 95 % interval of an AUC of so many pieces, within 0..1, by Hanley and McNeil (Radiology 143, 1982), eq. 1.

    SE^2 = (A (1 - A) + (n_1 - 1)(Q_1 - A^2) + (n_2 - 1)(Q_2 - A^2)) / (n_1 n_2), Q_1 = A / (2 - A),
    Q_2 = 2 A^2 / (1 + A). It holds the chance in which pieces were met, not that in how folds were drawn.
    """
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    square = auc * (1 - auc) + (n_sample - 1) * (q1 - auc**2) + (n_reference - 1) * (q2 - auc**2)
    margin = 1.96 * float(np.sqrt(max(0.0, square) / (n_sample * n_reference)))
    return max(0.0, auc - margin), min(1.0, auc + margin)
