"""Piano rolls to train on, out of the same shards: clips of whole bars, some of their cells given.

A clip is a stretch of bars of one metre out of a piece, moved to C, with some of what is said of it left out, and
perhaps with something given that is not to be written: bars, parts, parts in some bars, or a band of pitches. Batch
number s follows from (seed, s) alone.

Letters: B rows, P parts, T steps, K pitches, N beats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from musegen import roll
from musegen.corpus.shards import Array, Split
from musegen.diffusion.posterior import cells_of
from musegen.errors import RequestError
from musegen.models.dit import PRIOR_ODDS, Told
from musegen.shapes import DitConfig
from musegen.train.config import TrainConfig
from musegen.train.data import piece_weights
from musegen.train.distributed import Place
from musegen.train.examples import draw_cells
from musegen.train.roll_pieces import RollPiece, cut

BAND_SHARE = 0.15
"""Of the clips with something given, the share in which it is a band of pitches."""
SELF_CONDITIONED = 0.25
"""Share of the batches that see the network's own first estimate: all processes together, since sharded weights are
gathered whenever the network is called."""
UNSEEN = 100.0
"""So many cells are taken as seen, at the odds of a new network, before those of the data are counted."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip, and what is said of it.

    Attributes:
        states: (P, T, K).
        written: (P, T, K), what is to be written; the rest is given, or of a part that there is not.
        clip, beats, chords: as in conditions.
        n_parts: how many parts there are.
        n_notes: how many notes are to be written.
    """

    states: roll.States
    written: Bools
    clip: Array
    beats: Array
    chords: Array
    n_parts: int
    n_notes: int


class Shared(NamedTuple):
    """What the loss takes of a batch: clean cells x0 (B, P, 2, T, K), and written (B, P, 1, T, K) as 0 and 1."""

    x0: Tensor
    written: Tensor
    told: Told
    looks_twice: bool


@dataclass(frozen=True, eq=False)
class RollBatch:
    """Clips as arrays: states, written (B, P, T, K), and the rest as in models.dit.Told.

    n_targets is how many notes are to be written; looks_twice, whether the network sees its own first estimate.
    """

    arrays: tuple[Array, ...]
    n_targets: int
    looks_twice: bool = False

    def share(self, place: Place) -> Shared:
        """The rows of this process on its device: each `world`-th, or one with nothing to write if none is left."""
        is_left = place.rank < len(self.arrays[0])
        rows = slice(place.rank, None, place.world) if is_left else slice(1)
        mine = [torch.from_numpy(array[rows]).to(place.device) for array in self.arrays]
        states, written, clip, beats, chords, valid, parts, voices = mine
        x0 = cells_of(states)
        asked = written.unsqueeze(2).float() * is_left  # every process takes part in every step
        told = Told(clip.long(), beats.long(), chords.float(), valid, 1 - asked, x0 * (1 - asked), parts, voices)
        return Shared(x0, asked, told, self.looks_twice)


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
        counts = np.zeros((3, self.shape.n_parts, self.shape.n_pitches))
        counts += np.reshape([UNSEEN, UNSEEN * PRIOR_ODDS[0], UNSEEN * PRIOR_ODDS[1]], (3, 1, 1))
        for _ in range(clips):
            clip = draw_clip(self.piece(rng), self.shape, self.config, rng)
            for state in (roll.OFF, roll.ONSET, roll.SUSTAIN):
                counts[state] += ((clip.states == state) & clip.written).sum(axis=1)
        odds: npt.NDArray[np.float32] = np.log(counts[1:] / counts[0]).transpose(1, 0, 2).astype(np.float32)
        return odds

    def batch(self, step: int) -> RollBatch:
        """Batch number `step` of the run."""
        rng = np.random.default_rng([self.config.seed, 7, step])
        clips = [draw_clip(self.piece(rng), self.shape, self.config, rng) for _ in range(self.rows)]
        return replace(collate(clips, self.shape), looks_twice=rng.random() < SELF_CONDITIONED)


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
    voices = (states != roll.OFF).sum(axis=3).max(axis=2) <= 1
    parts = np.arange(shape.n_parts) < np.array([clip.n_parts for clip in clips])[:, None]
    return RollBatch(
        (states, written, values, beats, chords, valid, parts, voices), max(1, sum(clip.n_notes for clip in clips))
    )


def held_out_clips(piece: RollPiece, shape: DitConfig, most: int) -> Iterator[Clip]:
    """At most so many clips of a piece, evenly spread, as long as the context takes, none sharing a bar with another.

    All is said of them but the chords, and nothing is given.
    """
    places = []
    for stretch in piece.stretches if piece.placed.tracks else ():
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
