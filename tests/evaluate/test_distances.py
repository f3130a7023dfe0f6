"""Distances between samples whose distance is known."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from musegen.errors import RequestError
from musegen.evaluate import distances
from musegen.evaluate.distances import (
    auc_interval,
    divergence,
    frechet,
    overlapped_area,
    pairwise,
    rank_auc,
    shrunk_covariance,
    yang_lerch,
)


def normal(seed: int, *shape: int) -> distances.Array:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 2.0])
def test_two_normal_samples_overlap_as_their_curves_do(shift: float) -> None:
    known = 2 * NormalDist().cdf(-shift / 2)
    assert overlapped_area(normal(1, 20_000), normal(2, 20_000) + shift) == pytest.approx(known, abs=0.02)


def test_the_divergence_of_two_normal_samples_is_half_the_squared_shift() -> None:
    assert divergence(normal(1, 50_000), normal(2, 50_000) + 1) == pytest.approx(0.5, abs=0.03)
    assert divergence(normal(1, 50_000), normal(2, 50_000)) == pytest.approx(0, abs=0.005)


def test_the_density_is_that_of_a_kernel_at_each_value() -> None:
    a, b = normal(3, 40), normal(4, 30) + 1
    points, p, _ = distances.densities(a, b)
    width = a.std(ddof=1) * len(a) ** -0.2
    known = np.exp(-0.5 * ((points[:, None] - a) / width) ** 2).sum(1)
    assert np.abs(p - known / known.sum()).max() < 1e-3 * p.max()


def test_samples_far_apart_do_not_overlap() -> None:
    a, b = normal(1, 100), normal(2, 100) + 1000
    assert overlapped_area(a, b) < 1e-6
    assert 5 < divergence(a, b) < 12


def test_samples_of_one_value_overlap_wholly_or_not_at_all() -> None:
    same, other = np.full(10, 3.0), np.full(7, 4.0)
    assert overlapped_area(same, same[:5]) == pytest.approx(1)
    assert divergence(same, same[:5]) == pytest.approx(0, abs=1e-12)
    assert overlapped_area(same, other) < 1e-6


@pytest.mark.parametrize("shape", [(120,), (120, 12)])
def test_a_sample_against_itself_overlaps_nearly_wholly(shape: tuple[int, ...]) -> None:
    x = normal(5, *shape)
    overlap, kl = yang_lerch(x, x)
    assert overlap > 0.97
    assert kl < 0.05


@pytest.mark.parametrize("shape", [(60,), (60, 12)])
def test_a_sample_elsewhere_does_not_overlap(shape: tuple[int, ...]) -> None:
    overlap, kl = yang_lerch(normal(5, *shape) + 1000, normal(6, *shape))
    assert overlap < 1e-3
    assert kl > 5


def test_pairs_are_counted_once_within_and_all_between() -> None:
    x, y = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]), np.array([[0.0, 0.0], [6.0, 8.0]])
    assert sorted(pairwise(x)) == pytest.approx([1, math.sqrt(18), 5])
    assert sorted(pairwise(x, y)) == pytest.approx([0, 1, 5, 5, math.sqrt(36 + 49), 10])
    assert sorted(pairwise(np.array([1.0, 4.0, 2.0]))) == [1, 2, 3]


def test_frechet_of_normal_samples_is_the_closed_form() -> None:
    a, shift = np.array([[2.0, 0, 0], [1, 1, 0], [0, 0.5, 3]]), np.array([1.0, -2.0, 0.5])
    x, y = normal(1, 60_000, 3), normal(2, 60_000, 3) @ a.T + shift
    root_trace = np.sqrt(np.linalg.eigvals(a @ a.T).real).sum()  # one covariance is the unit matrix
    known = shift @ shift + 3 + np.trace(a @ a.T) - 2 * root_trace
    assert frechet(x, y) == pytest.approx(known, rel=0.02)
    assert frechet(y, x) == pytest.approx(frechet(x, y))


def test_frechet_of_a_shift_alone_is_its_square() -> None:
    x = normal(3, 200, 5)
    assert frechet(x, x + 2) == pytest.approx(5 * 4)
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_falls_with_the_number_of_pieces() -> None:
    few, many = (frechet(normal(1, n, 10), normal(2, n, 10)) for n in (25, 2500))
    assert few > 5 * many


def test_covariances_are_shrunk_where_there_is_nothing_to_see() -> None:
    noise = shrunk_covariance(normal(1, 15, 30))
    assert np.abs(noise - np.diag(np.diag(noise))).max() < 0.3 * np.abs(np.cov(normal(1, 15, 30).T)).max()
    true = np.array([[1.0, 0.8], [0.8, 1.0]])
    x = normal(2, 5000, 2) @ np.linalg.cholesky(true).T
    assert shrunk_covariance(x) == pytest.approx(np.cov(x.T), abs=0.01)


def test_a_constant_column_has_no_covariance() -> None:
    x = np.column_stack((normal(1, 50), np.ones(50)))
    assert shrunk_covariance(x)[1].tolist() == [0, 0]


def test_rank_auc_counts_pairs_and_halves_ties() -> None:
    assert rank_auc([1, 2, 3], [0, 0.5]) == 1
    assert rank_auc([0, 0], [1, 2]) == 0
    assert rank_auc([1, 2], [1, 3]) == pytest.approx((0.5 + 0 + 1 + 0) / 4)


def test_the_interval_of_an_auc_is_that_of_hanley_and_mcneil() -> None:
    # Their table's kind of case: A = 0.893 of 58 normal and 51 abnormal pictures has a standard error of 0.032.
    low, high = auc_interval(0.893, 51, 58)
    assert (high - low) / 2 / 1.96 == pytest.approx(0.032, abs=0.001)
    assert auc_interval(1.0, 10, 10) == (1.0, 1.0)


@pytest.mark.parametrize("function", [overlapped_area, divergence, yang_lerch, frechet, rank_auc])
def test_too_few_values_or_infinite_ones_are_refused(function: object) -> None:
    assert callable(function)
    good = normal(1, 10, 1)
    with pytest.raises(RequestError, match="two pieces or more"):
        function(good[:1], good)
    with pytest.raises(RequestError, match="not finite"):
        function(np.full_like(good, np.nan), good)
