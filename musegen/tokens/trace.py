"""What the model is told beside each token of a whole sequence, in NumPy.

`trace` says for every token what `State` would say after it, and walks only for what sounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musegen.tokens.heard import NO_PITCH, Heard
from musegen.tokens.reading import RUN, Body, BoolArray, Frame, IntArray, Types, read_body, read_frame
from musegen.tokens.state import IN_HEAD, METRE_STEPS, NO_CHORD_SAID
from musegen.tokens.vocabulary import DRUM_PROGRAM, DURATIONS, VOCABULARY

_T = VOCABULARY.type_index
_STEPS = np.array(DURATIONS)


@dataclass(frozen=True)
class Trace:
    """What a sequence of T tokens says.

    Attributes:
        starts: (bars + 1,) the bar lines in steps.
        bars: (T,) the bar each token belongs to, -1 in the head.
        attributes: (T, A + 2) as `State.attributes` after each token.
    """

    starts: IntArray
    bars: IntArray
    attributes: npt.NDArray[np.int16]


def trace(ids: npt.NDArray[np.integer]) -> Trace:
    """Read (T,) ids.

    Raises:
        RequestError: as `read_frame`.
    """
    types, values = VOCABULARY.types[ids], VOCABULARY.values[ids]
    frame = read_frame(types, values)
    body = read_body(types, values, frame)
    bars, pending, onsets = np.full((3, len(ids)), -1)
    bars[body.at], pending[body.at], onsets[body.at[body.notes]] = body.bars, body.pending, body.onsets
    attributes = np.empty((len(ids), len(IN_HEAD)), np.int16)
    attributes[:] = IN_HEAD
    attributes[body.at, :7] = _of_tracks(body, frame, _lengths(types, bars, frame)[body.at])
    first = int(frame.bar_at[0])
    is_chord = types == _T["Chord"]
    is_chord[:first] = False
    lines = frame.starts[bars]
    steps = lines + attributes[:, 0]
    attributes[first:, 7] = _chords_at(is_chord, values, steps, lines + np.maximum(pending, 0))[first:]
    attributes[first:, 8:-2] = _sounding(values, steps, onsets, attributes)[first:]
    attributes[first:, -2] = bars[first:]
    attributes[first:, -1] = np.where(onsets >= 0, onsets - lines, attributes[:, 0])[first:]
    return Trace(frame.starts, bars, attributes)


def _lengths(types: Types, bars: IntArray, frame: Frame) -> IntArray:
    """(T,) the steps of the bar as known at each token: before a new metre the Bar token still knows the old one."""
    steps = METRE_STEPS[frame.metres]
    lengths: IntArray = steps[bars]
    changes = np.flatnonzero(types == _T["Metre"])
    early = changes[changes > frame.bar_at[0]] - 1
    lengths[early] = steps[bars[early] - 1]
    return lengths


def _of_tracks(body: Body, frame: Frame, lengths: IntArray) -> npt.NDArray[np.integer]:
    """(n, 7) the first attributes of the tokens of a body, in its order, those that each track has as its own."""
    is_note = np.zeros(len(body.at), np.bool_)
    is_note[body.notes] = True
    last = np.cumsum(is_note) - 1  # of the notes; where there is none before, what is appended behind them all
    at = np.append(body.notes, 0)[last]
    mine = (last >= 0) & (body.tracks[at] == body.tracks)
    steps = _STEPS[body.durations[body.notes]]
    run = np.cumsum(body.opens) * RUN
    ends = np.append(body.onsets + np.minimum.accumulate(steps - run) + run, 0)[last]
    runs_on = mine & ((body.spans == 0) | (body.spans[at] == body.spans))
    behind = np.where(runs_on, ends, 0) - frame.starts[body.bars]
    cursors = np.minimum(np.where(body.pending >= 0, body.pending, np.maximum(0, behind)), lengths)
    programs = np.array(frame.programs)[body.tracks]
    pitches = np.where(mine, body.values[at], NO_PITCH)
    columns = (cursors, lengths - cursors, body.durations, body.velocities, body.tracks, programs, pitches)
    return np.stack(columns, axis=1)


def _chords_at(is_chord: BoolArray, values: Types, steps: IntArray, positions: IntArray) -> IntArray:
    """(T,) the chord in force at the step of each token, out of those said so far, which come in order."""
    said = np.flatnonzero(is_chord)
    if not len(said):
        return np.full(len(steps), NO_CHORD_SAID)
    known = np.minimum(np.cumsum(is_chord), np.searchsorted(positions[said - 1], steps, side="right"))
    return np.where(known > 0, values[said][known - 1], NO_CHORD_SAID)


def _sounding(
    values: Types, steps: IntArray, onsets: IntArray, attributes: npt.NDArray[np.int16]
) -> npt.NDArray[np.int16]:
    """(T, 13) what sounds at the step of each token, of the notes up to it: walked, token by token."""
    pitched = (onsets >= 0) & (attributes[:, 5] != DRUM_PROGRAM)
    pitches = np.where(pitched, values, -1).tolist()
    ends = (onsets + _STEPS[attributes[:, 2]]).tolist()
    heard = Heard()
    found = np.empty((len(values), 2), np.int16)
    for i, (pitch, step, onset, end) in enumerate(zip(pitches, steps.tolist(), onsets.tolist(), ends, strict=True)):
        if pitch >= 0:
            heard.add(onset, end, pitch)
        found[i] = heard.lowest_and_classes(step)
    return np.concatenate([found[:, :1], found[:, 1:] >> np.arange(12, dtype=np.int16) & 1], axis=1)


def bar_offsets(ids: npt.NDArray[np.integer]) -> IntArray:
    """The indices of the Bar tokens; the head stands before the first."""
    return np.flatnonzero(VOCABULARY.types[ids] == _T["Bar"])
