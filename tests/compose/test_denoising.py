"""The denoiser of a canvas out of its windows, with a network of which all is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from musegen import conditions, roll
from musegen.cli.options import SAMPLERS as TOLD
from musegen.compose import Denoising
from musegen.compose.canvas import Canvas
from musegen.compose.denoising import GUIDED, CanvasDenoiser, Recipe, draw, start_level, windows
from musegen.diffusion import SAMPLERS
from musegen.models.dit import Dit, Told
from musegen.tokens.controls import density_class, density_range
from tests.compose.lively import lively

BARS = st.lists(st.integers(1, 8), min_size=1, max_size=30)


class Constant:
    """A network that gives the same logits for every cell, and keeps what it was called with."""

    def __init__(self, onset: float = 0.5, sustain: float = -1.0, context: int = 16) -> None:
        self.config = SimpleNamespace(context=context, beat=4, n_parts=4, sigma_min=0.1, sigma_max=20.0)
        self.logits = torch.tensor((onset, sustain))[:, None, None]
        self.prior = torch.zeros(4 * 2 * 84)
        self.calls: list[tuple[Tensor, Tensor, Told, Tensor]] = []

    def __call__(self, x: Tensor, sigma: Tensor, told: Told, previous: Tensor) -> Tensor:
        self.calls.append((x, sigma, told, previous))
        return self.logits.expand(x.shape).clone()


def canvas(bars: Sequence[int] = (4,) * 9, n_parts: int = 2) -> Canvas:
    """All to be written, but for a note at the beginning of the first part; nothing below C2."""
    n_beats = sum(bars)
    states = np.zeros((4, 4 * n_beats, roll.N_PITCHES), np.uint8)
    states[0, 0, 40], states[0, 1:4, 40] = roll.ONSET, roll.SUSTAIN
    written = (states == roll.OFF) & (np.arange(4) < n_parts)[:, None, None]
    allowed = np.ones(states.shape[1:], np.bool_)
    allowed[:, :12] = False
    beats = np.concatenate([conditions.beat_values(n, k, k + 1, len(bars)) for k, n in enumerate(bars)])
    clip = conditions.clip_values("folk", None, 5, (4, 4))
    chords = conditions.chord_values(np.array([(0, 1, -1)]), n_beats)
    return Canvas(
        0,
        tuple(bars),
        tuple(range(n_parts)),
        states,
        written,
        clip,
        beats,
        chords,
        0,
        allowed,
        np.zeros_like(states),
        np.zeros(4, np.bool_),
    )


def denoiser(network: Constant, guidance: float = 1.0, of: Canvas | None = None) -> CanvasDenoiser:
    recipe = Recipe(guidance=guidance, sharpness=1, sharpness_of_chords=1, foreign=0, density=0)
    return CanvasDenoiser(cast("Dit", network), of or canvas(), recipe)


@given(BARS, st.integers(4, 40))
@settings(max_examples=50)
def test_windows_cover_all_beats_and_begin_at_bar_lines(bars: list[int], context: int) -> None:
    found = windows(bars, context)
    edges = [0, *np.cumsum(bars).tolist()]
    assert found[0].first == 0 and found[-1].last == edges[-1]
    for window in found:
        assert {window.first, window.last} <= set(edges) and window.first < window.last
        n_bars = edges.index(window.last) - edges.index(window.first)
        assert window.last - window.first <= context or n_bars == 1
    for one, two in pairwise(found):
        assert one.first < two.first <= one.last < two.last, "each goes on from the one before, without a gap"
    if max(bars) * 2 <= context:
        assert all(two.first < one.last for one, two in pairwise(found)), "they overlap"


def test_a_short_piece_is_one_window_and_the_last_of_a_long_one_is_full() -> None:
    assert [(w.first, w.last) for w in windows([4, 4, 4], 16)] == [(0, 12)]
    assert [(w.first, w.last) for w in windows([4] * 9, 16)] == [(0, 16), (8, 24), (16, 32), (20, 36)]
    assert [(w.first, w.last) for w in windows([8, 8], 4)] == [(0, 8), (8, 16)]


def test_windows_of_a_constant_network_average_to_that_constant() -> None:
    network = Constant()
    shown = canvas()
    means = denoiser(network, of=shown)(torch.randn(1, 4, 2, 144, 84), 1.0)
    weights = network.logits.exp()
    expected = weights / (1 + weights.sum())
    free = torch.from_numpy(shown.written & shown.allowed)
    for k in range(2):
        assert torch.allclose(means[0, :, k][free], torch.tensor(expected[k].item()), atol=1e-6)
    assert len(network.calls) == 4, "a call a window"


def test_known_cells_come_exactly_and_disallowed_pitches_not_at_all() -> None:
    shown = canvas()
    means = denoiser(Constant(onset=9), of=shown)(torch.randn(1, 4, 2, 144, 84), 1.0)[0]
    assert means[0, 0, 0, 40] == 1 and torch.equal(means[0, 1, :5, 40] > 0.5, torch.tensor([0, 1, 1, 1, 0]).bool())
    assert set(means[0, :, :4, 40].flatten().tolist()) == {0.0, 1.0}
    assert not means[2:].any(), "there is nothing in parts that are not there"
    assert not means[:2, :, :, :12].any() and (means[:2, 0, 4:, 12:] > 0.9).all()


@pytest.mark.parametrize("density", [2, 5, 8])
def test_the_dial_of_density_leads_to_as_many_notes_as_are_asked_for(density: int) -> None:
    shown = replace(canvas(), clip=conditions.clip_values("folk", None, density, (4, 4)))
    network = Constant(onset=-2.0)
    told = CanvasDenoiser(
        cast("Dit", network), shown, Recipe(guidance=1, sharpness=1, sharpness_of_chords=1, foreign=0)
    )
    silent = denoiser(network, of=shown)
    x = torch.randn(1, 4, 2, 144, 84)
    counts = [float(told(x, 1.0)[:, :, 0].sum()) / 36 for _ in range(12)]  # notes a quarter
    low, high = density_range(density)
    assert low < counts[-1] < high, counts
    assert not low < float(silent(x, 1.0)[:, :, 0].sum()) / 36 < high
    assert density_class(round(36 * counts[-1]), 36) == density


def test_voices_are_sharpened_and_chords_as_asked() -> None:
    shown = replace(canvas(), voices=np.array([True, False, False, False]))
    network = Constant(onset=2.0, sustain=1.0)
    network.prior = torch.full((4 * 2 * 84,), -3.0)
    x = torch.full((1, 4, 2, 144, 84), 0.5)  # says nothing
    for of_voices, of_chords in ((1.0, 1.0), (2.0, 1.0), (1.0, 1.5)):
        recipe = Recipe(guidance=1, sharpness=of_voices, sharpness_of_chords=of_chords, foreign=0, density=0)
        means = CanvasDenoiser(cast("Dit", network), shown, recipe)(x, 1.0)[0, :2, :, 8, 50]
        for part, factor, n_pitches in ((0, of_voices, 72), (1, of_chords, 1)):
            weights = (-3 + factor * (network.logits.flatten() + 3)).exp()
            assert torch.allclose(means[part], weights / (1 + n_pitches * weights.sum()), rtol=1e-4)


@pytest.mark.parametrize("may_be_parallel", [False, True])
def test_parallels_with_the_last_estimate_are_shunned_where_asked(may_be_parallel: bool) -> None:
    voices = np.array([True, True, False, False])
    shown = replace(canvas((4,)), voices=voices, may_be_parallel=may_be_parallel)
    denoise = denoiser(Constant(), of=shown)
    denoise.previous[0, 0, 1, 4:8, 48] = denoise.previous[0, 0, 0, 8, 50] = denoise.previous[0, 1, 1, 4:8, 36] = 1
    means = denoise(torch.randn(1, 4, 2, 16, 84), 1.0)[0]
    shares = [float(means[1, 0, 8, pitch] / means[1, 0, 8, 37]) for pitch in (38, 50, 39, 34)]
    assert shares == pytest.approx([1, 1, 1, 1] if may_be_parallel else [0, 0, 1, 1], abs=1e-5)


def test_the_network_is_told_what_stands_in_its_window() -> None:
    network = Constant()
    shown = canvas()
    denoise = denoiser(network, of=shown)
    denoise(torch.randn(1, 4, 2, 144, 84), 2.0)
    x, sigma, told, previous = network.calls[1]
    assert x.shape == (1, 4, 2, 64, 84) and sigma.tolist() == [2.0] and not previous.any()
    assert told.beats[0].tolist() == shown.beats[8:24].tolist() and told.clip[0].tolist() == shown.clip.tolist()
    assert torch.equal(told.chords[0], torch.from_numpy(shown.chords[8:24]).float())
    assert told.parts.tolist() == [[True, True, False, False]] and told.valid.all()
    first = network.calls[0][2]
    assert first.known[0, 0, 0, :4, 40].all() and first.cells[0, 0, :, :4, 40].tolist() == [[1, 0, 0, 0], [0, 1, 1, 1]]
    assert not first.known[0, :2, 0, 4:].any() and first.known[0, 2:].all()


def test_each_call_is_told_the_last_ones_estimate() -> None:
    network = Constant()
    denoise = denoiser(network)
    x = torch.randn(1, 4, 2, 144, 84)
    first = denoise(x, 2.0)
    denoise(x, 1.0)
    assert torch.equal(network.calls[-1][3], first[:, :, :, 80:144])


def test_guidance_of_1_or_outside_its_interval_calls_the_network_once() -> None:
    x = torch.randn(1, 4, 2, 16, 84)
    for guidance, sigma, rows in ((1.0, 1.0, 1), (2.0, 1.0, 2), (2.0, GUIDED[1] + 1, 1), (2.0, GUIDED[0] / 2, 1)):
        network = Constant()
        denoiser(network, guidance, canvas((4,)))(x, sigma)
        assert [len(call[0]) for call in network.calls] == [rows]
    told = network.calls[0][2]
    assert told.clip.any() and told.chords.any()


def test_guidance_leads_away_from_what_is_written_unasked() -> None:
    class Asked(Constant):
        def __call__(self, x: Tensor, sigma: Tensor, told: Told, previous: Tensor) -> Tensor:
            super().__call__(x, sigma, told, previous)
            return told.clip.any(dim=1).float().view(-1, 1, 1, 1, 1).expand(x.shape) - 2  # -1 asked, -2 unasked

    network = Asked()
    means = denoiser(network, 3.0, canvas((4,)))(torch.randn(1, 4, 2, 16, 84), 1.0)
    expected = np.exp(1.0) / (1 + 2 * np.exp(1.0))  # -2 + 3 (-1 + 2) = 1
    assert means[0, 1, :, :, 12:].flatten().tolist() == pytest.approx([expected] * (2 * 16 * 72))
    told = network.calls[0][2]
    assert torch.equal(told.known[0], told.known[1]) and torch.equal(told.beats[0], told.beats[1])
    assert not told.clip[1].any() and not told.chords[1].any()


def test_the_level_that_a_variation_begins_with_rises_with_its_strength() -> None:
    found = [start_level(strength, 0.1, 20) for strength in np.linspace(0, 1, 21)]
    assert found == sorted(set(found)) and found[0] == pytest.approx(0.2) and found[-1] == pytest.approx(20)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_sampler_draws_from_a_seed_and_keeps_what_is_known(name: str) -> None:
    shown, network = canvas((4, 4, 4, 3)), lively()
    *early, last = draw(network, shown, Recipe(steps=3, sampler=name), (), 5)
    assert [(step.done, step.steps) for step in (*early, last)] == [(k, 3) for k in (1, 2, 3)]
    assert np.array_equal(last.states[~shown.written], shown.states[~shown.written])
    assert not last.states[:, ~shown.allowed].any() and last.states[:2].any() and not last.states[2:].any()
    *_, again = draw(network, shown, Recipe(steps=3, sampler=name), (), 5)
    *_, other = draw(network, shown, Recipe(steps=3, sampler=name), (), 6)
    assert torch.equal(last.means, again.means) and not np.array_equal(last.states, other.states)
    assert last.onsets.shape == last.states.shape


@pytest.mark.parametrize("strength", [1e-3, 0.5, 0.999])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_levels_fall_whatever_the_strength_and_the_steps(strength: float, steps: int) -> None:
    shown = replace(canvas((2,)), strength=strength)
    drawn = list(draw(cast("Dit", Constant()), shown, Recipe(steps=steps, sharpness=1), (), 1))
    assert len(drawn) == steps and drawn[-1].means.isfinite().all()


def test_a_recipe_is_what_was_asked_for_and_the_defaults_else() -> None:
    assert Recipe.of(Denoising(), None) == Recipe()
    assert Recipe.of(Denoising(7, "heun"), 2.0) == Recipe(steps=7, sampler="heun", guidance=2.0)


def test_the_command_line_names_the_samplers_and_the_defaults() -> None:
    from musegen.cli.options import SAMPLING

    assert sorted(SAMPLERS) == list(TOLD)
    helps = {option.name: option.help for option in _parameters(SAMPLING)}
    assert f"[default: {Recipe().steps}]" in helps["steps"]
    assert f"[default: {Recipe().sampler}]" in helps["sampler"]
    assert f"of a diffusion model {Recipe().guidance:g}]" in helps["guidance"]


def _parameters(decorators: Sequence[object]) -> list[SimpleNamespace]:
    """The options that decorators of click add."""

    def bare() -> None:
        """Nothing."""

    for decorate in decorators:
        decorate(bare)  # type: ignore[operator]
    return bare.__click_params__  # type: ignore[attr-defined,no-any-return]
