"""Pieces of the shards as rolls: their notes on the grid, and the stretches of them from which clips are cut.

Letters: P parts, T steps, K pitches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musegen import conditions, roll
from musegen.corpus.shards import Array, Piece
from musegen.errors import RequestError
from musegen.roll import STEPS_PER_QUARTER
from musegen.score.model import KeySignature
from musegen.score.theory import Key
from musegen.shapes import DitConfig
from musegen.tokens.controls import density_class
from musegen.tokens.grid import to_score
from musegen.tokens.vocabulary import KEYS, METRES
from musegen.tokens.vocabulary import STEPS_PER_QUARTER as FINE
from musegen.train.examples import Source


@dataclass(frozen=True)
class Stretch:
    """Bars `first` to `last` (excluded) of a piece, all of one metre whose bar is a whole number of quarters."""

    first: int
    last: int
    beats: int


@dataclass(frozen=True, eq=False)
class RollPiece:
    """A piece as clips are cut from it.

    Attributes:
        placed: its notes on the roll's grid; metres, keys: vocabulary values of its bars.
        chords: (n, 3) of step, Chord and Bass value, by step.
        opening: the first whole bar, from which bars are counted.
    """

    placed: roll.Placed
    metres: Array
    keys: Array
    chords: Array
    style: str | None
    stretches: tuple[Stretch, ...]
    opening: int

    @classmethod
    def of(cls, piece: Piece, n_parts: int) -> RollPiece:
        """Read a piece of a shard."""
        source = Source.of(piece)
        grid = source.grid
        placed = roll.place(to_score(grid), n_parts, n_bars=len(grid.metres), any_metre=True)
        chords = grid.chords[:, 1:].copy()
        chords[:, 0] = placed.starts[grid.chords[:, 0]] + np.rint(grid.chords[:, 1] * STEPS_PER_QUARTER / FINE)
        lengths = np.diff(placed.starts)
        opening = int(len(lengths) > 1 and lengths[0] < lengths[1])
        return cls(placed, grid.metres, grid.keys, chords, source.style, _stretches(grid.metres, lengths), opening)

    def key(self, bar: int) -> Key | None:
        """The key in force in a bar."""
        said = np.flatnonzero(self.keys[: bar + 1] >= 0)
        return Key.from_signature(KeySignature(0, *KEYS[int(self.keys[said[-1]])])) if len(said) else None


def _stretches(metres: Array, lengths: Array) -> tuple[Stretch, ...]:
    """The longest runs of bars of one metre that rolls can show."""
    found, first = [], 0
    for bar in range(1, len(metres) + 1):
        if bar == len(metres) or metres[bar] != metres[first] or lengths[bar] != lengths[first]:
            try:
                beats = conditions.beats_a_bar(*METRES[int(metres[first])])
            except RequestError:  # triplets of quarters and the like: no clip is cut from these bars
                beats = 0
            if beats and lengths[first] == beats * STEPS_PER_QUARTER:
                found.append(Stretch(first, bar, beats))
            first = bar
    return tuple(found)


def cut(
    piece: RollPiece, stretch: Stretch, first: int, last: int, shape: DitConfig
) -> tuple[roll.States, Array, Array, Array]:
    """Bars of a piece, on C, as (states, clip, beats, chords), all that can be said of them being said."""
    starts, notes = piece.placed.starts, piece.placed.notes
    begin, end = int(starts[first]), int(starts[last])
    here = notes[(notes["step"] + notes["length"] > begin) & (notes["step"] < end)]
    key = piece.key(first)
    semitones = conditions.to_c(key)
    states = roll.rasterise(roll.moved(here, semitones), begin, end, shape.n_parts)
    n_beats = (last - first) * stretch.beats
    density = density_class(int((states == roll.ONSET).sum()), n_beats)
    clip = conditions.clip_values(piece.style, key, density, METRES[int(piece.metres[first])])
    opening = piece.opening if first >= piece.opening else 0
    total = len(piece.metres) - opening
    beats = conditions.beat_values(stretch.beats, first - opening, last - opening, total)
    chords = piece.chords - np.array([begin, 0, 0])
    return states, clip, beats, conditions.chord_values(chords, n_beats, semitones)
