"""Autoregressive decoding: filters, search and the loop that writes; a network is known by its protocol."""

from __future__ import annotations

from musegen.decoding.filters import RANGES, SamplingOptions
from musegen.decoding.generate import Ending, Step, generate

__all__ = ["RANGES", "Ending", "SamplingOptions", "Step", "generate"]
