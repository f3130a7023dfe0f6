"""Pieces of made-up music for what trains on rolls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musegen import roll
from musegen.conditions import BEAT_SIZES, CHORD_SIZE, CLIP_SIZES
from musegen.corpus.encode import encode
from musegen.corpus.shards import Piece, Split, flatten
from musegen.score.model import NOTE_DTYPE, KeySignature, Score, TimeSignature, Track, frozen
from musegen.shapes import DitConfig, roll_preset
from musegen.train.config import TrainConfig
from musegen.train.rolls import Clip

SHAPE = roll_preset("tiny-diffusion", CLIP_SIZES, BEAT_SIZES, CHORD_SIZE)
CONFIG = TrainConfig(budget_steps=10, batch_tokens=8 * SHAPE.context, context=SHAPE.context, seed=5)
PLAIN = TrainConfig(
    budget_steps=10, batch_tokens=8 * SHAPE.context, context=SHAPE.context, mask_share=0.0, control_dropout=0.0,
    short_share=0.0, chord_share=1.0,
)  # fmt: skip
MAJOR = (0, 2, 4, 5, 7, 9, 11)


def scale(
    fifths: int,
    metres: Sequence[tuple[int, int, int]] = ((12, 4, 4),),
    *,
    voices: int = 2,
    seed: int = 0,
) -> Score:
    """Quarters up and down a major scale, its tonic in every other place; metres are (bars, numerator, denominator)."""
    rng = np.random.default_rng(seed)
    signatures, tick = [], 0
    for bars, numerator, denominator in metres:
        signatures.append(TimeSignature(tick, numerator, denominator))
        tick += bars * 4 * 480 * numerator // denominator
    tonic = 7 * fifths % 12
    tracks = []
    for voice in range(voices):
        rows = []
        for at in range(0, tick, 480):
            degree = 0 if at // 480 % 2 else int(rng.choice(MAJOR))
            rows.append((at, 60 + 12 * (1 - voice) + tonic + degree, min(480, tick - at), 80))
        tracks.append(Track(frozen(rows, NOTE_DTYPE), program=voice))
    return Score(
        480, tuple(tracks), time_signatures=tuple(signatures), key_signatures=(KeySignature(0, fifths, "major"),)
    )


def piece(score: Score, style: str | None = "folk", source: str = "folk") -> Piece:
    """As the corpus holds it."""
    return encode(score, style, source)


def split(*scores: Score) -> Split:
    """The pieces of these scores."""
    return Split(flatten([piece(score) for score in scores], ("folk",)), ("folk",))


def clip_of(states: roll.States, shape: DitConfig = SHAPE) -> Clip:
    """All of it to be written, nothing said of it."""
    n_beats = states.shape[1] // shape.beat
    said = np.zeros((n_beats, shape.chord_size), np.uint8)
    n_notes = int((states == roll.ONSET).sum())
    written = np.ones(states.shape, np.bool_)
    return Clip(states, written, np.zeros(4, np.int64), np.zeros((n_beats, 3), np.int64), said, len(states), n_notes)
