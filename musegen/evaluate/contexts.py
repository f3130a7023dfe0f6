"""Counted contexts: what follows, told from what followed in the same situation elsewhere.

A family is a row of contexts from general to particular, each a hash of what is known before an event. Its
prediction blends counts from the first context to the last by interpolated absolute discounting (Ney, Essen and
Kneser 1994), as `markov` does:

    p_k(y | c_k) = (n(c_k, y) - min(n(c_k, y), D) + lambda p_{k-1}(y)) / n(c_k),    lambda = sum_y min(n(c_k, y), D)

from p_0, which is uniform; where c_k was never met, p_k is p_{k-1}. Counts are of the events of other pieces, never of
the piece that is predicted, so that a prediction for a piece of the training set is what it would be for a new one;
or, in a family `within`, of the earlier events of the same piece. Predictions of several families are to be mixed,
as in Mahoney's PAQ ("Adaptive weighing of context models", 2005).

Letters: N events, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError

Array = npt.NDArray[Any]

DISCOUNT = 0.6
_MULTIPLIER, _MIXER, _OFFSET = (np.uint64(x) for x in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15))


def hashed(*columns: Array | int) -> Array:
    """One uint64 for each row of the columns (N,), an integer standing for a column of it (splitmix64's mixing)."""
    rows = max(np.size(column) for column in columns)
    value = np.zeros(rows, np.uint64)
    for column in columns:
        value = (value ^ (np.asarray(column).astype(np.int64).astype(np.uint64) + _OFFSET)) * _MULTIPLIER
        value ^= value >> np.uint64(29)
        value *= _MIXER
        value ^= value >> np.uint64(32)
    return value


@dataclass(frozen=True, eq=False)
class Family:
    """Contexts from general to particular, (N,) hashes each; counted `within` the piece, or over other pieces."""

    name: str
    orders: Sequence[Array]
    within: bool = False


def levels(n_orders: int) -> list[int]:
    """The contexts of a family after which its blend is told: the middle one, the last but one and the last.

    A mixer does better with all three than with the last alone: it learns how far to trust what was seen rarely.
    """
    return sorted({(n_orders - 1) // 2, max(0, n_orders - 2), n_orders - 1})


def predict(family: Family, y: Array, n_classes: int, piece: Array, counted: Array) -> npt.NDArray[np.float32]:
    """What the family predicts for each event at each of its levels, (N, levels, C), summing to one over C.

    Args:
        family: the contexts of all events.
        y: (N,) the class of each event, 0 to C - 1.
        n_classes: C.
        piece: (N,) which piece each event is of; a piece's events stand together, in their order.
        counted: (N,) bool, whether the event's piece is of the training set, and so counted for other pieces.
    """
    if not len(y) == len(piece) == len(counted) or any(len(order) != len(y) for order in family.orders):
        raise RequestError("contexts, classes, pieces and counted must be of one length")
    p = np.full((len(y), n_classes), 1 / n_classes, np.float32)
    told, wanted = [], levels(len(family.orders))
    for number, order in enumerate(family.orders):
        _, context = np.unique(order, return_inverse=True)
        counts = _earlier(context, y, n_classes, piece) if family.within else (
            _elsewhere(context, y, n_classes, piece, counted)
        )  # fmt: skip
        p = _blend(counts, p)
        if number in wanted:
            told.append(p)
    return np.stack(told, axis=1)


def _elsewhere(context: Array, y: Array, n_classes: int, piece: Array, counted: Array) -> Array:
    """(N, C) how often each class followed the context in the counted pieces other than the event's own."""
    events = np.flatnonzero(counted)
    _, own = np.unique(piece.astype(np.int64) * (int(context.max()) + 1) + context, return_inverse=True)
    return _table(context, y, n_classes, events)[context] - _table(own, y, n_classes, events)[own]


def _table(group: Array, y: Array, n_classes: int, events: Array) -> Array:
    """(groups, C) counts of the classes of these events."""
    cells = group[events].astype(np.int64) * n_classes + y[events]
    counts = np.bincount(cells, minlength=(int(group.max()) + 1) * n_classes)
    return counts.astype(np.float32).reshape(-1, n_classes)


def _earlier(context: Array, y: Array, n_classes: int, piece: Array) -> Array:
    """(N, C) how often each class followed the context earlier in the same piece."""
    key = piece.astype(np.int64) * (int(context.max()) + 1) + context
    order = np.argsort(key, kind="stable")
    one = np.zeros((len(y), n_classes), np.float32)
    one[np.arange(len(y)), y[order]] = 1
    before = np.cumsum(one, axis=0) - one
    begins = np.append(True, np.diff(key[order]) != 0)
    before -= before[np.flatnonzero(begins)][np.cumsum(begins) - 1]
    counts = np.empty_like(before)
    counts[order] = before
    return counts


def _blend(counts: Array, p: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    total = counts.sum(axis=1, keepdims=True)
    kept = np.maximum(counts - DISCOUNT, 0)
    given = total - kept.sum(axis=1, keepdims=True)
    return np.where(total > 0, (kept + given * p) / np.maximum(total, 1), p).astype(np.float32)
