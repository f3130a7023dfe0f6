"""Samplers: from noise to data, along levels of noise that fall.

Each solves the same reverse process by a denoiser D alone, in VE coordinates. Deterministic ones follow the
probability-flow ODE dx/dsigma = (x - D) / sigma (Karras et al., 2022, equation 1 with equation 3), stochastic ones
draw from the reverse process. All share one loop and differ in how they move one level down:

    sampler             calls of D a step   order   what it is
    euler               1                   1       Euler's method on the ODE
    ddim                1                   1       Song, Meng and Ermon (2021), eta = 0, in VP coordinates: euler
    heun                2, the last 1       2       Karras et al. (2022), algorithm 2
    dpmpp_2m            1                   2       DPM-Solver++(2M), Lu et al. (2022), algorithm 2
    ddpm                1                   random  ancestral sampling, Ho et al. (2020), algorithm 2
    dpmpp_2m_sde        1                   random  SDE-DPM-Solver++(2M), Lu et al. (2022)
    predictor_corrector 2, the last 1       random  Song et al. (2021), algorithm 2

`churn` (gamma of Karras et al., algorithm 2) adds noise before every step, of any sampler: the level rises to
(1 + churn) sigma and the step falls from there. All but the multistep ones then ask for D at the raised level, for
the first step above the levels given.

Letters: x (B, ...) at level sigma, `lower` the level to reach, D = denoised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from musegen.diffusion import forward
from musegen.diffusion.denoiser import Denoise, score
from musegen.errors import RequestError

Noise = Callable[[Tensor], Tensor]
"""x -> standard normal values of its shape, type and device; new ones at every call."""

HIGHEST_CHURN = math.sqrt(2) - 1
"""Karras et al. (2022): never add more noise than there is."""

SIGNAL_TO_NOISE = 0.16
"""r of the Langevin corrector, Song et al. (2021)."""


@dataclass(frozen=True)
class Step:
    """Where a sampler stands after a step; the last one's `x` is the sample."""

    index: int
    sigma: float
    """The level that was reached."""
    x: Tensor
    """(B, ...) at that level."""
    denoised: Tensor
    """(B, ...) what the data looked like from where the step began; equals `x` at sigma = 0."""


class Sampler(Protocol):
    """From `x` at sigmas[0] down to sigmas[-1], a Step for each level but the first."""

    def __call__(
        self, denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, *, churn: float = 0.0
    ) -> Iterator[Step]:
        """Begin from `x`, sigmas[0] times noise, or data with as much noise added."""


@dataclass(frozen=True)
class Past:
    """What a multistep method remembers: the last denoised, and at which level."""

    sigma: float
    denoised: Tensor


Move = Callable[[Denoise, Tensor, float, float, Noise, float, Past | None], tuple[Tensor, Tensor]]
"""(denoise, x, sigma, lower, noise, churn, past) -> (x at lower, D)."""


def per_row_noise(seeds: Sequence[int]) -> Noise:
    """Noise whose row i depends on seeds[i] alone, not on the other rows, the device or the type of numbers."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def noise(x: Tensor) -> Tensor:
        assert len(x) == len(generators), "a seed for every row"
        return torch.stack([torch.randn(x.shape[1:], generator=generator) for generator in generators]).to(x)

    return noise


def sampler(name: str) -> Sampler:
    """A sampler by its name."""
    if name not in SAMPLERS:
        raise RequestError(f"unknown sampler {name!r}: use one of {', '.join(SAMPLERS)}")
    return SAMPLERS[name]


def flow(x: Tensor, denoised: Tensor, sigma: float, level: float, _noise: Noise | None = None) -> Tensor:
    """Euler's step of the ODE, x + (level - sigma) (x - D) / sigma: exact as long as D stays as it is.

    It takes the arguments of `ancestor`, and needs no noise.
    """
    return denoised + (level / sigma) * (x - denoised)


def ancestor(x: Tensor, denoised: Tensor, sigma: float, lower: float, noise: Noise) -> Tensor:
    """A draw of x at `lower` given x at sigma and x_0 = D: DDPM equations 6 and 7 in VE coordinates."""
    share = (lower / sigma) ** 2
    return denoised + share * (x - denoised) + lower * math.sqrt(1 - share) * noise(x)


def raised(x: Tensor, sigma: float, churn: float, noise: Noise) -> tuple[Tensor, float]:
    """Add noise up to the level (1 + churn) sigma: Karras et al. (2022), algorithm 2."""
    if churn == 0:
        return x, sigma
    higher = sigma * (1 + churn)
    return x + math.sqrt(higher**2 - sigma**2) * noise(x), higher


def heun(denoise: Denoise, x: Tensor, denoised: Tensor, sigma: float, level: float) -> Tensor:
    """Heun's step of the ODE to another level above 0, up or down, given D at x; one call more."""
    guess = flow(x, denoised, sigma, level)
    slope = (x - denoised) / sigma
    slope_there = (guess - denoise(guess, level)) / level
    return x + (level - sigma) * (slope + slope_there) / 2


def extrapolated(denoised: Tensor, sigma: float, lower: float, past: Past | None) -> Tensor:
    """D half a step ahead, by the line through the last two: D_i of Lu et al. (2022), algorithm 2, lambda = -ln sigma.

    The first step has no past, and the last, to sigma = 0, no end in lambda: they are of first order.
    """
    if past is None or lower == 0:
        return denoised
    r = math.log(past.sigma / sigma) / math.log(sigma / lower)
    return denoised + (denoised - past.denoised) / (2 * r)


def _euler(denoise: Denoise, x: Tensor, sigma: float, lower: float, _noise: Noise) -> tuple[Tensor, Tensor]:
    denoised = denoise(x, sigma)
    return flow(x, denoised, sigma, lower), denoised


def _ddim(denoise: Denoise, x: Tensor, sigma: float, lower: float, _noise: Noise) -> tuple[Tensor, Tensor]:
    """Song, Meng and Ermon (2021), equation 12 with eta = 0."""
    denoised = denoise(x, sigma)
    alpha_bar, alpha_bar_next = forward.alpha_bar(sigma), forward.alpha_bar(lower)
    eps = (forward.to_vp(x, sigma) - math.sqrt(alpha_bar) * denoised) / math.sqrt(1 - alpha_bar)
    x_vp = math.sqrt(alpha_bar_next) * denoised + math.sqrt(1 - alpha_bar_next) * eps
    return forward.to_ve(x_vp, lower), denoised


def _heun(denoise: Denoise, x: Tensor, sigma: float, lower: float, _noise: Noise) -> tuple[Tensor, Tensor]:
    denoised = denoise(x, sigma)
    return heun(denoise, x, denoised, sigma, lower) if lower else denoised, denoised


def _ddpm(denoise: Denoise, x: Tensor, sigma: float, lower: float, noise: Noise) -> tuple[Tensor, Tensor]:
    denoised = denoise(x, sigma)
    return ancestor(x, denoised, sigma, lower, noise), denoised


def _predictor_corrector(
    denoise: Denoise, x: Tensor, sigma: float, lower: float, noise: Noise
) -> tuple[Tensor, Tensor]:
    """An ancestral step, then a step of Langevin dynamics at the level that it reached.

    The corrector's step 2 (r |z| / |score|)^2 has here the norms that they tend to in many dimensions, |z| and
    |z| / sigma: so it neither depends on the draw nor fails where the score is 0.
    """
    x, denoised = _ddpm(denoise, x, sigma, lower, noise)
    if lower == 0:
        return x, denoised
    epsilon = 2 * (SIGNAL_TO_NOISE * lower) ** 2
    return x + epsilon * score(denoise, x, lower) + math.sqrt(2 * epsilon) * noise(x), denoised


def _single(step: Callable[[Denoise, Tensor, float, float, Noise], tuple[Tensor, Tensor]]) -> Move:
    """A move that adds the churn and then makes a step without a past."""

    def move(
        denoise: Denoise, x: Tensor, sigma: float, lower: float, noise: Noise, churn: float, _past: Past | None
    ) -> tuple[Tensor, Tensor]:
        return step(denoise, *raised(x, sigma, churn, noise), lower, noise)

    return move


def _multi(land: Callable[[Tensor, Tensor, float, float, Noise], Tensor]) -> Move:
    """A move to where the extrapolated D leads.

    D is taken before the churn: two of them lie on one path, a step of the levels apart, only while no noise
    comes between a point and its D. With D taken behind it the line through them is wrong, and with many small
    steps it makes the sampler diverge.
    """

    def move(
        denoise: Denoise, x: Tensor, sigma: float, lower: float, noise: Noise, churn: float, past: Past | None
    ) -> tuple[Tensor, Tensor]:
        denoised = denoise(x, sigma)
        ahead = extrapolated(denoised, sigma, lower, past)
        x, higher = raised(x, sigma, churn, noise)
        return land(x, ahead, higher, lower, noise), denoised

    return move


def _walk(
    move: Move, denoise: Denoise, x: Tensor, sigmas: Sequence[float], noise: Noise, *, churn: float = 0.0
) -> Iterator[Step]:
    """The loop of all samplers."""
    if not 0 <= churn <= HIGHEST_CHURN:
        raise RequestError(f"churn is {churn:g}: it must lie from 0 to {HIGHEST_CHURN:.3f}")
    past = None
    for index, (sigma, lower) in enumerate(pairwise(sigmas)):
        assert sigma > lower >= 0, "levels of noise fall"
        x, denoised = move(denoise, x, sigma, lower, noise, churn, past)
        past = Past(sigma, denoised)
        yield Step(index, lower, x, denoised)


SAMPLERS: dict[str, Sampler] = {
    "ddpm": partial(_walk, _single(_ddpm)),
    "ddim": partial(_walk, _single(_ddim)),
    "euler": partial(_walk, _single(_euler)),
    "heun": partial(_walk, _single(_heun)),
    "dpmpp_2m": partial(_walk, _multi(flow)),
    "dpmpp_2m_sde": partial(_walk, _multi(ancestor)),
    "predictor_corrector": partial(_walk, _single(_predictor_corrector)),
}
