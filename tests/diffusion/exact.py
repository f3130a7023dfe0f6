"""Data whose best denoiser, flow and density are known in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def log_normal(x: Tensor, mean: Tensor | float, std: float) -> Tensor:
    """Of every cell."""
    return -(((x - mean) / std) ** 2) / 2 - math.log(std * math.sqrt(2 * math.pi))


@dataclass(frozen=True)
class Gaussian:
    """N(mean, std^2) in every cell."""

    mean: float
    std: float

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        return self.mean + self.std**2 / (self.std**2 + sigma**2) * (x - self.mean)

    def std_at(self, sigma: float) -> float:
        return math.hypot(self.std, sigma)

    def flow(self, x: Tensor, sigma: float, level: float) -> Tensor:
        return self.mean + self.std_at(level) / self.std_at(sigma) * (x - self.mean)

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        return log_normal(x, self.mean, self.std_at(sigma)).sum(1)


@dataclass(frozen=True)
class TwoPoints:
    """+1 with probability `share`, else -1, in every cell."""

    share: float = 0.5

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        return torch.tanh(x / sigma**2 + math.log(self.share / (1 - self.share)) / 2)

    def draw(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        chance = torch.rand(shape, generator=generator, dtype=torch.float64)
        return torch.where(chance < self.share, 1.0, -1.0).double()

    def entropy(self) -> float:
        return -sum(p * math.log(p) for p in (self.share, 1 - self.share))

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        parts = [math.log(p) + log_normal(x, at, sigma) for at, p in ((1, self.share), (-1, 1 - self.share))]
        return torch.logaddexp(*parts).sum(1)
