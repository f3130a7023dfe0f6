"""Diffusion: noise schedules, parameterisations, samplers, guidance, likelihood; a network is known as a callable."""

from __future__ import annotations

from musegen.diffusion.denoiser import PARAMETERISATIONS, Denoise, Network, denoiser, score, target
from musegen.diffusion.guidance import guided
from musegen.diffusion.likelihood import entropy_rates, exact_trace, hutchinson, log_likelihood, nll_of_errors
from musegen.diffusion.samplers import SAMPLERS, Noise, Sampler, Step, per_row_noise, sampler
from musegen.diffusion.schedules import SCHEDULES, levels, quantiles

__all__ = [
    "PARAMETERISATIONS",
    "SAMPLERS",
    "SCHEDULES",
    "Denoise",
    "Network",
    "Noise",
    "Sampler",
    "Step",
    "denoiser",
    "entropy_rates",
    "exact_trace",
    "guided",
    "hutchinson",
    "levels",
    "log_likelihood",
    "nll_of_errors",
    "per_row_noise",
    "quantiles",
    "sampler",
    "score",
    "target",
]
