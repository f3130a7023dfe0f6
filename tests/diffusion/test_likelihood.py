from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from musegen.diffusion import (
    entropy_rates,
    exact_trace,
    hutchinson,
    levels,
    log_likelihood,
    nll_of_errors,
    per_row_noise,
)
from tests.diffusion.exact import Gaussian, TwoPoints

X = torch.linspace(-3, 3, 24, dtype=torch.float64).reshape(8, 3)


def mixed(x: Tensor, sigma: float) -> Tensor:
    """A denoiser whose cells see each other."""
    return torch.tanh(x / sigma**2) + 0.3 * x.roll(1, dims=1) * x


@pytest.mark.parametrize("data", [Gaussian(0.4, 1.3), TwoPoints(0.3)], ids=["gaussian", "two points"])
def test_the_flow_gives_the_density(data: Gaussian | TwoPoints) -> None:
    lowest = 0.5
    errors = []
    for n_steps in (100, 200):
        found = log_likelihood(data, X, levels("log_uniform", n_steps, lowest, 50.0)[:-1])
        errors.append(float((found - data.log_density(X, lowest)).abs().max()))
    assert errors[1] < 0.001  # nats, in three cells
    assert errors[0] > 3 * errors[1]  # second order


def test_the_exact_trace_is_that_of_the_jacobian() -> None:
    denoised, trace = exact_trace(mixed, X, 0.8)
    diagonal = (1 - torch.tanh(X / 0.64) ** 2) / 0.64 + 0.3 * X.roll(1, dims=1)
    torch.testing.assert_close(trace, diagonal.sum(1))
    torch.testing.assert_close(denoised, mixed(X, 0.8))


def test_a_trace_by_probes_is_right_in_the_mean() -> None:
    n_probes = 1000
    denoised, trace = hutchinson(per_row_noise(range(len(X))), n_probes)(mixed, X, 0.8)
    exact = exact_trace(mixed, X, 0.8)[1]
    spread = 0.3 * 3 * 3  # what the cells outside of the diagonal can do to one probe
    torch.testing.assert_close(trace, exact, rtol=0, atol=4 * spread / math.sqrt(n_probes))
    torch.testing.assert_close(denoised, mixed(X, 0.8))


def test_where_cells_are_independent_one_probe_is_exact() -> None:
    sigmas = levels("log_uniform", 20, 0.5, 50.0)[:-1]
    probed = log_likelihood(TwoPoints(0.3), X, sigmas, hutchinson(per_row_noise(range(len(X)))))
    torch.testing.assert_close(probed, log_likelihood(TwoPoints(0.3), X, sigmas))


def squared_error(data: TwoPoints, sigma: float) -> float:
    """E|x_0 - D|^2 of one cell, over a fine grid of eps."""
    eps = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    weight = torch.exp(-(eps**2) / 2) / math.sqrt(2 * math.pi) * (eps[1] - eps[0])
    sides = ((1.0, data.share), (-1.0, 1 - data.share))
    return sum(p * float((weight * (at - data(at + sigma * eps, sigma)) ** 2).sum()) for at, p in sides)


@pytest.mark.parametrize("share", [0.5, 0.2, 0.02])
@pytest.mark.parametrize("n_levels", [25, 100])
def test_the_errors_of_the_best_denoiser_add_up_to_the_entropy(share: float, n_levels: int) -> None:
    data = TwoPoints(share)
    sigmas = levels("log_uniform", n_levels, 0.05, 5.0)[:-1]  # above 5 there are 2 to 3 % of it
    errors = [squared_error(data, sigma) for sigma in sigmas]
    variance = 4 * share * (1 - share)
    assert nll_of_errors(sigmas, errors, variance) == pytest.approx(data.entropy(), rel=0.01)
    assert nll_of_errors(sigmas[::-1], errors[::-1], variance) == pytest.approx(data.entropy(), rel=0.01)
    assert share != 0.5 or data.entropy() == math.log(2)


def test_a_worse_denoiser_needs_more_nats() -> None:
    """Taking a biased pair of points for a fair one costs their Kullback-Leibler divergence."""
    data, believed = TwoPoints(0.2), TwoPoints(0.5)
    generator = torch.Generator().manual_seed(2)
    x_0 = data.draw((40_000, 1), generator)
    sigmas = levels("log_uniform", 60, 0.05, 20.0)[:-1]
    errors = []
    for sigma in sigmas:
        x = x_0 + sigma * torch.randn(x_0.shape, generator=generator, dtype=x_0.dtype)
        errors.append(float((x_0 - believed(x, sigma)).square().sum(1).mean()))
    assert nll_of_errors(sigmas, errors, 1.0) == pytest.approx(math.log(2), rel=0.01)  # E|x_0|^2: it believes in 0


def test_the_entropy_rate_is_the_error_in_units_of_the_noise() -> None:
    assert entropy_rates((2.0, 0.5), (1.0, 0.25)) == (0.25, 1.0)
