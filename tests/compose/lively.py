"""A diffusion model of random weights on which everything bears that it is told, and whose rolls are full."""

from __future__ import annotations

import torch

from musegen.checkpoint import load_denoiser
from musegen.models.dit import Dit


def lively() -> Dit:
    """The tiny model with random numbers also where training begins with none."""
    network, _ = load_denoiser("tiny-diffusion")
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for name, parameter in network.named_parameters():
            if name.startswith(("modulation", "last_modulation", "cells", "settled")):
                parameter.normal_(std=0.3)
        network.prior.add_(3)
    return network
