"""Cells of a roll as states: what a noisy cell says of its own state, and the mean of a cell under state logits.

A cell is off, onset or sustain, and two numbers in {0, 1}: whether it is an onset, whether a sustain. Beside noise,
x = x0 + sigma * eps, each number k adds (x_k - 1/2) / sigma^2 to the logit of its state against "off": the logarithm of
N(x_k; 1, sigma^2) / N(x_k; 0, sigma^2). With the logarithm of the prior odds this is the exact posterior of cells that
know nothing of each other; what a network adds to these logits is what it knows of music. Training on the cross entropy
of the posterior is training on E[x0 | x], since x0 is 0 or 1.

A part can be a voice, of which one pitch sounds at a time. Its cells at one step are then one choice, of a pitch and a
state or of none: the posterior of independent cells under the condition that at most one of them is not off, which is a
softmax over all of them.

Letters: B rows, P parts, T steps, K pitches; 2 is (onset, sustain).
"""

from __future__ import annotations

import torch
from torch import Tensor

EVIDENCE_LIMIT = 30.0
"""Logits of evidence are held to this size; beyond it a cell is certain."""


def evidence(x: Tensor, sigma: Tensor) -> Tensor:
    """(B, P, 2, T, K) what noisy cells say of themselves; sigma (B,), float32 as x."""
    return ((x - 0.5) / sigma.view(-1, 1, 1, 1, 1) ** 2).clamp(-EVIDENCE_LIMIT, EVIDENCE_LIMIT)


def _weighed(logits: Tensor, voices: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The weights of onset and sustain (B, P, 2, T, K), their sum with "off", and the top logit they are scaled by.

    Sum and top are over the two states of a cell, (B, P, 1, T, K); of parts that are `voices` over all pitches as well.
    """
    top = logits.amax(dim=2, keepdim=True).clamp(min=0)
    if voices is not None:
        voice = voices[:, :, None, None, None]
        top = torch.where(voice, top.amax(dim=4, keepdim=True), top)
    weights = (logits - top).exp()
    total = weights.sum(dim=2, keepdim=True)
    if voices is not None:
        total = torch.where(voice, total.sum(dim=4, keepdim=True), total)
    return weights, total + (-top).exp(), top


def state_means(logits: Tensor, voices: Tensor | None = None) -> Tensor:
    """(B, P, 2, T, K) the probabilities of onset and sustain, E[x0 | x], of logits against "off".

    `voices` (B, P) of bool: the parts of which one pitch sounds at most; None is none.
    """
    weights, total, _ = _weighed(logits, voices)
    return weights / total


def cross_entropy(logits: Tensor, x0: Tensor, voices: Tensor | None = None) -> Tensor:
    """(B, P, T, K) nats of the true states x0 (B, P, 2, T, K) in {0, 1} under logits against "off".

    What a step of a voice costs, which is one choice, is spread evenly over its pitches.
    """
    _, total, top = _weighed(logits, voices)
    chosen = (logits * x0).sum(dim=2)  # (B, P, T, K)
    nats = top.squeeze(2) + total.squeeze(2).log()
    if voices is None:
        return nats - chosen
    return nats.where(~voices[:, :, None, None], nats / logits.shape[4]) - torch.where(
        voices[:, :, None, None], chosen.mean(dim=3, keepdim=True), chosen
    )


def cells_of(states: Tensor) -> Tensor:
    """(B, P, 2, T, K) float32 in {0, 1} of states (B, P, T, K): 0 off, 1 onset, 2 sustain."""
    return torch.stack((states == 1, states == 2), dim=2).float()


def states_of(means: Tensor) -> Tensor:
    """(B, P, T, K) uint8, the likeliest state of each cell by its means (B, P, 2, T, K)."""
    off = 1 - means.sum(dim=2, keepdim=True)
    return torch.cat((off, means), dim=2).argmax(dim=2).to(torch.uint8)
