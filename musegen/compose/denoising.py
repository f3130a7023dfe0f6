"""How a diffusion model is run: steps, sampler and guidance, and the denoiser of a whole canvas out of its windows.

The network sees clips of at most its context; a longer canvas is covered by windows that overlap by half, each step
denoises all of them, and where they overlap their means are averaged, nearer ones weighing more, so that no seam is
written (DiffCollage: Zhang et al., 2023, with means in place of scores).

Letters: P parts, T steps, K pitches, W windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from musegen.compose.canvas import Canvas
from musegen.compose.leading import parallel_onsets
from musegen.compose.request import Denoising
from musegen.diffusion import levels, per_row_noise, quantiles, sampler
from musegen.diffusion.posterior import cells_of, evidence, state_means, states_of
from musegen.models.dit import Dit, Told
from musegen.roll import LOWEST, N_PITCHES, OFF
from musegen.score.theory import key_of_pitch_class, scale_pitch_classes
from musegen.shapes import DitConfig
from musegen.tokens import density_range

GUIDED = (0.3, 5.0)
"""Guidance acts between these noise levels: above it costs variety, below it changes nothing."""
MEASURED = "measured"
"""The schedule by the rates that the model's file tells."""
FLOOR = 0.2
"""Of the steps, the share that goes evenly over ln sigma, whatever is decided there."""
MARGIN = 1.1
"""So far inside of the class of density asked for is where the dial leads to."""
PARALLEL = 20.0
"""What is taken off the logit of an onset that makes parallels, where voices are to make none."""
HEAVIEST = 6.0
"""By no more than this do logits of onsets move for density, or rise where others are shunned."""
NEVER = -1e4
"""The logit of what may not be written."""


@dataclass(frozen=True)
class Recipe:
    """How a canvas is drawn; the defaults are chosen by docs/benchmarks/diffusion.md."""

    steps: int = 24
    sampler: str = "dpmpp_2m_sde"
    schedule: str = MEASURED
    churn: float = 0.0
    guidance: float = 1.0
    sharpness: float = 1.25
    """What the network adds to prior and evidence of voices is multiplied by it: above 1 surer, as a temperature below
    1 is."""
    sharpness_of_chords: float = 1.05
    """The same for parts in which several pitches may sound; more fills them too much."""
    foreign: float = 0.25
    """Logits that pitches foreign to the key, where one is known, are set back by; 0 leaves them as they are."""
    density: float = 0.5
    """Where a density is asked for, logits of onsets move at each call by this share of the logarithm of what is
    wanted over what is expected; 0 leaves it to the network, which is told."""

    @classmethod
    def of(cls, asked: Denoising, guidance: float | None) -> Recipe:
        """What is asked for, and the defaults else."""
        own = cls()
        return replace(
            own,
            steps=asked.steps or own.steps,
            sampler=asked.sampler or own.sampler,
            guidance=own.guidance if guidance is None else guidance,
        )


@dataclass(frozen=True)
class Window:
    """Beats `first` to `last` (excluded) of a canvas."""

    first: int
    last: int


def windows(bars: Sequence[int], context: int) -> list[Window]:
    """Whole bars (beats of each) in windows of at most `context` beats, each beginning amid the one before.

    A bar that is longer than that is a window of its own. The last window is as long as may be.
    """
    edges = np.concatenate(([0], np.cumsum(bars)))
    found: list[Window] = []
    first = last = 0
    while last < len(bars):
        amid = first + max(1, (last - first) // 2)
        fits = int(np.searchsorted(edges, edges[last + 1] - context))  # from there on, there is room for another bar
        first = min(last, max(amid, fits))
        last = max(first + 1, int(np.searchsorted(edges, edges[first] + context, side="right")) - 1)
        if last == len(bars):
            first = min(first, int(np.searchsorted(edges, edges[last] - context)))
        found.append(Window(int(edges[first]), int(edges[last])))
    return found


class CanvasDenoiser:
    """E[x0 | x] of a canvas by a network; each call is told of the last one's estimate (self-conditioning)."""

    def __init__(self, network: Dit, canvas: Canvas, recipe: Recipe) -> None:
        self.network = network
        self.canvas = canvas
        self.recipe = recipe
        voices = torch.from_numpy(canvas.voices)
        sharpness = torch.tensor((recipe.sharpness_of_chords, recipe.sharpness))[voices.long()]
        self.sharpness = sharpness[:, None, None, None]  # (P, 1, 1, 1)
        self.setback = recipe.foreign * torch.from_numpy(foreign_pitches(int(canvas.clip[1]))).float()  # (K,)
        self.windows = windows(canvas.bars, network.config.context)
        self.told = [_told(network, canvas, window) for window in self.windows]
        self.weights = [self._weight(window) for window in self.windows]
        self.known = torch.from_numpy(~canvas.written)[None, :, None]  # (1, P, 1, T, K)
        self.cells = cells_of(torch.from_numpy(canvas.states)[None]) * self.known  # (1, P, 2, T, K)
        self.allowed = torch.from_numpy(canvas.allowed)  # (T, K)
        self.previous = torch.zeros_like(self.cells)
        self.lean = 0.0
        """What is added to the logits of onsets, by the dial of density."""

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """(1, P, 2, T, K) -> (1, P, 2, T, K)."""
        total, weight = torch.zeros_like(x), torch.zeros(x.shape[3])
        shunned = None if self.canvas.may_be_parallel else self._parallels()
        for window, told, near in zip(self.windows, self.told, self.weights, strict=True):
            steps = self._steps(window)
            logits = self._logits(x[:, :, :, steps], sigma, told, self.previous[:, :, :, steps])
            logits = self._sharpened(logits, x[:, :, :, steps], sigma) - self.setback
            logits[:, :, 0] += self.lean
            if shunned is not None:
                logits[:, :, 0] = elsewhere(logits[:, :, 0], shunned[:, steps])
            logits = logits.masked_fill(~self.allowed[steps], NEVER)
            total[:, :, :, steps] += state_means(logits, told.voices) * near[:, None]
            weight[steps] += near
        self.previous = torch.where(self.known, self.cells, total / weight[:, None])
        self._lean_on(float(self.previous[:, :, 0].sum()))
        return self.previous

    def _parallels(self) -> Tensor:
        """(P, T, K) float32, 1 for onsets that make parallels with what the last estimate has the other voices do."""
        states = states_of(self.previous)[0].numpy() != OFF
        lines = np.where(states.any(axis=2), states.argmax(axis=2), -1)
        written = np.asarray(self.canvas.written.any(axis=2))
        shunned = parallel_onsets(lines, self.canvas.voices, written, states.shape[2])
        return torch.from_numpy(shunned).float()

    def _lean_on(self, n_notes: float) -> None:
        """Turn the dial of density, where so many notes are expected of the canvas."""
        asked = int(self.canvas.clip[2])
        if asked and self.recipe.density:
            low, high = density_range(asked)
            rate = max(n_notes / sum(self.canvas.bars), 1e-3)
            wanted = min(max(rate, low * MARGIN), high / MARGIN)
            self.lean += self.recipe.density * math.log(wanted / rate)
            self.lean = min(max(self.lean, -HEAVIEST), HEAVIEST)

    def _logits(self, x: Tensor, sigma: float, told: Told, previous: Tensor) -> Tensor:
        """The network's logits, with guidance led away from those of a clip of which nothing is said."""
        level = torch.tensor([sigma])
        if self.recipe.guidance == 1 or not GUIDED[0] < sigma <= GUIDED[1]:
            return self.network(x, level, told, previous)  # type: ignore[no-any-return]
        both = _stacked(told, told.without_conditions())
        asked, anything = self.network(x.repeat(2, 1, 1, 1, 1), level.repeat(2), both, previous.repeat(2, 1, 1, 1, 1))
        return (anything + self.recipe.guidance * (asked - anything)).unsqueeze(0)  # type: ignore[no-any-return]

    def _sharpened(self, logits: Tensor, x: Tensor, sigma: float) -> Tensor:
        """Logits with more of what the network adds to prior and evidence."""
        alone = self.network.prior.view(-1, 2, 1, x.shape[-1]) + evidence(x, torch.tensor([sigma]))
        return alone + self.sharpness * (logits - alone)

    def _steps(self, window: Window) -> slice:
        beat = self.network.config.beat
        return slice(window.first * beat, window.last * beat)

    def _weight(self, window: Window) -> Tensor:
        """(steps,) how much the window counts: more in its middle, but for the ends of the canvas."""
        n = (window.last - window.first) * self.network.config.beat
        rising = torch.arange(1, n + 1) / n
        left = torch.ones(n) if window.first == 0 else rising
        right = torch.ones(n) if window.last == sum(self.canvas.bars) else rising.flip(0)
        return torch.minimum(left, right)


def elsewhere(onsets: Tensor, shunned: Tensor) -> Tensor:
    """Logits of onsets (..., K): the shunned ones (..., K) fall, the others rise: one is as likely as before."""
    fallen = onsets - PARALLEL * shunned
    rise = onsets.logsumexp(dim=-1, keepdim=True) - fallen.logsumexp(dim=-1, keepdim=True)
    return fallen + rise.clamp(max=HEAVIEST)


def foreign_pitches(mode: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(K,) of bool: what lies outside of C major, or C minor with both sixths and sevenths, for a value of the mode."""
    if mode == 0:
        return np.zeros(N_PITCHES, np.bool_)
    key = key_of_pitch_class(0, "major" if mode == 1 else "minor")
    return ~np.isin(np.arange(LOWEST, LOWEST + N_PITCHES) % 12, list(scale_pitch_classes(key)))


def _told(network: Dit, canvas: Canvas, window: Window) -> Told:
    """What the network is told of a window."""
    beats = slice(window.first, window.last)
    steps = slice(window.first * network.config.beat, window.last * network.config.beat)
    known = torch.from_numpy(~canvas.written[:, steps])[None, :, None].float()
    return Told(
        torch.from_numpy(canvas.clip)[None],
        torch.from_numpy(canvas.beats[beats])[None],
        torch.from_numpy(canvas.chords[beats])[None].float(),
        torch.ones((1, window.last - window.first), dtype=torch.bool),
        known,
        cells_of(torch.from_numpy(canvas.states[:, steps])[None]) * known,
        torch.arange(network.config.n_parts)[None] < canvas.n_parts,
        torch.from_numpy(canvas.voices)[None],
    )


def _stacked(first: Told, second: Told) -> Told:
    names = ("clip", "beats", "chords", "valid", "known", "cells", "parts", "voices")
    return Told(*(torch.cat((getattr(first, name), getattr(second, name))) for name in names))


@dataclass(frozen=True)
class Drawn:
    """What a canvas has become after `done` of `steps` steps; at the end, means (P, 2, T, K) of its cells."""

    done: int
    steps: int
    means: Tensor

    @property
    def states(self) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
        """(P, T, K), the likeliest state of each cell."""
        return states_of(self.means[None])[0].numpy()

    @property
    def onsets(self) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
        """(P, T, K), how likely each cell is an onset."""
        return self.means[:, 0].numpy()


def draw(network: Dit, canvas: Canvas, recipe: Recipe, rates: Sequence[float], seed: int) -> Iterator[Drawn]:
    """Denoise a canvas step by step, from noise or from what `canvas.begin` shows under some of it."""
    shape = network.config
    top = start_level(canvas.strength, shape.sigma_min, shape.sigma_max)
    if recipe.schedule == MEASURED:
        sigmas = measured_levels(shape, rates, recipe.steps, top)
    else:
        sigmas = levels(recipe.schedule, recipe.steps, shape.sigma_min, top)
    noise = per_row_noise([seed])
    denoise = CanvasDenoiser(network, canvas, recipe)
    begin = cells_of(torch.from_numpy(canvas.begin)[None])
    with torch.inference_mode():
        x = begin + top * noise(begin)
        for step in sampler(recipe.sampler)(denoise, x, sigmas, noise, churn=recipe.churn):
            yield Drawn(step.index + 1, recipe.steps, step.denoised[0])


def measured_levels(shape: DitConfig, rates: Sequence[float], n_steps: int, top: float) -> tuple[float, ...]:
    """Levels from `top` down, each step deciding alike much of the music: by the `rates` of the card and a floor.

    `rates` are the nats of equal strata of ln sigma from sigma_min to sigma_max; none: even steps of ln sigma.
    """
    edges = np.linspace(math.log(shape.sigma_min), math.log(shape.sigma_max), max(1, len(rates)) + 1)
    mass = np.array(rates or [1.0])
    mass = mass / mass.sum() + FLOOR / len(mass)
    below = edges < math.log(top) - 1e-9
    cut = np.append(edges[below], math.log(top))
    widths = np.diff(cut) / (edges[1] - edges[0])
    return quantiles(cut.tolist(), (mass[: len(widths)] * widths).tolist(), n_steps)


def start_level(strength: float, lowest: float, highest: float) -> float:
    """The noise that a variation begins with: even in its logarithm, from where nothing changes to where all does."""
    return float((2 * lowest) ** (1 - strength) * highest**strength)
