"""How an id is chosen from filtered logits: the likeliest, a draw, or a search over several sequences.

Letters: B rows, V ids, K live sequences of a beam.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from musegen.decoding.protocol import FloatArray, IntArray, State

LENGTH_POWER = 0.75
"""A finished sequence is worth its log-probability divided by its length to this power: 0 would favour the
shortest, 1 the one of the best average token, however long."""

DRAWS_AT_ONCE = 256


class Draws:
    """A row's own stream of uniform numbers in [0, 1): one for each token, even where there is no choice.

    Philox by counter (Salmon et al. 2011), whose raw numbers NumPy keeps the same in all its versions.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Philox(key=seed)
        self._drawn: list[float] = []

    def next(self) -> float:
        """The next number."""
        if not self._drawn:
            block = (self._generator.random_raw(DRAWS_AT_ONCE) >> np.uint64(11)) * 2.0**-53
            self._drawn = block.tolist()[::-1]
        return self._drawn.pop()


def greedy(logits: FloatArray) -> IntArray:
    """(B, V) -> (B,): the likeliest id of each row, the lowest of equals."""
    likeliest: IntArray = logits.argmax(axis=-1)
    return likeliest


def sample(logits: FloatArray, uniforms: FloatArray) -> IntArray:
    """(B, V) and (B,) in [0, 1) -> (B,): the id at that height of the cumulated probabilities."""
    n_rows, n_ids = logits.shape
    possible = np.flatnonzero(logits > -np.inf)  # few, as a rule
    bounds = possible.searchsorted(np.arange(n_rows + 1) * n_ids)
    counts = bounds[1:] - bounds[:-1]
    shares = np.exp(logits.ravel()[possible] - logits.max(axis=-1).repeat(counts))
    heights = np.zeros((n_rows, counts.max()))
    heights[np.arange(heights.shape[1]) < counts[:, None]] = shares
    heights = heights.cumsum(axis=-1)
    # The first id whose sum lies above the mark; a mark rounded up to the total would find none.
    totals = heights[:, -1]
    marks = np.minimum(uniforms * totals, np.nextafter(totals, 0))
    found = (heights > marks[:, None]).argmax(axis=-1)
    chosen: IntArray = possible[bounds[:-1] + found] % n_ids
    return chosen


@dataclass(frozen=True)
class Hypothesis:
    """One sequence of a beam."""

    state: State
    ids: tuple[int, ...] = ()
    log_probability: float = 0.0
    parent: int = 0
    """Which of the live sequences of the step before it continues."""

    @property
    def worth(self) -> float:
        """What finished sequences are compared by."""
        return self.log_probability / float(max(1, len(self.ids)) ** LENGTH_POWER)


def beam(
    start: Hypothesis, n_beams: int, max_tokens: int, score: Callable[[list[Hypothesis]], FloatArray]
) -> Hypothesis:
    """The best sequence that a beam search from `start` finds.

    At each step the likeliest continuations of all live sequences are kept. One that is complete leaves the
    beam, and the beam is one narrower from then on: so the search ends, at the latest after `max_tokens`.
    Among the complete ones the greatest `Hypothesis.worth` wins (the earliest of equals); if none is, the
    best live one is returned, its state not done.

    Args:
        start: the sequence to continue.
        n_beams: how many live and complete sequences there are at most.
        max_tokens: most ids to add.
        score: live sequences -> log-probabilities (K, V) of the next id, after every filter.
    """
    live: list[Hypothesis] = [start]
    complete: list[Hypothesis] = []
    while live and len(live[0].ids) < max_tokens:
        log_probabilities = score(live)
        totals = log_probabilities + np.array([each.log_probability for each in live])[:, None]  # (K, V)
        order = np.argsort(-totals, axis=None, kind="stable")[: n_beams - len(complete)]
        grown = []
        for parent, token in zip(*np.unravel_index(order, totals.shape), strict=True):
            if totals[parent, token] > -np.inf:
                grown.append(_grow(live[parent], int(parent), int(token), float(totals[parent, token])))
        complete += [each for each in grown if each.state.done]
        live = [each for each in grown if not each.state.done]
    return max(complete or live, key=lambda each: each.worth)


def _grow(hypothesis: Hypothesis, parent: int, token: int, total: float) -> Hypothesis:
    state = hypothesis.state.copy()
    state.advance(token)
    return Hypothesis(state, (*hypothesis.ids, token), total, parent)
