"""Piano rolls to train on, out of the same shards: clips of whole bars, some of their cells given.

A clip is a stretch of bars of one metre out of a piece, moved to C, with some of what is said of it left out, and
perhaps with something given that is not to be written: bars, parts, parts in some bars, or a band of pitches. Batch
number s follows from (seed, s) alone.

Letters: B rows, P parts, T steps, K pitches, N beats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from musegen import conditions, roll
from musegen.corpus.shards import Array, Piece, Split
from musegen.diffusion.posterior import cells_of
from musegen.errors import RequestError
from musegen.models.dit import Told
from musegen.roll import STEPS_PER_QUARTER
from musegen.score.model import KeySignature
from musegen.score.theory import Key
from musegen.shapes import DitConfig
from musegen.tokens.controls import density_class
from musegen.tokens.grid import to_score
from musegen.tokens.vocabulary import KEYS, METRES
from musegen.tokens.vocabulary import STEPS_PER_QUARTER as FINE
from musegen.train.config import TrainConfig
from musegen.train.data import piece_weights
from musegen.train.distributed import Place
from musegen.train.examples import Source, draw_cells

BAND_SHARE = 0.15
"""Of the clips with something given, the share in which it is a band of pitches."""

Bools = npt.NDArray[np.bool_]


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
        placed = roll.place(to_score(grid), n_parts, n_bars=len(grid.metres))
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


@dataclass(frozen=True, eq=False)
class Clip:
    """states (P, T, K), written (P, T, K) of bool: what is to be written; clip, beats and chords as in conditions; how many parts there are, and notes to write."""

    states: roll.States
    written: Bools
    clip: Array
    beats: Array
    chords: Array
    n_parts: int
    n_notes: int


Shared = tuple[Tensor, Tensor, Told]
"""The clean cells x0 (B, P, 2, T, K), what is to be written (B, P, 1, T, K) as 0 and 1, and what the network is told."""


@dataclass(frozen=True, eq=False)
class RollBatch:
    """Clips as arrays: states, written (B, P, T, K); clip, beats, chords, valid and parts as in models.dit.Told.

    n_targets is how many notes are to be written.
    """

    arrays: tuple[Array, ...]
    n_targets: int

    def share(self, place: Place) -> Shared:
        """The rows of this process on its device, as the network takes them."""
        mine = [torch.from_numpy(array).to(place.device)[place.rank :: place.world] for array in self.arrays]
        states, written, clip, beats, chords, valid, parts = mine
        x0 = cells_of(states)
        asked = written.unsqueeze(2).float()
        told = Told(clip.long(), beats.long(), chords.float(), valid, 1 - asked, x0 * (1 - asked), parts)
        return x0, asked, told


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


def draw_clip(piece: RollPiece, shape: DitConfig, config: TrainConfig, rng: np.random.Generator) -> Clip:
    """One clip of a piece."""
    counts = np.array([s.last - s.first for s in piece.stretches])
    stretch = piece.stretches[int(rng.choice(len(counts), p=counts / counts.sum()))]
    room = max(1, shape.context // stretch.beats)
    if rng.random() < config.short_share:
        room = 1 + int(rng.integers(room))
    slack = max(0, stretch.last - stretch.first - room)
    first = stretch.first + int(rng.integers(slack + 1))
    edge = rng.random()  # beginnings and ends are rare among all bars, and heard in every piece
    first = stretch.first if edge < config.from_start_share / 4 else first
    first = stretch.first + slack if edge > 1 - config.from_start_share / 4 else first
    last = min(stretch.last, first + room)
    states, clip, beats, chords = cut(piece, stretch, first, last, shape)
    dropout = config.control_dropout * rng.random()
    clip[:3] *= rng.random(3) >= dropout
    if rng.random() >= config.chord_share:
        chords = np.zeros_like(chords)
    written = present(len(piece.placed.tracks), states.shape)
    if rng.random() < config.mask_share:
        written &= _asked(len(piece.placed.tracks), last - first, states.shape, rng)
    n_parts = len(piece.placed.tracks)
    return Clip(states, written, clip, beats, chords, n_parts, int(((states == roll.ONSET) & written).sum()))


def present(n_tracks: int, shape: tuple[int, ...]) -> Bools:
    """(P, T, K) of bool: the cells of parts that there are."""
    cells = np.zeros(shape, np.bool_)
    cells[:n_tracks] = True
    return cells


def _asked(n_tracks: int, n_bars: int, shape: tuple[int, ...], rng: np.random.Generator) -> Bools:
    """(P, T, K) of bool: what to write while the rest is given."""
    cells = np.zeros(shape, np.bool_)
    if rng.random() < BAND_SHARE:
        edge = int(rng.integers(12, shape[2] - 12))
        cells[:, :, edge:] = rng.random() < 0.5
        cells[:, :, :edge] = not cells[0, 0, -1]
        return cells
    bars = draw_cells(n_tracks, n_bars, rng)  # (tracks, bars)
    cells[:n_tracks] = np.repeat(bars, shape[1] // n_bars, axis=1)[:, :, None]
    return cells


class RollSampler:
    """Draws clips from a split: a source by its weight, then a piece by its length."""

    def __init__(self, split: Split, config: TrainConfig, shape: DitConfig) -> None:
        if not len(split):
            raise RequestError("these shards have no pieces in train; build the corpus with training pieces")
        self.split, self.config, self.shape = split, config, shape
        self.cumulative = np.cumsum(piece_weights(split, config))
        self.rows = max(1, config.batch_tokens // shape.context)
        self._pieces: dict[int, RollPiece] = {}

    def piece(self, rng: np.random.Generator) -> RollPiece:
        """A piece from which clips can be cut.

        Raises:
            RequestError: if hardly any piece is one.
        """
        for _ in range(1000):
            index = min(int(np.searchsorted(self.cumulative, rng.random(), side="right")), len(self.split) - 1)
            if index not in self._pieces:
                self._pieces[index] = RollPiece.of(self.split[index], self.shape.n_parts)
            if self._pieces[index].stretches and self._pieces[index].placed.tracks:
                return self._pieces[index]
        raise RequestError("these shards hold hardly any pitched music in metres of whole quarters, which clips are of")

    def log_odds(self, clips: int = 512) -> npt.NDArray[np.float32]:
        """(P, 2, K) how much likelier onset and sustain are than off in the cells that are written, as logarithms."""
        rng = np.random.default_rng([self.config.seed, 2**31])
        counts = np.full((3, self.shape.n_parts, self.shape.n_pitches), 0.5)
        for _ in range(clips):
            clip = draw_clip(self.piece(rng), self.shape, self.config, rng)
            for state in (roll.OFF, roll.ONSET, roll.SUSTAIN):
                counts[state] += ((clip.states == state) & clip.written).sum(axis=1)
        odds = np.log(counts[1:] / counts[0])
        return odds.transpose(1, 0, 2).astype(np.float32)

    def batch(self, step: int) -> RollBatch:
        """Batch number `step` of the run."""
        rng = np.random.default_rng([self.config.seed, 7, step])
        return collate([draw_clip(self.piece(rng), self.shape, self.config, rng) for _ in range(self.rows)], self.shape)


def collate(clips: list[Clip], shape: DitConfig) -> RollBatch:
    """Pad clips at the end to the longest one."""
    n_beats = max(len(clip.beats) for clip in clips)
    cells = (len(clips), shape.n_parts, n_beats * shape.beat, shape.n_pitches)
    states, written = np.zeros(cells, np.uint8), np.zeros(cells, np.uint8)
    beats = np.zeros((len(clips), n_beats, len(shape.beat_sizes)), np.uint8)
    chords = np.zeros((len(clips), n_beats, shape.chord_size), np.uint8)
    valid = np.zeros((len(clips), n_beats), np.bool_)
    for row, clip in enumerate(clips):
        n = len(clip.beats)
        states[row, :, : n * shape.beat] = clip.states
        written[row, :, : n * shape.beat] = clip.written
        beats[row, :n], chords[row, :n], valid[row, :n] = clip.beats, clip.chords, True
    values = np.stack([clip.clip for clip in clips]).astype(np.uint8)
    parts = np.arange(shape.n_parts) < np.array([clip.n_parts for clip in clips])[:, None]
    return RollBatch(
        (states, written, values, beats, chords, valid, parts), max(1, sum(clip.n_notes for clip in clips))
    )


def held_out_clips(piece: RollPiece, shape: DitConfig, most: int) -> Iterator[Clip]:
    """At most so many clips of a piece, evenly spread, as long as the context takes, none sharing a bar with another.

    All is said of them but the chords, and nothing is given.
    """
    places = []
    for stretch in piece.stretches:
        room = max(1, shape.context // stretch.beats)
        places += [
            (stretch, first, min(stretch.last, first + room)) for first in range(stretch.first, stretch.last, room)
        ]
    for at in np.unique(np.linspace(0, len(places) - 1, most).round().astype(int)) if places else ():
        stretch, first, last = places[at]
        states, clip, beats, chords = cut(piece, stretch, first, last, shape)
        written = present(len(piece.placed.tracks), states.shape)
        yield Clip(
            states,
            written,
            clip,
            beats,
            np.zeros_like(chords),
            len(piece.placed.tracks),
            int((states == roll.ONSET).sum()),
        )
