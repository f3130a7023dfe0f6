"""The loss of a diffusion model over rolls, and its held-out likelihood.

Noise levels are drawn where something is decided: ln sigma is normal around ln LEVEL_CENTRE, cut to what the model
knows, one draw in each equal share of a batch's rows (stratified). The loss is the cross entropy of each cell's state,
divided by the shape of what it costs at that level when cells know nothing of each other, so that every level counts
alike. A quarter of the batches sees the network's own first estimate (self-conditioning: Chen et al., 2023).

The likelihood is that of information theory (Guo, Shamai and Verdu, 2005; Kong, Brekelmans and Ver Steeg, 2023): for
cells of 0 and 1, -ln p(x0) <= integral of E |x0 - D(x, sigma)|^2 / sigma^2 over d ln sigma, an equality for the exact
denoiser.

Letters: B rows, P parts, T steps, K pitches.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from musegen import roll
from musegen.corpus.shards import Piece
from musegen.diffusion.posterior import cross_entropy, state_means
from musegen.evaluate.likelihood import Likelihood, validate
from musegen.models.dit import Dit
from musegen.shapes import DitConfig
from musegen.train.distributed import Place
from musegen.train.roll_pieces import RollPiece
from musegen.train.rolls import Clip, Shared, collate, held_out_clips

LEVEL_CENTRE, LEVEL_SPREAD = 0.7, 0.9
"""Median of the noise levels of training, and the standard deviation of their logarithm."""
HALF_LEVEL, STEEPNESS, FLOOR = 0.45, 4.0, 0.02
"""The cost of a cell alone, as a share of its entropy: 1 / (1 + (HALF_LEVEL / sigma)^STEEPNESS), FLOOR at least."""
CLIPS_A_PIECE, LEVELS = 4, 8
"""So many clips of a held-out piece are measured, at so many levels each."""
MEASURED_TOGETHER = 64


def levels(n: int, sigma_min: float, sigma_max: float, device: torch.device) -> Tensor:
    """(n,) noise levels of training, in random order."""
    normal: Any = torch.distributions.Normal(math.log(LEVEL_CENTRE), LEVEL_SPREAD)  # torch says no types of it
    low, high = (normal.cdf(torch.tensor(math.log(edge))) for edge in (sigma_min, sigma_max))
    shares = (torch.randperm(n) + torch.rand(n)) / n
    sigma: Tensor = normal.icdf(low + (high - low) * shares).exp()
    return sigma.to(device)


def weight(sigma: Tensor) -> Tensor:
    """What the loss at a level is multiplied by."""
    return 1 / (1 / (1 + (HALF_LEVEL / sigma) ** STEEPNESS)).clamp(min=FLOOR)


def roll_loss(network: nn.Module, batch: Shared) -> Tensor:
    """Summed weighted cross entropy in nats, of the cells that are to be written."""
    model: Any = getattr(network, "module", network)
    config: DitConfig = model.config
    x0, written, told, looks_twice = batch
    sigma = levels(len(x0), config.sigma_min, config.sigma_max, x0.device)
    x = x0 + sigma.view(-1, 1, 1, 1, 1) * torch.randn_like(x0)
    previous = None
    if looks_twice:
        with torch.no_grad():
            previous = state_means(network(x, sigma, told), told.voices)
    logits = network(x, sigma, told, previous)
    nats = cross_entropy(logits, x0, told.voices) * written.squeeze(2)  # (B, P, T, K)
    return (nats.sum(dim=(1, 2, 3)) * weight(sigma)).sum()


def measure_rolls(model: Dit, pieces: Iterable[Piece], place: Place) -> dict[str, Likelihood]:
    """Nats by source and of all pieces: of clips each by itself, all cells of the parts there are to be written.

    A Likelihood's `pieces` are clips here, and its `tokens` their cells.

    Raises:
        RequestError: if the pieces hold no note.
    """
    pieces = list(pieces)
    validate(pieces)
    clips = [
        (piece.source, clip)
        for piece in pieces
        for clip in held_out_clips(RollPiece.of(piece, model.config.n_parts), model.config, CLIPS_A_PIECE)
    ]
    groups: defaultdict[str, list[tuple[float, int, int, float]]] = defaultdict(list)
    for start in range(0, len(clips), MEASURED_TOGETHER):
        part = clips[start : start + MEASURED_TOGETHER]
        nats = clip_nats(model, [clip for _, clip in part], place, first=start)
        for (source, clip), value in zip(part, nats, strict=True):
            row = (value, int(clip.written.sum()), clip.n_notes, len(clip.beats) / 2)  # seconds at 120 a minute
            groups[source].append(row)
            groups["all"].append(row)
    return {name: _total(rows) for name, rows in sorted(groups.items(), key=lambda kv: (kv[0] == "all", kv[0]))}


def _total(rows: Sequence[tuple[float, int, int, float]]) -> Likelihood:
    nats, cells, notes, seconds = (sum(column) for column in zip(*rows, strict=True))
    return Likelihood(float(nats), int(cells), int(notes), len(rows), float(seconds))


def clip_nats(model: Dit, clips: list[Clip], place: Place, *, first: int = 0, n_levels: int = LEVELS) -> list[float]:
    """The nats of each clip, by the strata of `level_nats` and what lies above them."""
    strata = level_nats(model, clips, place, first=first, n_levels=n_levels)
    above = [(clip.states != roll.OFF)[clip.written].sum() / (2 * model.config.sigma_max**2) for clip in clips]
    return [float(value) for value in strata.sum(dim=0).cpu().numpy() + np.array(above)]


def level_nats(model: Dit, clips: list[Clip], place: Place, *, first: int = 0, n_levels: int = LEVELS) -> Tensor:
    """(n_levels, B) the nats of each stratum of ln sigma, from low to high, by one draw in it.

    What is drawn follows from the number of the clip alone (`first` is that of the first one).
    """
    x0, written, told, _ = collate(clips, model.config).share(replace(place, rank=0, world=1))  # all are this process's
    low, high = math.log(model.config.sigma_min), math.log(model.config.sigma_max)
    generators = [torch.Generator().manual_seed(first + row) for row in range(len(clips))]
    strata = []
    with torch.inference_mode():
        for level in range(n_levels):
            offset = torch.stack([torch.rand((), generator=g) for g in generators])
            sigma = (low + (high - low) * (level + offset) / n_levels).exp().to(place.device)
            noise = torch.stack([torch.randn(x0.shape[1:], generator=g) for g in generators]).to(place.device)
            with place.autocast():
                means = state_means(model(x0 + sigma.view(-1, 1, 1, 1, 1) * noise, sigma, told), told.voices)
            error = ((means - x0) ** 2 * written).sum(dim=(1, 2, 3, 4))
            strata.append((high - low) / n_levels * error / sigma**2)
    return torch.stack(strata)


def bits_per_roll(held_out: Likelihood) -> float:
    """Bits a clip."""
    return held_out.nats / math.log(2) / max(1, held_out.pieces)
