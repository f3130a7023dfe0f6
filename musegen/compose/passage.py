"""Some bars of a piece as the model sees them, which of their cells it writes, and how the new notes join the piece.

A cell is a track in a bar. The model sees the piece rounded to the grid; the piece itself is never rewritten. New
notes are added to its own tracks, at its own resolution.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from musegen.score import timing
from musegen.score.model import NOTE_DTYPE, Array, Score
from musegen.tokens import Grid
from musegen.tokens.grid import IntArray
from musegen.tokens.vocabulary import DURATIONS, MAX_TRACKS, STEPS_PER_QUARTER, VELOCITY_CLASS
from musegen.tokens.writer import Cells, Ids

_STEPS = np.array(DURATIONS)
Interval = tuple[int, int]


@dataclass(frozen=True)
class Passage:
    """What the model is shown of a piece, and what it writes.

    Attributes:
        piece: the whole piece; nothing begins yet where the model writes.
        first: the bar of the piece with which the passage begins, from 0.
        total: how many bars there are from there to the end of the piece, new ones with them.
        slots: which track of the piece each track of the tokens is.
        cells: (tracks shown, bars) of bool, what the model writes.
        ids: the prompt.
        ids_without_chords: the same with no chord said.
    """

    piece: Score
    first: int
    total: int
    slots: tuple[int, ...]
    cells: Cells
    ids: Ids
    ids_without_chords: Ids


def busiest(score: Score, always: Collection[int] = ()) -> tuple[int, ...]:
    """The tracks with notes, the fullest where they are too many: fifteen pitched ones and one of drums.

    Those of `always`, at most sixteen, are among them, with notes or without.
    """
    kept = list(always)
    for is_drum, most in ((False, MAX_TRACKS - 1), (True, 1)):
        having = [k for k, track in enumerate(score.tracks) if len(track.notes) and track.is_drum == is_drum]
        others = sorted((k for k in having if k not in always), key=lambda k: -len(score.tracks[k].notes))
        room = most - sum(score.tracks[k].is_drum == is_drum for k in always)
        kept += others[: max(0, min(room, MAX_TRACKS - len(kept)))]
    return tuple(sorted(kept))


def join(passage: Passage, written: Grid) -> Score:
    """The piece with the notes that `written`, the passage as the tokens say it, has in the passage's cells.

    What would lie beyond a bar that its piece cuts short (by a change of metre inside it) is left out, as is what
    `_without_clashes` says.
    """
    piece = passage.piece
    lines = timing.bar_starts(piece, passage.first + passage.cells.shape[1])[passage.first :]
    ticks = _Ticks(lines, written.starts, piece.ticks_per_beat / STEPS_PER_QUARTER)
    new = written.notes[passage.cells[written.notes["track"], written.notes["bar"]]]
    fresh = {slot: ticks.placed(new[new["track"] == k]) for k, slot in enumerate(passage.slots)}
    return with_new(piece, fresh, int(lines[0]))


def with_new(piece: Score, fresh: Mapping[int, Array], first: int) -> Score:
    """The piece with new notes in its tracks (by their index), none of which begins before tick `first`.

    They take the loudness of their track, and what `_without_clashes` says is left out.
    """
    fresh = {slot: _loudness_of(piece.tracks[slot].notes, notes) for slot, notes in fresh.items()}
    tracks = list(piece.tracks)
    for slot, notes in _without_clashes(fresh, piece, first).items():
        tracks[slot] = replace(tracks[slot], notes=np.concatenate([tracks[slot].notes, notes]))
    return piece.with_tracks(tracks)


@dataclass(frozen=True)
class _Ticks:
    """Puts steps of the grid at ticks of the piece, bar by bar."""

    lines: npt.NDArray[np.int64]
    starts: IntArray
    ticks_per_step: float

    def at(self, steps: IntArray) -> IntArray:
        """The tick of each step, at most that of the bar line after it."""
        bars = np.clip(np.searchsorted(self.starts, steps, side="right") - 1, 0, len(self.starts) - 2)
        ticks = self.lines[bars] + np.rint((steps - self.starts[bars]) * self.ticks_per_step).astype(np.int64)
        at: IntArray = np.minimum(ticks, self.lines[bars + 1])
        return at

    def placed(self, notes: npt.NDArray[np.void]) -> Array:
        """Notes of the grid as notes of the piece."""
        result = np.zeros(len(notes), NOTE_DTYPE)
        result["start"] = self.at(notes["onset"])
        ends = self.at(notes["onset"] + _STEPS[notes["duration"]])
        result["duration"] = np.maximum(1, ends - result["start"])
        result["pitch"] = notes["pitch"]
        result["velocity"] = notes["velocity"] * VELOCITY_CLASS + VELOCITY_CLASS // 2
        inside: Array = result[result["start"] < self.lines[notes["bar"] + 1]]
        return inside


def _loudness_of(old: Array, new: Array) -> Array:
    """The new notes with the track's own velocity of each class, where it has one."""
    for velocity in np.unique(new["velocity"]):
        same = old["velocity"][old["velocity"] // VELOCITY_CLASS == velocity // VELOCITY_CLASS]
        if len(same):
            new["velocity"][new["velocity"] == velocity] = int(np.median(same))
    return new


def _channel(piece: Score, track: int) -> int:
    """What tells notes of one pitch apart in the file: the channel, or the track where the writer will choose one."""
    channel = piece.tracks[track].channel
    return 9 if piece.tracks[track].is_drum else 16 + track if channel is None else channel


def _without_clashes(fresh: dict[int, Array], piece: Score, first: int) -> dict[int, Array]:
    """Keep two notes of one pitch from sounding at once on one channel, where a file could not tell them apart.

    A new note that begins inside another waits for its end, and ends where the next one begins; one of which nothing
    is left is left out. No new note begins before tick `first`.
    """
    taken: dict[tuple[int, int], list[Interval]] = {}
    for slot, track in enumerate(piece.tracks):
        ends = track.notes["start"] + track.notes["duration"]
        for note, end in zip(track.notes[ends > first], ends[ends > first], strict=True):
            taken.setdefault((_channel(piece, slot), int(note["pitch"])), []).append((int(note["start"]), int(end)))
    for intervals in taken.values():
        intervals.sort()
    order = sorted((int(n["start"]), slot, i) for slot, notes in fresh.items() for i, n in enumerate(notes))
    keep = {slot: np.ones(len(notes), np.bool_) for slot, notes in fresh.items()}
    sounding: dict[tuple[int, int], int] = {}
    for start, slot, i in order:
        note = fresh[slot][i]
        key = _channel(piece, slot), int(note["pitch"])
        free, end = _free(taken.get(key, []), max(start, sounding.get(key, 0)), start + int(note["duration"]))
        if free >= end:
            keep[slot][i] = False
            continue
        fresh[slot]["start"][i], fresh[slot]["duration"][i] = free, end - free
        sounding[key] = end
    return {slot: notes[keep[slot]] for slot, notes in fresh.items()}


def _free(taken: list[Interval], start: int, end: int) -> Interval:
    """What is left of `start` to `end` beside intervals sorted by their begin: up to the first gap's end."""
    for begins, stops in taken:
        if begins > start:
            return start, min(end, begins)
        start = max(start, stops)
    return start, end
