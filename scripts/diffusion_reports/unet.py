"""A U-Net of the shape of Polyffusion's (Min et al., 2023), built with diffusers, with random weights.

Rolls of 2 x 128 x 128 (onset and sustain, 8 bars of sixteenths, 128 pitches), 64 channels times 1, 2, 4, 4, two
residual blocks a level, attention to itself and to one vector of 512 in the two lower levels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

ROLL = (2, 128, 128)
CHANNELS = (64, 128, 256, 256)
CONDITION = 512
STEPS = 50
"""Of DDIM, as Polyffusion's own script takes by default."""


def is_there() -> bool:
    """Whether diffusers is."""
    return find_spec("diffusers") is not None


def build(channels: tuple[int, ...] = CHANNELS) -> Any:
    """The network."""
    import torch

    diffusers = import_module("diffusers")
    torch.manual_seed(0)
    down = ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D")
    up = ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D")
    return diffusers.UNet2DConditionModel(
        sample_size=ROLL[1], in_channels=ROLL[0], out_channels=ROLL[0], block_out_channels=channels,
        layers_per_block=2, down_block_types=down, up_block_types=up, cross_attention_dim=CONDITION,
        attention_head_dim=4,
    ).eval()  # fmt: skip


def sampling(network: Any, batch: int, calls: int) -> Callable[[], float]:
    """Tells the seconds of STEPS steps of a batch, reckoned from the first `calls` of them."""
    import torch

    scheduler = import_module("diffusers").DDIMScheduler(num_train_timesteps=1000, beta_schedule="scaled_linear")
    scheduler.set_timesteps(STEPS)
    told = torch.zeros((batch, 1, CONDITION))

    def once() -> float:
        x = torch.randn((batch, *ROLL))
        began = time.perf_counter()
        with torch.inference_mode():
            for step in scheduler.timesteps[:calls]:
                x = scheduler.step(network(x, step, told).sample, step, x).prev_sample
        return (time.perf_counter() - began) * STEPS / calls

    return once
