"""Noise schedules: the levels that a sampler visits.

A schedule of `n_steps` steps is `n_steps` falling levels from sigma_max to sigma_min, followed by 0: n_steps + 1
numbers, one step between each two. Each is evenly spaced on a clock of its own, so the clock is all that differs:

- karras: sigma^(1/rho) (Karras et al., 2022, equation 5)
- log_uniform: ln sigma, the clock of DPM-Solver (Lu et al., 2022)
- linear: the time of the VP process whose beta grows linearly (Ho et al., 2020; Song et al., 2021)
- cosine: the time of the VP process of Nichol and Dhariwal (2021)
- `quantiles`: the share of a mass that is spread over ln sigma, measured in training
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from musegen.diffusion.forward import COSINE_OFFSET
from musegen.errors import RequestError

Schedule = Callable[[int, float, float], tuple[float, ...]]
"""(n_steps, sigma_min, sigma_max) -> n_steps falling levels, then 0."""

RHO = 7.0
"""Karras et al. (2022): larger puts more steps at low noise."""

BETA_MIN, BETA_RISE = 0.1, 19.9
"""beta(t) = BETA_MIN + BETA_RISE t, the limit of many steps of `linear_betas` (Song et al., 2021)."""

COSINE_START = COSINE_OFFSET / (1 + COSINE_OFFSET) * math.pi / 2
"""The angle at t = 0."""


def karras(n_steps: int, sigma_min: float, sigma_max: float) -> tuple[float, ...]:
    """Even in sigma^(1/rho)."""
    return _even(lambda sigma: sigma ** (1 / RHO), lambda clock: clock**RHO, n_steps, sigma_min, sigma_max)


def log_uniform(n_steps: int, sigma_min: float, sigma_max: float) -> tuple[float, ...]:
    """Even in ln sigma: each level is the same share of the one before."""
    return _even(math.log, math.exp, n_steps, sigma_min, sigma_max)


def linear(n_steps: int, sigma_min: float, sigma_max: float) -> tuple[float, ...]:
    """Even in t, where ln(1 + sigma^2) = -ln abar = BETA_MIN t + BETA_RISE t^2 / 2."""

    def time(sigma: float) -> float:
        return (math.sqrt(BETA_MIN**2 + 2 * BETA_RISE * math.log1p(sigma**2)) - BETA_MIN) / BETA_RISE

    def level(time: float) -> float:
        return math.sqrt(math.expm1(BETA_MIN * time + BETA_RISE * time**2 / 2))

    return _even(time, level, n_steps, sigma_min, sigma_max)


def cosine(n_steps: int, sigma_min: float, sigma_max: float) -> tuple[float, ...]:
    """Even in the angle, where 1 / (1 + sigma^2) = abar = cos^2(angle) / cos^2(COSINE_START)."""
    top = math.cos(COSINE_START)

    def angle(sigma: float) -> float:
        return math.acos(top / math.sqrt(1 + sigma**2))

    def level(angle: float) -> float:
        return math.sqrt((top / math.cos(angle)) ** 2 - 1)

    return _even(angle, level, n_steps, sigma_min, sigma_max)


SCHEDULES: dict[str, Schedule] = {
    "karras": karras,
    "log_uniform": log_uniform,
    "linear": linear,
    "cosine": cosine,
}


def levels(name: str, n_steps: int, sigma_min: float, sigma_max: float) -> tuple[float, ...]:
    """The levels of a schedule by its name."""
    if name not in SCHEDULES:
        raise RequestError(f"unknown noise schedule {name!r}: use one of {', '.join(SCHEDULES)}")
    if n_steps < 1:
        raise RequestError(f"{n_steps} steps: a sampler needs at least 1")
    if not 0 < sigma_min < sigma_max < math.inf:
        raise RequestError(f"noise from {sigma_max:g} to {sigma_min:g}: it must fall, and end above 0")
    return SCHEDULES[name](n_steps, sigma_min, sigma_max)


def quantiles(log_edges: Sequence[float], weights: Sequence[float], n_steps: int) -> tuple[float, ...]:
    """Levels that cut a mass over ln sigma in equal parts, from the highest edge to the lowest, then 0.

    `weights` are the masses of the bins between the rising `log_edges`, evenly spread in each: the entropy rate,
    say, so that each step learns as much about the data as any other.
    """
    assert len(log_edges) == len(weights) + 1, "bins lie between edges"
    assert min(weights) >= 0 < sum(weights), "a mass to cut"
    below = (0.0, *accumulate(weights))

    def level(mass: float) -> float:
        i = bisect_right(below, mass) - 1  # never an empty bin: it ends where it begins
        return math.exp(log_edges[i] + (mass - below[i]) / weights[i] * (log_edges[i + 1] - log_edges[i]))

    inner = (level(below[-1] * (1 - i / (n_steps - 1))) for i in range(1, n_steps - 1))
    return _ended(inner, n_steps, math.exp(log_edges[0]), math.exp(log_edges[-1]))


def _even(
    clock: Callable[[float], float], level: Callable[[float], float], n_steps: int, sigma_min: float, sigma_max: float
) -> tuple[float, ...]:
    """Levels evenly spaced on a clock; `level` is its inverse."""
    start, end = clock(sigma_max), clock(sigma_min)
    inner = (level(start + i / (n_steps - 1) * (end - start)) for i in range(1, n_steps - 1))
    return _ended(inner, n_steps, sigma_min, sigma_max)


def _ended(inner: Iterable[float], n_steps: int, sigma_min: float, sigma_max: float) -> tuple[float, ...]:
    """The inner levels between the ends, which are exact; a single step goes from the highest to 0."""
    return (sigma_max, *inner, *((sigma_min,) if n_steps > 1 else ()), 0.0)
