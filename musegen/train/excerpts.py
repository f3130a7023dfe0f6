"""A measure that takes seconds: the openings of some held-out pieces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from musegen.corpus.shards import Piece, Split, flatten
from musegen.tokens import VOCABULARY, Remi

MEASURED_TOKENS = 8192
"""About so many tokens are read for one measure: some seconds on a laptop."""


def without_style(piece: Piece) -> Piece:
    """The piece, its style not said."""
    ids = piece.ids[VOCABULARY.types[piece.ids] != VOCABULARY.type_index["Style"]]
    return replace(piece, ids=ids)


def excerpts(held: Split, context: int) -> Split:
    """What is measured: the openings of some pieces, all whole bars, that cost about MEASURED_TOKENS to read.

    A window of the context charges, after the first, only a quarter of it, so tokens beyond cost four times.
    """
    n = min(len(held), max(1, MEASURED_TOKENS // context))
    chosen = [held[round(place)] for place in np.linspace(0, len(held) - 1, n).tolist()]
    length = context + max(0, MEASURED_TOKENS // n - context) // 4
    return Split(flatten([_opening(p, length) for p in chosen], held.source_names), held.source_names)


def _opening(piece: Piece, length: int) -> Piece:
    """The whole bars within so many tokens; one bar at least."""
    edges = np.append(piece.bars[1:], len(piece.ids))
    stop = int(edges[max(0, int(np.searchsorted(edges, length, side="right")) - 1)])
    ids = piece.ids[:stop]
    seconds = piece.seconds * int(np.searchsorted(piece.bars, stop)) / len(piece.bars)
    return replace(piece, ids=ids, n_notes=len(Remi().grid(ids).notes), seconds=seconds)
