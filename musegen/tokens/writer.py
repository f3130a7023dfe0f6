"""Lays the tokens of a grid out; `remi` is what others call."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.tokens.grid import Grid
from musegen.tokens.part import DEFAULT_DURATION, DEFAULT_VELOCITY
from musegen.tokens.reading import spans_of
from musegen.tokens.vocabulary import DRUM_PROGRAM, DURATIONS, MAX_BARS_LEFT, VOCABULARY

Ids = npt.NDArray[np.int32]
Cells = npt.NDArray[np.bool_]

_STEPS = np.array(DURATIONS)


class Writer:
    """Lays the tokens of a grid's bars out: every token gets a sort key of (place of the bar, stage, item, order).

    Args:
        grid: what to write.
        total: how many bars the piece will have in the end.
        masked: (tracks, bars) of bool, what to take out and write at the end.
    """

    def __init__(self, grid: Grid, total: int, masked: Cells | None) -> None:
        n_bars = len(grid.metres)
        shape = (max(1, len(grid.programs)), n_bars)
        self.cells = np.zeros(shape, np.bool_) if masked is None else masked
        if self.cells.shape != shape:
            raise RequestError(f"the mask is for {self.cells.shape} tracks and bars; the piece has {shape}")
        self.grid = grid
        self.left = np.minimum(total - 1 - np.arange(n_bars), MAX_BARS_LEFT)
        has_chord = np.zeros(n_bars, np.bool_)
        has_chord[grid.chords[:, 0]] = True
        self.whole = self.cells.all(axis=0) & ~has_chord
        self.keys: list[npt.NDArray[np.int64]] = []
        self.ids: list[npt.NDArray[np.int64]] = []

    def tokens(self) -> Ids:
        """(T,) the ids from the first Bar on."""
        self._frames()
        self._chords()
        self._notes()
        order = np.argsort(np.concatenate(self.keys), kind="stable")
        return np.concatenate(self.ids)[order].astype(np.int32)

    def _put(self, place: object, stage: int, item: object, order: int, ids: object) -> None:
        key = (np.asarray(place, np.int64) << 42) | (stage << 40) | (np.asarray(item, np.int64) << 4) | order
        self.keys.append(np.atleast_1d(key))
        self.ids.append(np.broadcast_to(np.asarray(ids, np.int64), self.keys[-1].shape))

    def _place(self, bars: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Where bars stand that are filled: behind all others and FILL."""
        return len(self.grid.metres) + 1 + bars.astype(np.int64)

    def _frames(self) -> None:
        grid, bars = self.grid, np.arange(len(self.grid.metres))
        bar_ids = VOCABULARY.blocks["Bar"].start + self.left
        self._put(bars, 0, 0, 0, bar_ids)
        for order, (name, values) in enumerate((("Metre", grid.metres), ("Tempo", grid.tempi), ("Key", grid.keys)), 1):
            changed = np.flatnonzero(np.diff(values, prepend=values[:1]) != 0)
            self._put(changed, 0, 0, order, VOCABULARY.blocks[name].start + values[changed])
        masked = np.flatnonzero(self.cells.any(axis=0))
        if len(masked):
            self._put(np.flatnonzero(self.whole), 3, 0, 0, VOCABULARY.id("MASK"))
            self._put(len(bars), 0, 0, 0, VOCABULARY.id("FILL"))
            self._put(self._place(masked), 0, 0, 0, bar_ids[masked])

    def _chords(self) -> None:
        bars, positions, chords, basses = self.grid.chords.T
        items = np.arange(len(bars))
        later, over_bass = positions > 0, basses >= 0
        self._put(bars[later], 1, items[later], 0, VOCABULARY.blocks["Position"].start + positions[later])
        self._put(bars, 1, items, 1, VOCABULARY.blocks["Chord"].start + chords)
        self._put(bars[over_bass], 1, items[over_bass], 2, VOCABULARY.blocks["Bass"].start + basses[over_bass])

    def _notes(self) -> None:
        """Write the notes, and the marks of masked tracks as if each were a note of its bar."""
        grid = self.grid
        mark_track, mark_bar = np.nonzero(self.cells & ~self.whole)
        is_masked = self.cells[grid.notes["track"], grid.notes["bar"]]
        track = np.concatenate([grid.notes["track"], mark_track])
        bar = np.concatenate([np.where(is_masked, self._place(grid.notes["bar"]), grid.notes["bar"]), mark_bar])
        onset = np.concatenate([grid.notes["onset"], np.full(len(mark_bar), -1)])
        pitch = np.concatenate([grid.notes["pitch"], np.full(len(mark_bar), -1)])
        order = np.lexsort((pitch, onset, track, bar))
        if not len(order):
            return
        place, track, onset = bar[order], track[order], onset[order]
        is_mark = order >= len(grid.notes)
        new_bar = np.diff(place, prepend=-1) != 0
        new_track = np.where(new_bar, track != 0, np.diff(track, prepend=0) != 0) | is_mark
        added = ~new_bar & ~new_track & (np.diff(onset, prepend=-1) == 0)
        item = np.arange(len(order))
        self._put(place[new_track], 2, item[new_track], 0, VOCABULARY.blocks["Track"].start + track[new_track])
        self._put(place[is_mark], 2, item[is_mark], 4, VOCABULARY.id("MASK"))
        is_note = ~is_mark
        if is_note.any():
            notes = grid.notes[order[is_note]]
            self._note_tokens(notes, place[is_note], item[is_note], added[is_note])

    def _note_tokens(
        self, notes: npt.NDArray[np.void], place: npt.NDArray[np.int64], item: npt.NDArray[np.int64], added: Cells
    ) -> None:
        grid, track, onset = self.grid, notes["track"], notes["onset"]
        starts = grid.starts
        before = _previous_of_track(track)
        first = before < 0
        velocity = np.where(first, DEFAULT_VELOCITY, notes["velocity"][before])
        duration = np.where(first, DEFAULT_DURATION, notes["duration"][before])
        cursor = np.maximum(starts[notes["bar"]], self._cursors(notes, added, before))
        said = {
            "Position": (~added & (onset != cursor), onset - starts[notes["bar"]]),
            "Velocity": (notes["velocity"] != velocity, notes["velocity"]),
            "Duration": (notes["duration"] != duration, notes["duration"]),
        }
        for order, (name, (where, values)) in enumerate(said.items(), 1):
            self._put(place[where], 2, item[where], order, VOCABULARY.blocks[name].start + values[where])
        drums = np.array([program == DRUM_PROGRAM for program in grid.programs])[track]
        names = np.array([[VOCABULARY.blocks[n].start for n in row] for row in (("Pitch", "Add"), ("Drum", "DrumAdd"))])
        self._put(place, 2, item, 4, names[drums.astype(int), added.astype(int)] + notes["pitch"])

    def _cursors(
        self, notes: npt.NDArray[np.void], added: npt.NDArray[np.bool_], before: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """(notes,) where the track's onset before each note left the cursor; 0 at the start of a track or span."""
        group = np.cumsum(~added) - 1
        ends = np.minimum.reduceat(notes["onset"] + _STEPS[notes["duration"]], np.flatnonzero(~added))
        spans = spans_of(self.cells)[notes["track"], notes["bar"]]
        return np.where((before < 0) | ((spans > 0) & (spans != spans[before])), 0, ends[group[before]])


def _previous_of_track(track: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """(n,) the index of the last note of the same track, -1 for the first."""
    order = np.argsort(track, kind="stable")
    before = np.full(len(track), -1, np.int64)
    same = track[order][1:] == track[order][:-1]
    before[order[1:][same]] = order[:-1][same]
    return before
