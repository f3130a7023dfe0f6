"""The grid: a Score rounded to what tokens can say, and back.

Rounding is per bar (a position counts from its own bar line) to 24 steps a quarter. A duration goes to the nearest
one of the table that neither passes the end of the piece nor the next onset of the same pitch; a percussion note
lasts until the track's next onset, since its release means nothing. Velocities go to classes of eight, tempi to
classes of six per cent and, like metre and key, to the bar line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.score import timing
from musegen.score.model import NOTE_DTYPE, Chord, KeySignature, Score, Tempo, TimeSignature, Track
from musegen.tokens.harmony import chord_symbol, parse_chord
from musegen.tokens.state import METRE_STEPS
from musegen.tokens.vocabulary import (
    DRUM_PROGRAM,
    DURATIONS,
    KEYS,
    MAX_BAR_STEPS,
    MAX_TRACKS,
    METRES,
    STEPS_PER_QUARTER,
    TEMPI,
    VELOCITY_CLASS,
)

IntArray = npt.NDArray[np.int64]

TICKS_PER_STEP = 20
"""Scores made from tokens have 480 ticks a quarter."""

GRID_NOTE = np.dtype(
    [
        ("track", "<i4"),
        ("bar", "<i4"),
        ("onset", "<i8"),
        ("pitch", "<i2"),
        ("duration", "<i2"),
        ("velocity", "<i2"),
    ]
)
"""A note on the grid: onset in steps from the start of the piece, duration and velocity as vocabulary values."""

_STEPS = np.array(DURATIONS)
_TICKS = _STEPS * TICKS_PER_STEP
_METRE_INDEX = {metre: i for i, metre in enumerate(METRES)}
_KEY_INDEX = {key: i for i, key in enumerate(KEYS)}
_AT_MOST: IntArray = np.searchsorted(_STEPS, np.arange(DURATIONS[-1] + 1), side="right") - 1
_ABOVE = np.minimum(_AT_MOST + 1, len(DURATIONS) - 1)
_NEAREST: IntArray = np.where(
    _STEPS[_ABOVE] - np.arange(len(_AT_MOST)) < np.arange(len(_AT_MOST)) - _STEPS[_AT_MOST], _ABOVE, _AT_MOST
)


@dataclass(frozen=True)
class Grid:
    """A piece on the grid; per bar, -1 stands for "not said".

    Attributes:
        programs: each track's Instrument value.
        metres, tempi, keys: (bars,) vocabulary values in force in each bar.
        notes: GRID_NOTE rows sorted by (track, onset, pitch).
        chords: (n, 4) of bar, position, Chord value, Bass value (-1 none), sorted.
    """

    programs: tuple[int, ...]
    metres: IntArray
    tempi: IntArray
    keys: IntArray
    notes: npt.NDArray[np.void]
    chords: IntArray

    @property
    def starts(self) -> IntArray:
        """(bars + 1,) the bar lines in steps."""
        return np.concatenate(([0], METRE_STEPS[self.metres].cumsum()))

    def slice_bars(self, first: int, last: int) -> Grid:
        """The bars first to last - 1 (from 0) as a piece: the notes that begin in them, and the chord in force."""
        inside = (self.notes["bar"] >= first) & (self.notes["bar"] < last)
        notes = self.notes[inside]
        notes["bar"] -= first
        notes["onset"] -= self.starts[first]
        chords = self.chords[(self.chords[:, 0] >= first) & (self.chords[:, 0] < last)]
        before = self.chords[self.chords[:, 0] < first][-1:]
        if len(before) and not (len(chords) and tuple(chords[0, :2]) == (first, 0)):
            chords = np.concatenate([before, chords])
            chords[0, :2] = first, 0
        chords = chords - np.array([first, 0, 0, 0])
        here = slice(first, last)
        return Grid(self.programs, self.metres[here], self.tempi[here], self.keys[here], notes, chords)

    def without_chords(self) -> Grid:
        """The same with no chord said."""
        return replace(self, chords=self.chords[:0])


def to_grid(score: Score, bars: int | None = None, *, silent_tracks: bool = False) -> Grid:
    """Round a score, so many bars of it or as many as have notes; tracks without notes are left out unless asked for.

    Raises:
        RequestError: for a metre outside the vocabulary, or more than 16 tracks with notes.
    """
    n_bars = max(1, timing.n_bars(_without_releases(score))) if bars is None else bars
    lines = timing.bar_starts(score, n_bars)
    metres = np.array([_metre(score, int(tick), bar) for bar, tick in enumerate(lines[:-1])], np.int64)
    tempi = np.array([_tempo(score, int(tick)) for tick in lines[:-1]], np.int64)
    keys = np.array([_key(score, int(tick)) for tick in lines[:-1]], np.int64)
    tracks = [track for track in score.tracks if len(track.notes) or silent_tracks]
    if len(tracks) > MAX_TRACKS:
        raise RequestError(f"{len(tracks)} tracks have notes; choose at most {MAX_TRACKS} of them")
    frame = Grid((), metres, tempi, keys, np.zeros(0, GRID_NOTE), np.zeros((0, 4), np.int64))
    place = _Placer(lines, frame.starts, STEPS_PER_QUARTER / score.ticks_per_beat)
    notes = [_track_notes(track, k, place) for k, track in enumerate(tracks)]
    programs = tuple(DRUM_PROGRAM if track.is_drum else track.program for track in tracks)
    return Grid(
        programs,
        metres,
        tempi,
        keys,
        np.concatenate(notes) if notes else frame.notes,
        _chords(score, place),
    )


def _without_releases(score: Score) -> Score:
    """The score with percussion as strokes of one tick, so that no bar is counted for a release."""

    def strokes(track: Track) -> Track:
        notes = track.notes.copy()
        notes["duration"] = 1
        return replace(track, notes=notes)

    return score.with_tracks(strokes(track) if track.is_drum else track for track in score.tracks)


def in_order(notes: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """GRID_NOTE rows sorted by (track, onset, pitch), as most often they are already."""
    keys = _keys(notes)
    return notes.take(keys.argsort(kind="stable")) if (keys[1:] < keys[:-1]).any() else notes


def _keys(notes: npt.NDArray[np.void]) -> IntArray:
    """Numbers that rise with (track, onset, pitch)."""
    keys: IntArray = notes["track"].astype(np.int64) << 48 | notes["onset"] << 7 | notes["pitch"]
    return keys


def to_score(grid: Grid) -> Score:
    """The score that a grid says, 480 ticks a quarter."""
    lines = grid.starts * TICKS_PER_STEP
    bounds = grid.notes["track"].searchsorted(np.arange(len(grid.programs) + 1)).tolist()
    notes = _score_notes(grid.notes)
    tracks = tuple(
        Track(notes[start:stop], program=program % 128, is_drum=program == DRUM_PROGRAM)
        for program, start, stop in zip(grid.programs, bounds[:-1], bounds[1:], strict=True)
    )
    times = lines.take(grid.chords[:, 0]) + grid.chords[:, 1] * TICKS_PER_STEP
    return Score(
        STEPS_PER_QUARTER * TICKS_PER_STEP,
        tracks,
        tempos=tuple(Tempo(t, round(60e6 / TEMPI[v])) for t, v in _changes(lines, grid.tempi)),
        time_signatures=tuple(TimeSignature(t, *METRES[v]) for t, v in _changes(lines, grid.metres)),
        key_signatures=tuple(KeySignature(t, *KEYS[v]) for t, v in _changes(lines, grid.keys)),
        chords=tuple(
            Chord(time, chord_symbol(chord, bass))
            for time, (chord, bass) in zip(times.tolist(), grid.chords[:, 2:].tolist(), strict=True)
        ),
        end=int(lines[-1]),
    )


def _score_notes(rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """The notes of a grid as those of a Score, read-only; Tracks take them without another look at their order."""
    keys = _keys(rows)
    if (keys[1:] <= keys[:-1]).any():
        rows = rows.take(np.lexsort((rows["velocity"], rows["duration"], keys)))
    notes = np.empty(len(rows), NOTE_DTYPE)
    notes["start"] = rows["onset"] * TICKS_PER_STEP
    notes["duration"] = _TICKS.take(rows["duration"])
    notes["pitch"] = rows["pitch"]
    notes["velocity"] = rows["velocity"] * VELOCITY_CLASS + VELOCITY_CLASS // 2
    notes.flags.writeable = False
    return notes


def _changes(lines: IntArray, values: IntArray) -> list[tuple[int, int]]:
    """(tick, value) wherever a per-bar value is said and differs from the last one."""
    said = (values >= 0).nonzero()[0]
    new = np.ones(len(said), np.bool_)
    new[1:] = values[said[1:]] != values[said[:-1]]
    at = said[new]
    return list(zip(lines[at].tolist(), values[at].tolist(), strict=True))


@dataclass(frozen=True)
class _Placer:
    """Puts ticks on the grid, bar by bar."""

    lines: IntArray
    starts: IntArray
    steps_per_tick: float

    def bars_and_onsets(self, ticks: IntArray) -> tuple[IntArray, IntArray]:
        """Each tick's bar and its step from the start of the piece, inside the piece."""
        last = len(self.starts) - 2
        bars = np.clip(np.searchsorted(self.lines, ticks, side="right") - 1, 0, last)
        steps = np.rint((ticks - self.lines[bars]) * self.steps_per_tick).astype(np.int64)
        full = steps >= (self.starts[1:] - self.starts[:-1])[bars]
        bars = np.minimum(bars + full, last)
        onsets = np.where(full, self.starts[bars], self.starts[bars] + steps)
        onsets = np.minimum(onsets, self.starts[-1] - 1)
        return np.searchsorted(self.starts, onsets, side="right") - 1, onsets


def _track_notes(track: Track, index: int, place: _Placer) -> npt.NDArray[np.void]:
    source = track.notes
    notes = np.zeros(len(source), GRID_NOTE)
    notes["track"] = index
    notes["bar"], notes["onset"] = place.bars_and_onsets(source["start"])
    notes["pitch"] = source["pitch"]
    notes["velocity"] = source["velocity"] // VELOCITY_CLASS
    steps = np.rint(source["duration"] * place.steps_per_tick).astype(np.int64).clip(1, DURATIONS[-1])
    order = np.lexsort((-steps, notes["onset"], notes["pitch"]))
    notes, steps = notes[order], steps[order]
    first = np.ones(len(notes), np.bool_)
    first[1:] = (notes["pitch"][1:] != notes["pitch"][:-1]) | (notes["onset"][1:] != notes["onset"][:-1])
    notes, steps = notes[first], steps[first]
    room = place.starts[-1] - notes["onset"]
    again = notes["pitch"][1:] == notes["pitch"][:-1]
    room[:-1][again] = np.minimum(room[:-1], np.diff(notes["onset"]))[again]
    room = np.minimum(room, DURATIONS[-1])
    notes["duration"] = np.where(_STEPS[_NEAREST[steps]] <= room, _NEAREST[steps], _AT_MOST[room])
    notes = notes[np.lexsort((notes["pitch"], notes["onset"]))]
    if track.is_drum and len(notes):
        notes["duration"] = _until_next_onset(notes["onset"], int(place.starts[-1]))
    return notes


def _until_next_onset(onsets: IntArray, end: int) -> IntArray:
    distinct = np.unique(onsets)
    last = min(STEPS_PER_QUARTER, end - int(distinct[-1]))
    gaps = np.minimum(np.append(np.diff(distinct), last), DURATIONS[-1])
    values: IntArray = _AT_MOST[gaps][np.searchsorted(distinct, onsets)]
    return values


def _metre(score: Score, tick: int, bar: int) -> int:
    metre = timing.metre_at(score, tick)
    found = _METRE_INDEX.get((metre.numerator, metre.denominator))
    if found is None:
        raise RequestError(
            f"bar {bar + 1} has the metre {metre.numerator}/{metre.denominator}; tokens hold denominators "
            f"1 to 32 and bars of at most {MAX_BAR_STEPS // STEPS_PER_QUARTER} quarters"
        )
    return found


def _tempo(score: Score, tick: int) -> int:
    if not score.tempos:
        return -1
    qpm = timing.tempo_at(score, tick).qpm
    return int(np.abs(np.log(np.array(TEMPI)) - np.log(qpm)).argmin())


def _key(score: Score, tick: int) -> int:
    key = timing.key_at(score, tick)
    return -1 if key is None else _KEY_INDEX[key.fifths, key.mode]


def _chords(score: Score, place: _Placer) -> IntArray:
    """Symbols that no word says are left out, as is all but the last at one position."""
    rows: dict[tuple[int, int], tuple[int, int]] = {}
    for chord in score.chords:
        word = parse_chord(chord.symbol)
        if word is not None:
            bars, onsets = place.bars_and_onsets(np.array([chord.time], np.int64))
            rows[int(bars[0]), int(onsets[0] - place.starts[bars[0]])] = word
    return np.array([(*at, *word) for at, word in sorted(rows.items())], np.int64).reshape(-1, 4)
