"""How likely data are under a denoiser, in nats: two ways to the same number.

- `log_likelihood`: of one point, by the probability-flow ODE (Song et al., 2021, equation 39), for continuous data
- `nll_of_errors`: of discrete data on average, by the denoiser's squared error at every level of noise (Guo, Shamai
  and Verdu, 2005; Kong et al., 2023)

Letters: B rows, d cells of a row, D denoised, J the Jacobian of D in x, gamma = 1 / sigma^2 the signal-to-noise ratio.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from musegen.diffusion.denoiser import Denoise
from musegen.diffusion.samplers import Noise, heun

Trace = Callable[[Denoise, Tensor, float], tuple[Tensor, Tensor]]
"""(denoise, x, sigma) -> (D, (B, ...); tr J, (B,))."""


def exact_trace(denoise: Denoise, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """D and tr J, by one backward pass for each of the d cells."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        denoised = denoise(x, sigma)
    flat = denoised.flatten(1)  # (B, d)
    trace = torch.zeros_like(flat[:, 0])
    for i, cell in enumerate(flat.unbind(1)):  # rows do not know each other: the sum's gradient is that of each
        trace = trace + torch.autograd.grad(cell.sum(), x, retain_graph=True)[0].flatten(1)[:, i]
    return denoised.detach(), trace.detach()


def hutchinson(noise: Noise, n_probes: int = 1) -> Trace:
    """An unbiased estimate of tr J as the mean of z J z, z random signs, by one backward pass for each probe."""

    def trace_of(denoise: Denoise, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            denoised = denoise(x, sigma)
        trace = torch.zeros_like(denoised.flatten(1)[:, 0])
        for _ in range(n_probes):
            z = noise(x.detach()).sign()  # signs have less variance than normal values
            trace = trace + (torch.autograd.grad(denoised, x, z, retain_graph=True)[0] * z).flatten(1).sum(1)
        return denoised.detach(), trace.detach() / n_probes

    return trace_of


def log_likelihood(denoise: Denoise, x: Tensor, sigmas: Sequence[float], trace: Trace = exact_trace) -> Tensor:
    """Nats ln p(x; sigmas[-1]) of each row, (B,): the density of data with the last, lowest level of noise on them.

    `sigmas` fall to a level above 0. The ODE is followed up to the first, along which d ln p / d sigma =
    -(d - tr J) / sigma: d has a closed form, tr J is integrated by the trapezoid rule in ln sigma. There, where noise
    outweighs data, p is taken for the isotropic Gaussian whose denoiser has this D and tr J, which is nearer than
    N(0, sigma^2): the first level may be some times the data's standard deviation instead of some hundred.
    """
    rising = tuple(reversed(sigmas))
    assert rising[0] > 0, "a density needs noise"
    n_cells = x[0].numel()
    denoised, traced = trace(denoise, x, rising[0])
    result = torch.full_like(traced, n_cells * math.log(rising[-1] / rising[0]))
    for sigma, higher in pairwise(rising):
        x = heun(denoise, x, denoised, sigma, higher)
        before = traced
        denoised, traced = trace(denoise, x, higher)
        result = result - math.log(higher / sigma) * (before + traced) / 2
    noise_share = 1 - traced / n_cells  # sigma^2 / (sigma^2 + variance of data)
    distance = (x - denoised).flatten(1).square().sum(1) / (rising[-1] ** 2 * noise_share)
    return result + n_cells / 2 * torch.log(noise_share / (2 * math.pi * rising[-1] ** 2)) - distance / 2


def entropy_rates(sigmas: Sequence[float], errors: Sequence[float]) -> tuple[float, ...]:
    """Nats learned about the data per unit of ln sigma at each level; `errors` are E|x_0 - D|^2 there."""
    return tuple(error / sigma**2 for sigma, error in zip(sigmas, errors, strict=True))


def nll_of_errors(sigmas: Sequence[float], errors: Sequence[float], variance: float) -> float:
    """-ln p of discrete data in nats, the mean over rows: 1/2 the integral of the errors over gamma.

    `errors` are E|x_0 - D|^2 (the sum over the d cells of a row, the mean over rows) at levels that fall or rise.
    The exact D gives the entropy of the data, any other an upper bound. Above the highest level the error is taken
    for E|x_0 - E x_0|^2, the total `variance`; below the lowest for 0, as where D has found x_0.
    """
    points = sorted(zip(map(math.log, sigmas), entropy_rates(sigmas, errors), strict=True))
    middle = sum((b - a) * (rate_a + rate_b) / 2 for (a, rate_a), (b, rate_b) in pairwise(points))
    return middle + variance / (2 * max(sigmas) ** 2)
