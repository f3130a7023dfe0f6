"""An order-n back-off Markov model over token ids: the baseline that a network has to beat.

Interpolated absolute discounting (Ney, Essen and Kneser 1994):

    p(w | h) = (c(hw) - d(c(hw))) / c(h)  +  (sum_v d(c(hv)) / c(h)) p(w | h'),      h' = h without its oldest token

with the discount d(c) = min(SHARE c, D), so that what was seen once keeps a little, down to the uniform distribution
over the vocabulary. Every p(. | h) sums to one for any D >= 0. Counts are sorted arrays of packed n-grams, so that
building and looking up are whole-array operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.evaluate.likelihood import EncodedPiece, Sequences, evaluate

Array = npt.NDArray[Any]

SHARE = 0.7
"""The most of any count that a discount takes (0.6 to 0.9 were tried on held-out tunes)."""


def taken(counts: Array, discount: float) -> Array:
    """d(c): how much of each count goes to the shorter history."""
    return np.minimum(SHARE * counts, discount)


@dataclass(frozen=True, eq=False)
class _Counts:
    """Counts of one order: sorted packed n-grams, and their sums by history."""

    grams: Array
    gram_counts: Array
    histories: Array
    history_counts: Array
    first: Array  # where each history's n-grams begin

    def discounted(self, discount: float) -> Array:
        """Sum over v of d(c(hv)) of each history."""
        return np.add.reduceat(taken(self.gram_counts, discount), self.first)


class MarkovModel:
    """The model after counting. `order` is the number of tokens of history; `discount` is D."""

    def __init__(self, sequences: Iterable[Array], vocab_size: int, order: int = 5, discount: float = 1.0) -> None:
        """Count the n-grams of `sequences` of ids (T,).

        Raises:
            RequestError: if there is nothing to count, or n-grams of this order do not fit 63 bits.
        """
        rows = [np.asarray(s, np.int64) for s in sequences]
        if not rows or order < 0:
            raise RequestError("a Markov model needs sequences to count and an order of 0 or more")
        self.vocab_size = vocab_size
        self.order = order
        used = np.unique(np.concatenate(rows))
        self._compact = np.full(vocab_size, len(used) + 1, np.int64)  # 0 pads on the left, the last is never counted
        self._compact[used] = np.arange(1, len(used) + 1)
        self._base = len(used) + 2
        if (order + 1) * np.log2(self._base) >= 63:
            raise RequestError(f"order {order} over {len(used)} different tokens does not fit 63 bits; lower it")
        self._counts = self._count(rows)
        self.discount = discount

    @property
    def discount(self) -> float:
        """D; setting it keeps the counts."""
        return self._discount

    @discount.setter
    def discount(self, value: float) -> None:
        self._discount = value
        self._discounted = [c.discounted(value) for c in self._counts]

    @property
    def n_counts(self) -> int:
        """How many different n-grams were counted, of all orders."""
        return sum(len(c.grams) for c in self._counts)

    def _count(self, rows: Sequence[Array]) -> list[_Counts]:
        """Counts of order 0 to `order`, sorted."""
        tokens, packed = self._pack(rows)
        grams, counts = np.unique(packed * self._base + tokens, return_counts=True)
        result = []
        for n in range(self.order, -1, -1):
            histories, first = np.unique(grams // self._base, return_index=True)
            result.append(
                _Counts(
                    grams,
                    counts,
                    histories,
                    np.add.reduceat(counts, first),
                    first,
                )
            )
            if n:
                shorter, index = np.unique(grams % self._base**n, return_inverse=True)
                counts = np.bincount(index, weights=counts).astype(np.int64)
                grams = shorter
        return result[::-1]

    def _pack(self, rows: Sequence[Array]) -> tuple[Array, Array]:
        """Compact tokens (N,) after the first of each row, and the packed histories (N,) before them."""
        tokens, histories = [], []
        for row in rows:
            compact = self._compact[row]
            padded = np.concatenate([np.zeros(self.order, np.int64), compact])
            packed = np.zeros(len(row) - 1, np.int64)
            for back in range(self.order, 0, -1):
                offset = self.order + 1 - back
                packed = packed * self._base + padded[offset : offset + len(row) - 1]
            tokens.append(compact[1:])
            histories.append(packed)
        return np.concatenate(tokens), np.concatenate(histories)

    def _probability(self, tokens: Array, histories: Array) -> Array:
        """p(token | history) for compact tokens (N,) and packed histories (N,)."""
        p = np.full(len(tokens), 1.0 / self.vocab_size)
        for n, (c, discounted) in enumerate(zip(self._counts, self._discounted, strict=True)):
            history = histories % self._base**n
            at = np.minimum(np.searchsorted(c.histories, history), len(c.histories) - 1)
            known = c.histories[at] == history
            total = np.where(known, c.history_counts[at], 1)
            kept = _lookup(c.grams, c.gram_counts, history * self._base + tokens)
            backed = np.where(known, discounted[at], 1.0)
            p = (kept - taken(kept, self.discount)) * known / total + backed / total * p
        return p

    def distribution(self, history: Sequence[int]) -> Array:
        """p(. | history) over the vocabulary, (V,), from the last `order` tokens of the history."""
        packed = 0
        recent = [*([0] * self.order), *self._compact[np.asarray(history, np.int64)].tolist()]
        for compact in recent[len(recent) - self.order :]:
            packed = packed * self._base + compact
        return self._probability(self._compact, np.full(self.vocab_size, packed, np.int64))

    def __call__(self, sequences: Sequences) -> list[Array]:
        """Losses in nats as a `likelihood.Scorer`; the attributes are not used."""
        rows = [np.asarray(ids, np.int64) for ids, _ in sequences]
        losses = -np.log(self._probability(*self._pack(rows)))
        return np.split(losses, np.cumsum([len(row) - 1 for row in rows])[:-1])


def _lookup(keys: Array, values: Array, wanted: Array) -> Array:
    """The values of sorted `keys` at `wanted`, 0 where absent."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, values[at], 0)


def transpositions(ids: Array, maps: Iterable[Array]) -> list[Array]:
    """The sequence through each id map (V,), those left out in which an id maps to -1."""
    moved = [id_map[ids] for id_map in maps]
    return [row for row in moved if not (row < 0).any()]


def best_discount(
    model: MarkovModel, discounts: Iterable[float], pieces: Sequence[EncodedPiece], context: int
) -> MarkovModel:
    """The model with the discount under which these pieces are likeliest."""

    def nats(discount: float) -> float:
        model.discount = discount
        return evaluate(model, pieces, context)["all"].nats

    model.discount = min(discounts, key=nats)
    return model
