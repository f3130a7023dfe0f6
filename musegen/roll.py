"""Piano rolls: Score <-> an array of cell states, part x step x pitch.

A step is a sixteenth: 16 to a bar of 4/4, 12 to one of 3/4 or 6/8, 8 to one of 2/4. A cell is OFF, the ONSET of a note,
or its SUSTAIN; the three exclude each other, so that two notes of one pitch that touch stay two notes. Each track is a
part of its own; where there are more tracks than parts, the last part takes the rest of them.

What a roll loses is what its grid loses: onsets and ends go to the nearest step of their bar (a note takes one step at
least), pitches outside of LOWEST to HIGHEST go to the nearest octave inside, of one pitch's notes in a part that sound
together the later one cuts the earlier one, and velocities and percussion are left out.

Letters: P parts, T steps, K pitches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.score import timing
from musegen.score.model import NOTE_DTYPE, Array, KeySignature, Score, Tempo, TimeSignature, Track, frozen

OFF, ONSET, SUSTAIN = 0, 1, 2
STEPS_PER_QUARTER = 4
LOWEST, N_PITCHES = 24, 84
"""C1 to B7, seven whole octaves."""
HIGHEST = LOWEST + N_PITCHES - 1
TICKS_PER_STEP = 120
"""Scores made from rolls have 480 ticks a quarter."""
VELOCITY = 84
"""Of every note that a roll writes."""

ROLL_NOTE = np.dtype([("part", "<i2"), ("step", "<i8"), ("pitch", "<i2"), ("length", "<i8")])
"""A note on the grid; step from the start of the piece and length in steps, pitch as in MIDI."""

States = npt.NDArray[np.uint8]
"""(P, T, K) of OFF, ONSET, SUSTAIN."""
Steps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Placed:
    """The notes of a piece on the grid.

    Attributes:
        starts: (bars + 1,) the steps at which bars begin, and the closing bar line.
        notes: ROLL_NOTE rows, sorted by part, step and pitch; no two of one part and pitch overlap.
        tracks: for each part, the track of the piece that it shows (of the last part the first of its tracks).
    """

    starts: Steps
    notes: Array
    tracks: tuple[int, ...]


def bar_length(numerator: int, denominator: int) -> int:
    """Steps in a bar of this metre.

    Raises:
        RequestError: if its bar is no whole number of sixteenths.
    """
    steps = Fraction(4 * STEPS_PER_QUARTER * numerator, denominator)
    if steps.denominator != 1:
        raise RequestError(
            f"a bar of {numerator}/{denominator} is no whole number of sixteenths, which a piano roll is made of; use "
            "the transformer"
        )
    return int(steps)


def place(
    score: Score,
    n_parts: int,
    *,
    tracks: Sequence[int] | None = None,
    n_bars: int | None = None,
    any_metre: bool = False,
) -> Placed:
    """The pitched notes of a piece on the grid, of `tracks` (all that have notes, by default) and so many bars.

    A part shows a track in the order given; bars past the end of the piece are empty.

    Raises:
        RequestError: for a metre whose bar is no whole number of sixteenths, unless `any_metre` asks for its bars
            to be rounded.
    """
    if tracks is None:
        tracks = [k for k, track in enumerate(score.tracks) if len(track.notes) and not track.is_drum]
    count = timing.n_bars(score) if n_bars is None else n_bars
    lines = timing.bar_starts(score, count)
    for tick in [] if any_metre else lines[:-1].tolist():
        metre = timing.metre_at(score, tick)
        bar_length(metre.numerator, metre.denominator)
    per_tick = STEPS_PER_QUARTER / score.ticks_per_beat
    starts = np.concatenate(([0], np.cumsum(np.maximum(1, np.rint(np.diff(lines) * per_tick))))).astype(np.int64)
    parts = [_placed(score.tracks[k].notes, min(i, n_parts - 1), lines, starts, per_tick) for i, k in enumerate(tracks)]
    notes = np.concatenate([np.zeros(0, ROLL_NOTE), *parts])
    return Placed(starts, _cut(notes), tuple(tracks[:n_parts]))


def _placed(source: Array, part: int, lines: Steps, starts: Steps, per_tick: float) -> Array:
    """One track's notes on the grid, those that begin before its end."""
    source = source[source["start"] < lines[-1]]
    notes = np.zeros(len(source), ROLL_NOTE)
    notes["part"] = part
    notes["step"] = np.minimum(nearest_steps(source["start"], lines, starts, per_tick), starts[-1] - 1)
    ends = np.maximum(nearest_steps(source["start"] + source["duration"], lines, starts, per_tick), notes["step"] + 1)
    notes["length"] = ends - notes["step"]
    notes["pitch"] = folded(source["pitch"].astype(np.int64))
    return notes


def moved(notes: Array, semitones: int) -> Array:
    """ROLL_NOTE rows so much higher, as `place` would have put them: folded, and cut where two now sound together."""
    notes = notes.copy()
    notes["pitch"] = folded(notes["pitch"].astype(np.int64) + semitones)
    return _cut(notes)


def folded(pitch: Steps) -> Steps:
    """Pitches of MIDI, those outside of the roll in the nearest octave inside."""
    octaves: Steps = np.maximum(0, LOWEST - pitch + 11) // 12 - np.maximum(0, pitch - HIGHEST + 11) // 12
    return pitch + 12 * octaves


def nearest_steps(ticks: Steps, lines: Steps, starts: Steps, per_tick: float) -> Steps:
    """The nearest step of each tick, counted from its own bar line: bars begin at the ticks `lines`, steps `starts`."""
    bars = np.clip(np.searchsorted(lines, ticks, side="right") - 1, 0, len(lines) - 2)
    steps = starts[bars] + np.rint((ticks - lines[bars]) * per_tick).astype(np.int64)
    held: Steps = np.minimum(steps, starts[bars + 1])
    return held


def _cut(notes: Array) -> Array:
    """Sorted; of notes of one part, pitch and step the longest, and none into the next one of its pitch."""
    notes = notes[np.lexsort((-notes["length"], notes["step"], notes["pitch"], notes["part"]))]
    same = (notes["part"][1:] == notes["part"][:-1]) & (notes["pitch"][1:] == notes["pitch"][:-1])
    twice = np.concatenate(([False], same & (notes["step"][1:] == notes["step"][:-1])))[: len(notes)]
    notes = notes[~twice]
    same = (notes["part"][1:] == notes["part"][:-1]) & (notes["pitch"][1:] == notes["pitch"][:-1])
    gap = np.diff(notes["step"])
    length = notes["length"].copy()
    length[:-1][same] = np.minimum(length[:-1], gap)[same]
    notes["length"] = length
    return notes[np.lexsort((notes["pitch"], notes["step"], notes["part"]))]


def rasterise(notes: Array, start: int, stop: int, n_parts: int) -> States:
    """(P, stop - start, K) the cells of some steps; a note from before `start` sustains into them."""
    states = np.zeros((n_parts, stop - start, N_PITCHES), np.uint8)
    notes = notes[(notes["step"] < stop) & (notes["step"] + notes["length"] > start)]
    first = np.maximum(notes["step"] - start, 0)
    last = np.minimum(notes["step"] + notes["length"] - start, stop - start)
    lengths = last - first
    which = np.repeat(np.arange(len(notes)), lengths)
    offsets = np.arange(len(which)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    part, pitch = notes["part"].astype(np.int64), notes["pitch"].astype(np.int64) - LOWEST
    states[part[which], first[which] + offsets, pitch[which]] = SUSTAIN
    begins = notes["step"] >= start
    states[part[begins], first[begins], pitch[begins]] = ONSET
    return states


def mended(states: States) -> States:
    """The cells without what no music says: a gap of one step before a sustain is closed, other orphans are left out.

    An orphan is a SUSTAIN that follows neither ONSET nor SUSTAIN.
    """
    states = states.copy()
    sounding = states != OFF
    gap = np.zeros_like(sounding)
    gap[:, 1:-1] = sounding[:, :-2] & (states[:, 1:-1] == OFF) & (states[:, 2:] == SUSTAIN)
    states[gap] = SUSTAIN
    alive = np.zeros((states.shape[0], states.shape[2]), np.bool_)
    for step in range(states.shape[1]):
        here = states[:, step]
        alive = (here == ONSET) | (alive & (here == SUSTAIN))
        here[~alive] = OFF
    return states


def notes_of(states: States) -> Array:
    """The notes of (P, T, K) cells as ROLL_NOTE rows, sorted by part, step and pitch; orphans are left out."""
    n_steps = states.shape[1]
    ends = np.where(states == SUSTAIN, n_steps, np.arange(n_steps)[:, None])  # (P, T, K)
    ends = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]  # the next step that is no SUSTAIN
    ends = np.concatenate((ends[:, 1:], np.full_like(ends[:, :1], n_steps)), axis=1)
    part, step, pitch = np.nonzero(states == ONSET)
    notes = np.zeros(len(part), ROLL_NOTE)
    notes["part"], notes["step"], notes["pitch"] = part, step, pitch + LOWEST
    notes["length"] = ends[part, step, pitch] - step
    return notes


def to_score(
    states: States,
    metre: tuple[int, int],
    instruments: Sequence[int],
    *,
    key: KeySignature | None = None,
    tempo: Tempo | None = None,
) -> Score:
    """The piece of (P, T, K) cells in one metre, a track for each of the `instruments` (programs of the parts)."""
    notes = notes_of(mended(states))
    tracks = []
    for part, program in enumerate(instruments):
        own = notes[notes["part"] == part]
        tracks.append(Track(as_notes(own, own["step"] * TICKS_PER_STEP, own["length"] * TICKS_PER_STEP), program))
    return Score(
        STEPS_PER_QUARTER * TICKS_PER_STEP,
        tuple(tracks),
        tempos=(tempo,) if tempo else (),
        time_signatures=(TimeSignature(0, *metre),),
        key_signatures=(key,) if key else (),
        end=states.shape[1] * TICKS_PER_STEP,
    )


def as_notes(notes: Array, starts: Steps, durations: Steps) -> Array:
    """ROLL_NOTE rows as a track's notes with these ticks."""
    rows = np.zeros(len(notes), NOTE_DTYPE)
    rows["start"], rows["duration"] = starts, durations
    rows["pitch"], rows["velocity"] = notes["pitch"], VELOCITY
    return frozen(rows, NOTE_DTYPE)
