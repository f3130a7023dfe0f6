from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from musegen.diffusion import forward
from tests.diffusion.exact import log_normal

BETAS = {"linear": forward.linear_betas(), "cosine": forward.cosine_betas()}
X = torch.linspace(-2, 2, 7, dtype=torch.float64)


@pytest.mark.parametrize("betas", BETAS.values(), ids=BETAS)
def test_single_steps_compose_to_the_closed_form(betas: Sequence[float]) -> None:
    mean, variance = X, 0.0
    for beta, alpha_bar in zip(betas, forward.alpha_bars(betas), strict=True):
        mean, variance = forward.one_step(mean, beta).mean, (1 - beta) * variance + beta
        closed = forward.many_steps(X, alpha_bar)
        torch.testing.assert_close(mean, closed.mean, rtol=1e-10, atol=0)
        assert variance == pytest.approx(closed.variance, rel=1e-10)


@pytest.mark.parametrize("betas", BETAS.values(), ids=BETAS)
@pytest.mark.parametrize("t", [1, 2, 500, 997])
def test_the_posterior_is_bayes_rule(betas: Sequence[float], t: int) -> None:
    """ln q(x_t | x_{t-1}) + ln q(x_{t-1} | x_0) - ln q(x_t | x_0), at points x_{t-1}."""
    before, now = forward.alpha_bars(betas)[t - 1], forward.alpha_bars(betas)[t]
    x_0, x_t, x = 0.7, 0.4, X

    def log_density(at: torch.Tensor, moments: forward.Moments) -> torch.Tensor:
        return log_normal(at, moments.mean, math.sqrt(moments.variance))

    data, noisy = torch.full_like(x, x_0), torch.full_like(x, x_t)
    bayes = log_density(noisy, forward.one_step(x, betas[t])) + log_density(x, forward.many_steps(data, before))
    bayes = bayes - log_density(noisy, forward.many_steps(data, now))
    torch.testing.assert_close(log_density(x, forward.posterior(noisy, data, now, before)), bayes, rtol=1e-7, atol=1e-7)


def test_the_steps_of_the_papers_end_in_noise() -> None:
    linear, cosine = BETAS["linear"], BETAS["cosine"]
    assert (linear[0], linear[-1]) == (1e-4, 0.02)
    assert forward.alpha_bars(linear)[-1] == pytest.approx(4.0e-5, rel=0.02)  # no more than that of x_0 is left
    assert forward.alpha_bars(cosine)[499] == pytest.approx(0.494, abs=0.001)  # half way, half the variance
    assert cosine[-1] == forward.HIGHEST_BETA


@pytest.mark.parametrize("sigma", [0.01, 0.5, 1.0, 80.0])
def test_the_two_coordinates_are_one_process(sigma: float) -> None:
    alpha_bar = forward.alpha_bar(sigma)
    assert forward.sigma(alpha_bar) == pytest.approx(sigma)
    eps = X.flip(0) ** 2
    vp = forward.many_steps(X, alpha_bar)
    torch.testing.assert_close(forward.to_vp(X + sigma * eps, sigma), vp.mean + math.sqrt(vp.variance) * eps)
    torch.testing.assert_close(forward.to_ve(forward.to_vp(X, sigma), sigma), X)
