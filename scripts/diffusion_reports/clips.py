"""Clips: real ones out of shards, and those that a model writes where it is told as much as is true of a real one.

A clip stands on C, on the grid of rolls, and becomes a score in one way whatever it comes from, so that neither its
key nor its rounding tells where that is. A frame is all that a model is told: style, metre, mode, the instruments, and
which bars of how long a piece these are; neither density nor chords.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from musegen import conditions, roll
from musegen.compose import Composer, Request
from musegen.compose.canvas import SINGLE_PROGRAMS, SINGLE_STYLES, Canvas
from musegen.compose.denoising import Recipe, draw
from musegen.compose.request import STRICT_STYLES, STYLE_GUIDANCE
from musegen.corpus.shards import load_split
from musegen.decoding.filters import SamplingOptions
from musegen.errors import RequestError
from musegen.models import Dit
from musegen.score.model import Array, Score
from musegen.score.theory import Key, key_of_pitch_class
from musegen.shapes import DitConfig
from musegen.tokens import Remi
from musegen.tokens.vocabulary import METRES
from musegen.train.examples import Source
from musegen.train.roll_pieces import RollPiece, cut

BARS = 8
STYLES = ("chorale", "folk", "piano", "song")
LONGEST = 32
"""Bars of the longest piece that the transformer is asked for."""


@dataclass(frozen=True)
class Frame:
    """What is told of a clip: `bars` bars from `first` on, of a piece of `total`; `mode` of the key, None unknown."""

    style: str
    metre: tuple[int, int]
    mode: str | None
    programs: tuple[int, ...]
    first: int
    total: int
    bars: int = BARS

    @cached_property
    def key(self) -> Key | None:
        """C major, C minor or none."""
        return None if self.mode is None else key_of_pitch_class(0, self.mode)

    @property
    def beats(self) -> int:
        """Quarters in a bar."""
        return conditions.beats_a_bar(*self.metre)

    def canvas(self, shape: DitConfig) -> Canvas:
        """The empty clip, all of which is to be written."""
        n_parts = min(len(self.programs), shape.n_parts)
        cells = (shape.n_parts, self.bars * self.beats * shape.beat, shape.n_pitches)
        written = np.zeros(cells, np.bool_)
        written[:n_parts] = True
        return Canvas(
            0, (self.beats,) * self.bars, tuple(range(n_parts)), np.zeros(cells, np.uint8), written,
            conditions.clip_values(self.style, self.key, None, self.metre),
            conditions.beat_values(self.beats, self.first, self.first + self.bars, self.total),
            np.zeros((self.bars * self.beats, shape.chord_size), np.uint8), 0,
            np.ones(cells[1:], np.bool_), np.zeros(cells, np.uint8), self.voices(shape.n_parts),
            may_be_parallel=self.style not in STRICT_STYLES,
        )  # fmt: skip

    def voices(self, n_parts: int) -> Array:
        """(P,) the parts in which one pitch sounds at a time."""
        single = [program in SINGLE_PROGRAMS or self.style in SINGLE_STYLES for program in self.programs[:n_parts]]
        return np.array([*single, *[False] * (n_parts - len(single))])

    def score(self, states: roll.States) -> Score:
        """The music of cells."""
        signature = None if self.key is None else self.key.signature()
        return roll.to_score(states, self.metre, self.programs[: len(states)], key=signature)


@dataclass(frozen=True, eq=False)
class Real:
    """A real clip: whose it is, and its music."""

    work: str
    frame: Frame
    score: Score


def real_clips(
    shards: Path, splits: Sequence[str], styles: Sequence[str], shape: DitConfig, *, bars: int = BARS, a_piece: int = 4
) -> dict[str, list[Real]]:
    """By style, at most `a_piece` clips of each piece of these splits, evenly spread, in random order."""
    found: dict[str, list[Real]] = {style: [] for style in styles}
    for split in splits:
        for number, piece in enumerate(load_split(shards, split, Remi().vocabulary.fingerprint)):
            source = Source.of(piece)
            if source.style in found:
                work = f"{split} {piece.source} {number}"
                found[source.style] += _clips_of(RollPiece.of(piece, shape.n_parts), source, work, shape, bars, a_piece)
    for clips in found.values():
        random.Random(0).shuffle(clips)
    missing = [style for style, clips in found.items() if not clips]
    if missing:
        raise RequestError(f"these shards hold no clip of the style {missing[0]}; name others (--styles)")
    return found


def _clips_of(piece: RollPiece, source: Source, work: str, shape: DitConfig, bars: int, most: int) -> Iterator[Real]:
    """Clips of one piece; they share no bar."""
    places = [(s, first) for s in piece.stretches for first in range(s.first, s.last - bars + 1, bars)]
    if not places or not piece.placed.tracks:
        return
    programs = [source.grid.programs[track] for track in piece.placed.tracks]
    opening = piece.opening
    for at in np.unique(np.linspace(0, len(places) - 1, most).round().astype(int)):
        stretch, first = places[at]
        states, *_ = cut(piece, stretch, first, first + bars, shape)
        key = piece.key(first)
        before = opening if first >= opening else 0
        metre = METRES[int(piece.metres[first])]
        mode = None if key is None else key.mode
        frame = Frame(
            source.style or "", metre, mode, tuple(programs), first - before, len(piece.metres) - before, bars
        )
        yield Real(work, frame, frame.score(states))


def drawn(network: Dit, frame: Frame, recipe: Recipe, rates: Sequence[float], seed: int) -> Score:
    """A clip that the diffusion model writes."""
    canvas = frame.canvas(network.config)
    *_, last = draw(network, canvas, recipe, rates, seed)
    return frame.score(np.where(canvas.written, last.states, roll.OFF).astype(np.uint8))


def written(composer: Composer, frames: Sequence[Frame], n_parts: int) -> list[Score]:
    """Clips out of pieces that a model of tokens writes: as long as the frame says, LONGEST bars at most."""
    scores: list[Score] = []
    for seed, frame in enumerate(frames):
        request = request_of(frame, seed)
        try:
            piece = composer.compose([request])[0]
        except RequestError as error:  # a piece that would not end, for one
            print(f"left out: {error}", file=sys.stderr)
            continue
        scores.append(on_grid(piece, frame, min(frame.first, request.bars - frame.bars), n_parts))
    return scores


def request_of(frame: Frame, seed: int) -> Request:
    """The piece of which a frame is a part, with what the command line gives its style."""
    sampling = SamplingOptions(min_p=0.01, guidance=STYLE_GUIDANCE.get(frame.style, 1.0))
    instruments = tuple((program, False) for program in frame.programs)
    bars = max(frame.bars, min(frame.total, LONGEST))
    return Request(
        bars=bars, style=frame.style, key=frame.key, meter=frame.metre, instruments=instruments, seed=seed,
        sampling=sampling,
    )  # fmt: skip


def on_grid(piece: Score, frame: Frame, first: int, n_parts: int) -> Score:
    """Bars of a piece that stands on C, put through the grid of rolls."""
    placed = roll.place(piece, n_parts, tracks=range(len(piece.tracks)), n_bars=first + frame.bars)
    start, stop = int(placed.starts[first]), int(placed.starts[first + frame.bars])
    return frame.score(roll.rasterise(placed.notes, start, stop, n_parts))


def taken(clips: Sequence[Real], count: int) -> list[Frame]:
    """So many frames, those of real clips in their order, again from the first where there are fewer."""
    return [clips[i % len(clips)].frame for i in range(count)]


def ticks(score: Score) -> Array:
    """(3, n) start, duration and pitch of all notes."""
    rows = [np.stack([track.notes[name] for name in ("start", "duration", "pitch")]) for track in score.tracks]
    return np.concatenate([np.zeros((3, 0), np.int64), *rows], axis=1)
