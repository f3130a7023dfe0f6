"""What a network may predict, and how it becomes a denoiser.

Networks, samplers, guidance and likelihood meet only at `Denoise`. Whatever a network predicts, its denoiser is

    D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)

(Karras et al., 2022, equation 7), and what it is trained towards is F = (x_0 - c_skip x) / c_out:

- x0: the data themselves
- eps: the noise (Ho et al., 2020)
- v: sqrt(abar) eps - sqrt(1 - abar) x_0 (Salimans and Ho, 2022)
- score: the gradient of ln p(x; sigma) (Song et al., 2021), -eps / sigma for one x_0 (Vincent, 2011)
- edm: the mixture of data and noise of unit variance that keeps the network's errors smallest (Karras et al., 2022);
  for data of variance 1 it is -v
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from musegen.errors import RequestError

Denoise = Callable[[Tensor, float], Tensor]
"""(x, (B, ...); sigma) -> an estimate of E[x_0 | x_0 + sigma eps = x], (B, ...)."""

Network = Callable[[Tensor, Tensor], Tensor]
"""(c_in x, (B, ...); c_noise, (B,)) -> F, (B, ...)."""


@dataclass(frozen=True)
class Scales:
    """The four factors of a level, or of as many levels as there are rows."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor
    c_noise: Tensor


def _scales(sigma: Tensor, c_skip: Tensor, c_out: Tensor, c_in: Tensor) -> Scales:
    """With the label of the noise that all have: ln(sigma) / 4 stays within a few units of 0."""
    return Scales(c_skip, c_out, c_in, sigma.log() / 4)


def _x0(sigma: Tensor, sigma_data: float) -> Scales:
    return _scales(sigma, torch.zeros_like(sigma), torch.ones_like(sigma), _unit(sigma, sigma_data))


def _eps(sigma: Tensor, sigma_data: float) -> Scales:
    return _scales(sigma, torch.ones_like(sigma), -sigma, _unit(sigma, sigma_data))


def _score(sigma: Tensor, sigma_data: float) -> Scales:
    return _scales(sigma, torch.ones_like(sigma), sigma**2, _unit(sigma, sigma_data))


def _v(sigma: Tensor, _: float) -> Scales:
    c_in = _unit(sigma, 1.0)  # VP coordinates, whatever the data
    return _scales(sigma, c_in**2, -sigma * c_in, c_in)


def _edm(sigma: Tensor, sigma_data: float) -> Scales:
    c_in = _unit(sigma, sigma_data)
    return _scales(sigma, (sigma_data * c_in) ** 2, sigma * sigma_data * c_in, c_in)


def _unit(sigma: Tensor, sigma_data: float) -> Tensor:
    """The factor that gives the network inputs of variance 1."""
    return (sigma**2 + sigma_data**2).rsqrt()


PARAMETERISATIONS: dict[str, Callable[[Tensor, float], Scales]] = {
    "x0": _x0,
    "eps": _eps,
    "v": _v,
    "score": _score,
    "edm": _edm,
}
"""Name -> the factors of levels `sigma` (any shape) for data whose standard deviation is `sigma_data`."""


def scales(name: str, sigma: Tensor, sigma_data: float) -> Scales:
    """The factors of a parameterisation by its name."""
    if name not in PARAMETERISATIONS:
        raise RequestError(f"unknown prediction {name!r}: use one of {', '.join(PARAMETERISATIONS)}")
    return PARAMETERISATIONS[name](sigma, sigma_data)


def denoiser(network: Network, name: str, sigma_data: float) -> Denoise:
    """The denoiser of a network that predicts what `name` says."""

    def denoise(x: Tensor, sigma: float) -> Tensor:
        c = scales(name, torch.tensor(sigma, dtype=torch.float64), sigma_data)  # 0-dim: x keeps its type and device
        return c.c_skip * x + c.c_out * network(c.c_in * x, c.c_noise.to(x).expand(len(x)))

    return denoise


def target(name: str, x_0: Tensor, eps: Tensor, sigma: Tensor, sigma_data: float) -> Tensor:
    """What the network is trained towards at x_0 + sigma eps; `sigma` broadcasts, say (B, 1, 1)."""
    c = scales(name, sigma, sigma_data)
    return (x_0 - c.c_skip * (x_0 + sigma * eps)) / c.c_out


def score(denoise: Denoise, x: Tensor, sigma: float) -> Tensor:
    """The gradient of ln p(x; sigma): Tweedie's formula (Karras et al., 2022, equation 3)."""
    return (denoise(x, sigma) - x) / sigma**2
