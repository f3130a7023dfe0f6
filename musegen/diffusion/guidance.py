"""Classifier-free guidance (Ho and Salimans, 2022), on an interval of noise levels (Kynkäänniemi et al., 2024)."""

from __future__ import annotations

import math

from torch import Tensor

from musegen.diffusion.denoiser import Denoise
from musegen.errors import RequestError


def guided(
    conditional: Denoise, unconditional: Denoise, scale: float, interval: tuple[float, float] = (0.0, math.inf)
) -> Denoise:
    """A denoiser that goes `scale` times as far as from what anything might be to what was asked for.

    Only the conditional one is called, and its answer left as it is, at a scale of 1 and outside of the interval
    (lowest, highest]: guidance at high noise costs variety and at low noise changes nothing.
    """
    lowest, highest = interval
    if not 0 <= lowest < highest:
        raise RequestError(f"guidance on noise from {lowest:g} to {highest:g}: give the lower level first")
    if not 0 <= scale < math.inf:
        raise RequestError(f"guidance scale {scale:g}: it must be 0 or above; 1 is off")

    def denoise(x: Tensor, sigma: float) -> Tensor:
        asked = conditional(x, sigma)
        if scale == 1 or not lowest < sigma <= highest:
            return asked
        anything = unconditional(x, sigma)
        return anything + scale * (asked - anything)

    return denoise
