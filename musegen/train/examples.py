"""One training example out of a piece: some bars of it, some controls, perhaps some cells taken out, in some key.

An example is a head and whole bars: from the start of a piece or from a random bar on, as a piece of its own whose
Bars say how many are left. Some examples are masked (fill in the middle: Bavarian et al. 2022): a span of bars, some
tracks, or some tracks in a span stand at the end, behind FILL, so that one model writes on, fills in and harmonises.

Letters: T tokens, A attributes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from musegen.corpus.shards import Array, Piece
from musegen.tokens import DROPPABLE, STYLES, VOCABULARY, Grid, Remi, controls_of
from musegen.train.config import TrainConfig

MIN_TOKENS = 96
"""The shortest window that is asked for where an example is cut shorter than the context."""

_TOKENIZER = Remi()
_STYLE, _BAR = VOCABULARY.blocks["Style"], VOCABULARY.type_index["Bar"]
_MASK, _TRACK = VOCABULARY.type_index["MASK"], VOCABULARY.type_index["Track"]


@dataclass(frozen=True, eq=False)
class Example:
    """ids (T,), attributes (T, A + 2), and of which tokens nothing is learned, `unlearned` (T,) of bool or None."""

    ids: Array
    attributes: Array
    unlearned: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """A piece ready to be cut: its grid with its chords, its style, and where its bars stand among its tokens."""

    grid: Grid
    style: str | None
    bars: npt.NDArray[np.int64]
    n_tokens: int

    @classmethod
    def of(cls, piece: Piece) -> Source:
        """Read a piece of a shard."""
        head = piece.ids[: int(piece.bars[0])]
        styles = head[(head >= _STYLE.start) & (head < _STYLE.stop)] - _STYLE.start
        grid = replace(_TOKENIZER.grid(piece.ids), chords=piece.chords.astype(np.int64))
        return cls(grid, STYLES[int(styles[0])] if len(styles) else None, piece.bars, len(piece.ids))


@lru_cache(maxsize=64)
def _moved(semitones: int) -> npt.NDArray[np.int32]:
    return _TOKENIZER.transposition(semitones)


def transposed(ids: Array, semitones: int) -> Array:
    """The ids in another key, which is what encoding the moved score gives; as they are where one leaves the range."""
    moved: Array = _moved(semitones)[ids]
    return ids if (moved < 0).any() else moved


def head_rows(head: Array, rng: np.random.Generator, dropout: float) -> npt.NDArray[np.int64]:
    """Indices of the head's tokens that stay when each control is left out with a chance of `dropout`."""
    types = VOCABULARY.types[head]
    keep = np.ones(len(head), np.bool_)
    for name in DROPPABLE:
        if rng.random() < dropout:
            for at in np.flatnonzero(types == VOCABULARY.type_index[name]):
                keep[at : at + (4 if name == "LOW" else 1)] = False
    return np.flatnonzero(keep)


def draw_cells(n_tracks: int, n_bars: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """(tracks, bars) of bool, what to take out: a span of bars, some tracks, or some tracks in a span."""
    cells = np.zeros((n_tracks, n_bars), np.bool_)
    kind = rng.random()
    bars = slice(0, n_bars)
    if n_tracks == 1 or kind < 0.7:
        length = 1 + int(rng.integers(max(1, n_bars - 1)) * rng.random())
        first = int(rng.integers(n_bars - length + 1))
        bars = slice(first, first + length)
    tracks = np.ones(n_tracks, np.bool_)
    if n_tracks > 1 and kind >= 0.4:
        one = int(rng.integers(n_tracks)) if rng.random() < 0.5 else 0
        how = rng.random()
        if how < 0.4:  # one track is given: the melody, as often as not
            tracks[one] = False
        elif how < 0.7:  # one track is to be written
            tracks[:] = False
            tracks[n_tracks - 1 - one] = True
        else:
            tracks = rng.random(n_tracks) < 0.5
    cells[tracks, bars] = True
    return cells


def draw_bars(source: Source, context: int, first: int, *, masked: bool) -> int:
    """Up to which bar an example from bar `first` on may reach without passing the context; one bar at least."""
    edges = np.append(source.bars, source.n_tokens)
    a_bar = 2 + (2 * len(source.grid.programs) + 2) * masked  # chords; the marks of masked tracks, and Bar once more
    cost = edges[1:] + a_bar * np.arange(1, len(edges))
    room = context - int(source.bars[0]) - 1 + edges[first] + a_bar * first
    return max(first + 1, int(np.searchsorted(cost, room, side="right")))


def draw(source: Source, config: TrainConfig, rng: np.random.Generator) -> Example:
    """One example of a piece."""
    n_bars = len(source.grid.metres)
    first = 0 if rng.random() < config.from_start_share else int(rng.integers(n_bars))
    masked = rng.random() < config.mask_share
    context = config.context
    if rng.random() < config.short_share:
        context = int(rng.integers(min(MIN_TOKENS, context), context + 1))
    last = draw_bars(source, context, first, masked=masked)
    semitones = int(rng.integers(config.max_transposition[0], config.max_transposition[1] + 1))
    has_chords = rng.random() < config.chord_share
    while True:
        grid = source.grid.slice_bars(first, last)
        if not has_chords:
            grid = grid.without_chords()
        cells = draw_cells(max(1, len(grid.programs)), last - first, rng) if masked else None
        ids = _TOKENIZER.encode_grid(
            grid, controls_of(grid, source.style), bars=n_bars - first, masked=cells, ends=last == n_bars or masked
        )
        if len(ids) <= config.context or last == first + 1:
            break
        last = max(first + 1, last - max(1, (last - first) // 4))
    return _finished(transposed(ids, semitones), config, rng, opens=first == 0)


def _finished(ids: Array, config: TrainConfig, rng: np.random.Generator, *, opens: bool) -> Example:
    """The example of these ids without some of its controls, and with what must not be learned."""
    n_head = int(np.flatnonzero(VOCABULARY.types[ids] == _BAR)[0])
    head = head_rows(ids[:n_head], rng, config.control_dropout * rng.random())
    ids = np.concatenate([ids[head], ids[n_head:]])
    types = VOCABULARY.types[ids]
    unlearned = types == _MASK  # where something was taken out is the user's word
    unlearned[:-1] |= unlearned[1:] & (types[:-1] == _TRACK)
    if not opens:
        unlearned[len(head)] = True  # nothing before it says at which bar a window opens
    attributes = _TOKENIZER.attributes(ids)
    return Example(ids[: config.context], attributes[: config.context], unlearned[: config.context])
