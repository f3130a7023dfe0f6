"""A diffusion model of random weights on which everything bears that it is told, and whose rolls are full."""

from __future__ import annotations

import torch

from musegen.checkpoint import load_denoiser
from musegen.models.dit import Dit


def lively(*, sings: bool = False) -> Dit:
    """The tiny model with random numbers also where training begins with none; one that `sings` fills voices too."""
    network, _ = load_denoiser("tiny-diffusion")
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for name, parameter in network.named_parameters():
            if name.startswith(("modulation", "last_modulation")):
                parameter.normal_(std=2.0)
            elif name.startswith(("cells", "settled")):
                parameter.normal_(std=0.2)
            elif name.startswith(("before", "behind")) and ".out." in name:
                parameter.normal_(std=0.05)
        onset, sustain = network.prior.view(-1, 2, network.config.n_pitches).unbind(1)
        onset.add_(5 if sings else 3)  # of a voice one pitch is chosen of 84: few sustains would follow an onset
        sustain.add_(0 if sings else 3)
    return network
