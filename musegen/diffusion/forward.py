"""The forward process: how data become noise, in closed form.

Everything in this package is written in variance-exploding (VE) coordinates, x_sigma = x_0 + sigma eps (Karras et
al., 2022). The variance-preserving (VP) process of DDPM (Ho et al., 2020) is the same process in other coordinates:

    x_vp = x_ve / sqrt(1 + sigma^2),    sigma = sqrt((1 - abar) / abar),    abar = 1 / (1 + sigma^2)

Letters: x_0 data, x_t VP data at step t of T, beta_t the variance that step t adds, abar_t the product of 1 - beta
up to t. All tensors (B, ...).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from torch import Tensor

COSINE_OFFSET = 0.008
"""s of Nichol and Dhariwal (2021): keeps the first steps from being too small."""

HIGHEST_BETA = 0.999
"""Nichol and Dhariwal (2021): without it the last step would destroy everything."""


@dataclass(frozen=True)
class Moments:
    """A Gaussian that is independent in every cell, with one variance for all."""

    mean: Tensor
    variance: float


def alpha_bar(sigma: float) -> float:
    """The abar of a VE level."""
    return 1 / (1 + sigma**2)


def sigma(alpha_bar: float) -> float:
    """The VE level of an abar."""
    return math.sqrt((1 - alpha_bar) / alpha_bar)


def to_vp(x: Tensor, sigma: float) -> Tensor:
    """VE coordinates -> VP coordinates of the same point at level `sigma`."""
    return x / math.sqrt(1 + sigma**2)


def to_ve(x: Tensor, sigma: float) -> Tensor:
    """VP coordinates -> VE coordinates of the same point at level `sigma`."""
    return x * math.sqrt(1 + sigma**2)


def linear_betas(n_steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> tuple[float, ...]:
    """beta_1 ... beta_T of Ho et al. (2020), evenly spaced."""
    return tuple(first + (last - first) * i / max(1, n_steps - 1) for i in range(n_steps))


def cosine_betas(n_steps: int = 1000) -> tuple[float, ...]:
    """beta_1 ... beta_T of Nichol and Dhariwal (2021): abar_t = f(t) / f(0), f(t) = cos^2((t/T + s) / (1 + s) pi/2)."""
    f = [math.cos((i / n_steps + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2) ** 2 for i in range(n_steps + 1)]
    return tuple(min(1 - f[i + 1] / f[i], HIGHEST_BETA) for i in range(n_steps))


def alpha_bars(betas: Sequence[float]) -> tuple[float, ...]:
    """abar_1 ... abar_T."""
    return tuple(accumulate((1 - beta for beta in betas), lambda product, alpha: product * alpha))


def one_step(x: Tensor, beta: float) -> Moments:
    """q(x_t | x_{t-1}), DDPM equation 2."""
    return Moments(math.sqrt(1 - beta) * x, beta)


def many_steps(x_0: Tensor, alpha_bar: float) -> Moments:
    """q(x_t | x_0), DDPM equation 4."""
    return Moments(math.sqrt(alpha_bar) * x_0, 1 - alpha_bar)


def posterior(x_t: Tensor, x_0: Tensor, alpha_bar: float, alpha_bar_before: float) -> Moments:
    """q(x_{t-1} | x_t, x_0), DDPM equations 6 and 7; `alpha_bar_before` is that of t - 1, or of any earlier step."""
    alpha = alpha_bar / alpha_bar_before
    beta = 1 - alpha
    share_of_data = math.sqrt(alpha_bar_before) * beta / (1 - alpha_bar)
    share_of_noisy = math.sqrt(alpha) * (1 - alpha_bar_before) / (1 - alpha_bar)
    return Moments(share_of_data * x_0 + share_of_noisy * x_t, beta * (1 - alpha_bar_before) / (1 - alpha_bar))
