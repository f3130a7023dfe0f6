"""A Score as training pieces: the whole of it, and its last bars as pieces of their own.

A model that only ever sees a piece's beginning as a beginning learns few lengths; the last 16 bars of a tune are a
piece of 16 bars with a true ending. They are cut from the score and encoded anew, so each is exactly what the
tokenizer would write for it.
"""

from __future__ import annotations

import numpy as np

from musegen.corpus.shards import Piece
from musegen.score.model import Score
from musegen.score.ops import slice_bars
from musegen.score.timing import seconds
from musegen.tokens import Controls, Remi, density_of

PHRASE_BARS = 4
"""Most phrases of folk tunes and hymns begin at multiples of four bars."""

MIN_SUFFIX_NOTES = 6


def polyphony_of(score: Score) -> int:
    """The most notes that sound at once, within the 1 to 10 that the head can say."""
    notes = [track.notes for track in score.tracks if len(track.notes)]
    if not notes:
        return 1
    start = np.concatenate([n["start"] for n in notes])
    end = start + np.concatenate([n["duration"] for n in notes])
    times = np.concatenate([start, end])
    change = np.concatenate([np.ones_like(start), -np.ones_like(end)])
    order = np.lexsort((change, times))
    return int(np.clip(np.cumsum(change[order]).max(), 1, 10))


def controls_of(score: Score, style: str | None) -> Controls:
    """What the head can say of a piece; training drops controls at random, so all of them are written."""
    pitched = [track.notes["pitch"] for track in score.tracks if len(track.notes) and not track.is_drum]
    low = int(min(p.min() for p in pitched)) if pitched else None
    high = int(max(p.max() for p in pitched)) if pitched else None
    return Controls(style=style, density=density_of(score), polyphony=polyphony_of(score), low=low, high=high)


def encode(score: Score, style: str | None, source: str, first_bar: int = 0) -> Piece:
    """Encode a piece with the controls that its notes show; `first_bar` says where it was cut from.

    Raises:
        RequestError: for what the vocabulary cannot hold.
    """
    tokenizer = Remi()
    ids = tokenizer.encode(score, controls_of(score, style))
    return Piece(
        ids=ids,
        attributes=tokenizer.attributes(ids),
        bars=tokenizer.bar_offsets(ids),
        n_notes=score.n_notes,
        source=source,
        first_bar=first_bar,
        seconds=seconds(score),
    )


def suffixes(score: Score, whole: Piece, style: str, *, pickup: bool) -> list[Piece]:
    """The piece from each fourth bar on, counted from its first full bar, as pieces of their own."""
    first_full, total = int(pickup), len(whole.bars)
    starts = [s for s in range(first_full, total - PHRASE_BARS + 1, PHRASE_BARS) if s > 0]
    pieces = []
    for start in starts:
        cut = slice_bars(score, start, total)
        if cut.n_notes >= MIN_SUFFIX_NOTES:
            pieces.append(encode(cut, style, whole.source, start))
    return pieces
