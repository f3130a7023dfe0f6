"""A whole token sequence read at once: what each token finds and leaves, in NumPy.

`trace` says for every token what `State` would say after it, and walks only for what sounds. The other recurrence in
it, where a note begins (at its Position, else at the cursor that the onset before it left, else at the bar line), is a
running maximum: with m the shortest duration of each onset and C its exclusive running sum,
    onset[g] - C[g] = max(bar line[g] - C[g], onset[g-1] - C[g-1]),
begun anew at every Position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.tokens.heard import NO_PITCH, Heard
from musegen.tokens.part import DEFAULT_DURATION, DEFAULT_VELOCITY
from musegen.tokens.state import (
    IN_HEAD,
    NO_CHORD_SAID,
    NO_TRACK,
    metre_steps,
)
from musegen.tokens.vocabulary import DRUM_PROGRAM, DURATIONS, METRES, VOCABULARY

IntArray = npt.NDArray[np.int64]

_T = VOCABULARY.type_index
_STEPS = np.array(DURATIONS)
_METRE_STEPS = np.array([metre_steps(metre) for metre in range(len(METRES))])
_ENDS_POSITION = np.isin(
    np.arange(len(_T)), [_T[n] for n in ("Bar", "Track", "Chord", "Bass", "Pitch", "Add", "Drum", "DrumAdd")]
)
_RUN = 1 << 40


@dataclass(frozen=True)
class Trace:
    """What a sequence of T tokens says.

    Attributes:
        programs: each track's Instrument value.
        metres: (bars,) the metre in force; starts: (bars + 1,) the bar lines in steps.
        bars: (T,) the bar each token belongs to, -1 in the head.
        tracks: (T,) the track; onsets: (T,) the onset in steps of each note, -1 for other tokens.
        attributes: (T, A + 2) as `State.attributes` after each token.
    """

    programs: tuple[int, ...]
    metres: IntArray
    starts: IntArray
    bars: IntArray
    tracks: IntArray
    onsets: IntArray
    attributes: npt.NDArray[np.int16]


def trace(ids: npt.NDArray[np.integer], *, sounding: bool = True) -> Trace:
    """Read (T,) ids; without `sounding`, which is the slow part, the attributes do not say what sounds.

    Raises:
        RequestError: if they are no piece: no metre or instrument in the head, no bar, a track that is not in the
            head, more bars filled than masked.
    """
    types = VOCABULARY.types[ids].astype(np.int64)
    values = VOCABULARY.values[ids].astype(np.int64)
    at = np.arange(len(ids))
    frame = _read_frame(types, values)
    bars = frame.bars
    body = bars >= 0
    is_note = _is(types, "Pitch", "Add", "Drum", "DrumAdd") & body
    opens = _is(types, "Bar", "Track")
    tracks = _carried(np.where(_is(types, "Track"), values, 0), opens, NO_TRACK)
    if body.any() and tracks[body].max() >= len(frame.programs):
        raise RequestError("the tokens name a track that is not in their head")
    position_at = np.maximum.accumulate(np.where(types == _T["Position"], at, -1))
    ended_at = np.maximum.accumulate(np.where(_ENDS_POSITION[types], at, -1))
    pending = np.where(position_at > ended_at, values[position_at], -1)
    onsets = np.full(len(ids), -1, np.int64)
    attributes = np.empty((len(ids), len(IN_HEAD)), np.int16)
    attributes[:] = IN_HEAD
    for k, program in enumerate(frame.programs):
        mine = np.flatnonzero(body & (tracks == k))
        spans = np.where(frame.in_fill[mine], frame.spans[k][bars[mine]], 0)
        spans[frame.in_fill[mine] & (spans == 0)] = -1  # given already: nothing of it is to come
        part = _Part(types[mine], values[mine], bars[mine], frame.starts[bars[mine]], spans)
        onsets[mine], cursors, durations, velocities, last_pitches = part.read(
            is_note[mine], pending[mine], pending[mine - 1]
        )
        cursors = np.minimum(cursors, frame.lengths[mine])
        columns = (cursors, frame.lengths[mine] - cursors, durations, velocities, tracks[mine])
        attributes[mine, :5] = np.stack(columns, axis=1)
        attributes[mine, 5] = program
        attributes[mine, 6] = last_pitches
    lines = frame.starts[bars]
    attributes[body, 7] = _chords_at(types, values, (lines + attributes[:, 0])[body], lines, pending, body)
    if sounding:
        attributes[body, 8:-2] = _sounding(values, lines + attributes[:, 0], onsets, attributes)[body]
    attributes[body, -2] = bars[body]
    attributes[body, -1] = np.where(onsets >= 0, onsets - lines, attributes[:, 0])[body]
    return Trace(frame.programs, frame.metres, frame.starts, bars, tracks, onsets, attributes)


def _chords_at(
    types: IntArray, values: IntArray, steps: IntArray, lines: IntArray, pending: IntArray, body: npt.NDArray[np.bool_]
) -> IntArray:
    """The chord in force at the step of each token of the body, out of those said so far, which come in order."""
    said = np.flatnonzero((types == _T["Chord"]) & body)
    if not len(said):
        return np.full(len(steps), NO_CHORD_SAID, np.int64)
    times = lines[said] + np.maximum(pending[said - 1], 0)
    n_said = np.cumsum((types == _T["Chord"]) & body)[body]
    known = np.minimum(n_said, np.searchsorted(times, steps, side="right"))
    return np.where(known > 0, values[said][known - 1], NO_CHORD_SAID)


def _sounding(
    values: IntArray, steps: IntArray, onsets: IntArray, attributes: npt.NDArray[np.int16]
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


def _is(types: IntArray, *names: str) -> npt.NDArray[np.bool_]:
    return np.isin(types, [_T[name] for name in names])


def _carried(values: IntArray, said: npt.NDArray[np.bool_], default: int) -> IntArray:
    """Each place's last said value, `default` before the first."""
    last = np.maximum.accumulate(np.where(said, np.arange(len(values)), -1))
    return np.where(last >= 0, values[last], default)


@dataclass(frozen=True)
class _Frame:
    programs: tuple[int, ...]
    metres: IntArray
    starts: IntArray
    bars: IntArray  # (T,)
    lengths: IntArray  # (T,) steps of the bar, as known at the token
    in_fill: npt.NDArray[np.bool_]  # (T,)
    spans: IntArray  # (tracks, bars) k in the k-th span of the track that is masked, 0 where none is


def _read_frame(types: IntArray, values: IntArray) -> _Frame:
    at = np.arange(len(types))
    is_bar = types == _T["Bar"]
    bar_at = np.flatnonzero(is_bar)
    fill = np.flatnonzero(types == _T["FILL"])
    fill_at = int(fill[0]) if len(fill) else len(types)
    first = int(bar_at[0]) if len(bar_at) else len(types)
    programs = tuple(int(v) for v in values[:first][types[:first] == _T["Instrument"]])
    is_metre = types == _T["Metre"]
    if not len(bar_at) or not programs or not is_metre[:first].any():
        raise RequestError("the tokens are no piece: the head needs a metre and an instrument, and bars must follow")
    n_bars = int((bar_at < fill_at).sum())
    ordinal = np.cumsum(is_bar) - 1
    cells = _masked_cells(types, values, ordinal, (len(programs), n_bars))
    masked = np.flatnonzero(cells.any(axis=0))
    if len(bar_at) - n_bars > len(masked):
        raise RequestError("the tokens fill more bars than they mask")
    of_bar = np.concatenate([np.arange(n_bars), masked[: len(bar_at) - n_bars], [-1]])
    bars = of_bar[ordinal]
    said = np.full(n_bars, -1, np.int64)
    said[0] = values[:first][is_metre[:first]][-1]
    changes = is_metre & (at > first)
    said[bars[changes]] = values[changes]
    metres = _carried(said, said >= 0, 0)
    steps = _METRE_STEPS[metres]
    lengths = np.where(bars >= 0, steps[bars], 0)
    early = np.flatnonzero(changes) - 1  # the Bar token before a new metre still knows the old one
    lengths[early] = steps[bars[early] - 1]
    starts = np.concatenate([[0], np.cumsum(steps)])
    return _Frame(programs, metres, starts, bars, lengths, at > fill_at, spans_of(cells))


def _masked_cells(types: IntArray, values: IntArray, bars: IntArray, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(tracks, bars) of bool: which the MASK tokens mask."""
    cells = np.zeros(shape, np.bool_)
    at = np.flatnonzero(types == _T["MASK"])
    of_track = types[at - 1] == _T["Track"]
    cells[:, bars[at[~of_track]]] = True
    tracks = values[at[of_track] - 1]
    if (tracks >= shape[0]).any() or (bars[at] >= shape[1]).any():
        raise RequestError("the tokens mask a track that is not in their head, or a bar of the fill")
    cells[tracks, bars[at[of_track]]] = True
    return cells


def spans_of(cells: npt.NDArray[np.bool_]) -> IntArray:
    """(tracks, bars) masked cells as numbers: k in the k-th span of a track, 0 where nothing is masked."""
    begins = cells.copy()
    begins[:, 1:] &= ~cells[:, :-1]
    spans: IntArray = np.where(cells, np.cumsum(begins, axis=1), 0)
    return spans


@dataclass(frozen=True)
class _Part:
    """The n tokens of one track, in order."""

    types: IntArray
    values: IntArray
    bars: IntArray
    lines: IntArray  # the bar line before each token, in steps
    spans: IntArray

    def read(
        self, is_note: npt.NDArray[np.bool_], pending: IntArray, pending_before: IntArray
    ) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
        """(n,) each: onsets (-1 if no note), cursors, durations, velocities, last pitches."""
        durations = _carried(self.values, self.types == _T["Duration"], DEFAULT_DURATION)
        velocities = _carried(self.values, self.types == _T["Velocity"], DEFAULT_VELOCITY)
        last_pitches = _carried(self.values, is_note, NO_PITCH)
        onsets = np.full(len(self.types), -1, np.int64)
        ends = np.zeros(len(self.types), np.int64)
        notes = np.flatnonzero(is_note)
        if len(notes):
            onsets[notes], shortest = self._onsets(notes, _STEPS[durations[notes]], pending_before[notes])
            last = np.maximum.accumulate(np.where(is_note, np.arange(len(is_note)), -1))
            ends[notes] = onsets[notes] + shortest
            fresh = (last < 0) | ((self.spans != 0) & (self.spans[last] != self.spans))
            ends = np.where(fresh, 0, ends[last])
        cursors = np.where(pending >= 0, pending, np.maximum(0, ends - self.lines))
        return onsets, cursors, durations, velocities, last_pitches

    def _onsets(self, notes: IntArray, steps: IntArray, pending: IntArray) -> tuple[IntArray, IntArray]:
        """(notes,) each: the onset, and the shortest duration of its onset so far."""
        bars, spans, lines = self.bars[notes], self.spans[notes], self.lines[notes]
        new = ~_is(self.types[notes], "Add", "DrumAdd")
        new[0] = True
        new[1:] |= (bars[1:] != bars[:-1]) | (spans[1:] != spans[:-1])
        first = np.flatnonzero(new)
        group = np.cumsum(new) - 1
        shortest = np.minimum.reduceat(steps, first)
        before = np.concatenate([[0], np.cumsum(shortest)[:-1]])
        restarts = np.diff(spans[first], prepend=0) != 0
        explicit = pending[first] >= 0
        begins = lines[first] + np.maximum(pending[first], 0)
        run = np.cumsum(explicit | restarts) * _RUN
        onset = np.maximum.accumulate(begins - before + run) - run + before
        so_far = np.minimum.accumulate(steps - group * _RUN) + group * _RUN
        return onset[group], so_far


def bar_offsets(ids: npt.NDArray[np.integer]) -> IntArray:
    """The indices of the Bar tokens; the head stands before the first."""
    return np.flatnonzero(VOCABULARY.types[ids] == _T["Bar"])
