"""Small diffusion transformers, and inputs for them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from musegen.conditions import BEAT_SIZES, CHORD_SIZE, CLIP_SIZES
from musegen.models.dit import Dit, Told
from musegen.shapes import DitConfig, roll_preset


@dataclass(frozen=True, eq=False)
class Inputs:
    """Clean and noisy cells, noise levels, and what is told."""

    x0: Tensor
    x: Tensor
    sigma: Tensor
    told: Told


def shape(**changes: object) -> DitConfig:
    """Of the preset tiny-diffusion."""
    return roll_preset("tiny-diffusion", CLIP_SIZES, BEAT_SIZES, CHORD_SIZE, **changes)


def inputs(config: DitConfig, n_rows: int, n_beats: int, *, seed: int = 0, given: float = 0.2) -> Inputs:
    """Random cells, of which a share is given, with random facts about them."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> Tensor:
        return torch.rand(size, generator=generator)

    cells = (n_rows, config.n_parts, config.beat * n_beats, config.n_pitches)
    states = (draw(*cells) * 1.3).long()  # a quarter of them ones
    sustains = (draw(*cells) < 0.1) & (states == 0)
    x0 = torch.stack((states.float(), sustains.float()), dim=2)
    known = (draw(*cells) < given).float().unsqueeze(2)
    sigma = torch.exp(2 * draw(n_rows) - 1)
    told = Told(
        clip=torch.stack([(draw(n_rows) * size).long() for size in config.condition_sizes], dim=1),
        beats=torch.stack([(draw(n_rows, n_beats) * size).long() for size in config.beat_sizes], dim=2),
        chords=(draw(n_rows, n_beats, config.chord_size) < 0.3).float(),
        valid=torch.ones(n_rows, n_beats, dtype=torch.bool),
        known=known,
        cells=x0 * known,
        parts=torch.ones(n_rows, config.n_parts, dtype=torch.bool),
        voices=torch.zeros(n_rows, config.n_parts, dtype=torch.bool),
    )
    x = x0 + sigma.view(-1, 1, 1, 1, 1) * torch.randn(x0.shape, generator=generator)
    return Inputs(x0, x, sigma, told)


def stirred(config: DitConfig, seed: int = 1) -> Dit:
    """A network of random weights in all its parts, so that differences show."""
    torch.manual_seed(seed)
    model = Dit(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=1.5 * parameter[0].numel() ** -0.5)
            else:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model
