from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from musegen.diffusion.posterior import EVIDENCE_LIMIT, cells_of, cross_entropy, evidence, state_means, states_of
from tests.diffusion.exact import log_normal

ODDS = (0.02, 0.3)
"""Of onset and sustain against off."""


def draws(sigma: float) -> tuple[Tensor, Tensor]:
    """Clean and noisy cells (B, P, 2, T, K) of all states, in double precision."""
    generator = torch.Generator().manual_seed(4)
    states = torch.randint(3, (2, 3, 8, 7), generator=generator)
    x0 = cells_of(states).double()
    return x0, x0 + sigma * torch.randn(x0.shape, generator=generator, dtype=torch.float64)


def prior() -> Tensor:
    return torch.tensor(ODDS, dtype=torch.float64).log().view(1, 1, 2, 1, 1)


def bayes(x: Tensor, sigma: float) -> Tensor:
    """(B, P, 3, T, K) the probabilities of off, onset and sustain, by densities of the two numbers of a cell."""
    parts = []
    for weight, at in ((1.0, (0, 0)), (ODDS[0], (1, 0)), (ODDS[1], (0, 1))):
        parts.append(math.log(weight) + sum(log_normal(x[:, :, k], at[k], sigma) for k in (0, 1)))
    return torch.stack(parts, dim=2).softmax(dim=2)


@pytest.mark.parametrize("sigma", [0.25, 0.5, 1.0, 4.0, 20.0])
def test_prior_and_evidence_are_the_posterior(sigma: float) -> None:
    x0, x = draws(sigma)
    logits = prior() + evidence(x, torch.full((2,), sigma, dtype=torch.float64))
    expected = bayes(x, sigma)
    torch.testing.assert_close(state_means(logits), expected[:, :, 1:], rtol=1e-9, atol=1e-12)
    of_truth = torch.cat((1 - x0.sum(dim=2, keepdim=True), x0), dim=2)
    nats = -(expected * of_truth).sum(dim=2).log()
    torch.testing.assert_close(cross_entropy(logits, x0), nats, rtol=1e-9, atol=1e-12)


def test_each_row_has_its_own_noise() -> None:
    _, x = draws(1.0)
    both = evidence(x, torch.tensor([0.5, 2.0], dtype=torch.float64))
    torch.testing.assert_close(both[:1], evidence(x[:1], torch.tensor([0.5], dtype=torch.float64)))
    torch.testing.assert_close(both[1], (x[1] - 0.5) / 4)


@pytest.mark.parametrize("size", [0.05, 1e-3, 1e-6])
def test_little_noise_is_certain_and_finite(size: float) -> None:
    x0, x = (t.float() for t in draws(size))
    sigma = torch.full((2,), size)
    logits = prior().float() + evidence(x, sigma)
    assert evidence(x, sigma).abs().max() == EVIDENCE_LIMIT
    means, nats = state_means(logits), cross_entropy(logits, x0)
    torch.testing.assert_close(means, x0, atol=1e-6, rtol=0)
    assert (nats >= 0).all() and nats.max() < 1e-6


def test_huge_logits_make_no_nan() -> None:
    values = torch.tensor([-1e30, -1e4, -200.0, 0.0, 200.0, 1e4, 1e30])
    logits = torch.stack(torch.meshgrid(values, values, indexing="ij"))[None, None]  # (1, 1, 2, 7, 7)
    logits.requires_grad_()
    means = state_means(logits)
    assert means.isfinite().all() and (means >= 0).all() and (means.sum(dim=2) <= 1 + 1e-6).all()
    assert means[0, 0, :, 4, 0].tolist() == [1, 0] and means[0, 0, :, 0, 0].tolist() == [0, 0]
    torch.testing.assert_close(means[0, 0, :, 4, 4], torch.tensor([0.5, 0.5]))
    nats = cross_entropy(logits, torch.zeros_like(logits))
    assert nats.isfinite().all() and nats[0, 0, 4, 0] == 200 and nats[0, 0, 0, 0] == 0
    (gradient,) = torch.autograd.grad(nats.sum(), logits)
    torch.testing.assert_close(gradient, means)


def test_states_become_cells_and_again_states() -> None:
    states = torch.tensor([[[[0, 1, 2], [2, 0, 1]]]], dtype=torch.uint8)
    cells = cells_of(states)
    assert cells.shape == (1, 1, 2, 2, 3) and cells.dtype == torch.float32
    assert cells[0, 0, :, 0].tolist() == [[0, 1, 0], [0, 0, 1]]
    assert torch.equal(states_of(cells), states) and states_of(cells).dtype == torch.uint8


@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_the_likeliest_state_is_that_of_the_posterior(sigma: float) -> None:
    _, x = draws(sigma)
    means = state_means(prior() + evidence(x, torch.full((2,), sigma, dtype=torch.float64)))
    states = states_of(means)
    assert torch.equal(states, bayes(x, sigma).argmax(dim=2).to(torch.uint8))
    assert sigma > 1 or {0, 1, 2} == set(states.flatten().tolist())


def test_a_voice_sings_one_pitch_at_a_time() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((1, 2, 2, 4, 6), generator=generator, dtype=torch.float64)
    voices = torch.tensor([[True, False]])
    means = state_means(logits, voices)
    weights = logits[0, 0].exp()  # (2, T, K): of all states in which one pitch sounds, and of silence, which weighs 1
    torch.testing.assert_close(means[0, 0], weights / (1 + weights.sum(dim=(0, 2), keepdim=True)))
    torch.testing.assert_close(means[:, 1:], state_means(logits[:, 1:]))
    states = torch.zeros((1, 2, 4, 6), dtype=torch.uint8)
    states[:, :, 0, 3], states[:, :, 1, 3], states[:, :, 2, 5] = 1, 2, 1  # and silence
    nats = cross_entropy(logits, cells_of(states).double(), voices)
    own = means[0, 0]
    chances = torch.stack((own[0, 0, 3], own[1, 1, 3], own[0, 2, 5], 1 - own[:, 3].sum()))
    torch.testing.assert_close(nats[0, 0].sum(dim=1), -chances.log())
    torch.testing.assert_close(nats[:, 1:], cross_entropy(logits[:, 1:], cells_of(states[:, 1:]).double()))
