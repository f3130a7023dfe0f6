"""REMI-like events for several tracks: bars and positions (Huang and Yang 2020), track by track within a bar.

What is spared against REMI, which says bar, position, pitch, velocity and duration (about five tokens a note):
velocity and duration are said when they change; a position is said when the note does not begin where the last one
of its track ended; and a track is said when it is not the first. A melody takes about 1.4 tokens a note.
grammar.py states the language; this file writes and reads it, in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.score.model import Score
from musegen.tokens.grammar import Grammar
from musegen.tokens.grid import GRID_NOTE, Grid, to_grid, to_score
from musegen.tokens.state import ATTRIBUTES, DEFAULT_DURATION, DEFAULT_VELOCITY, Constraints
from musegen.tokens.trace import bar_offsets, trace
from musegen.tokens.vocabulary import (
    DRUM_PROGRAM,
    DURATIONS,
    KEYS,
    MAX_BARS_LEFT,
    N_DENSITIES,
    STEPS_PER_QUARTER,
    STYLES,
    VOCABULARY,
)

Ids = npt.NDArray[np.int32]

_STEPS = np.array(DURATIONS)
_DENSITY_EDGES = 0.35 * 1.5 ** np.arange(N_DENSITIES - 1)
_SAME_KEY_BY_FIFTHS = 7  # a semitone up is seven fifths up


@dataclass(frozen=True)
class Controls:
    """What the head says beside metre, instruments, key and tempo, which the score itself holds; None says nothing.

    Attributes:
        style: one of STYLES.
        bars: whether the number of bars is said in the head too (each Bar says how many are left in any case).
        density: 1 to 10, notes a quarter on a scale of factors of 1.5.
        polyphony: 1 to 10, the most notes that sound at once.
        low, high: the lowest and the highest pitch; both or none.
    """

    style: str | None = None
    bars: bool = True
    density: int | None = None
    polyphony: int | None = None
    low: int | None = None
    high: int | None = None

    def __post_init__(self) -> None:
        if self.style is not None and self.style not in STYLES:
            raise RequestError(f"unknown style {self.style!r}; the styles are {', '.join(STYLES)}")
        for name in ("density", "polyphony"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= 10:
                raise RequestError(f"{name} is {value}; it goes from 1 to 10")
        if (self.low is None) != (self.high is None):
            raise RequestError("a range needs both its lowest and its highest pitch")


def density_of(score: Score) -> int:
    """The Density class, 1 to 10, of a score: pitched and percussion notes a quarter over all tracks."""
    quarters = max(1.0, score.end / score.ticks_per_beat)
    return 1 + int(np.searchsorted(_DENSITY_EDGES, score.n_notes / quarters))


class Remi:
    """The tokenizer. It has no state: one vocabulary, one grid."""

    name = "remi"
    vocabulary = VOCABULARY
    attribute_sizes: tuple[int, ...] = tuple(size for _, size in ATTRIBUTES)

    def encode(
        self,
        score: Score,
        controls: Controls | None = None,
        *,
        bars: int | None = None,
        written: int | None = None,
        masked: range | None = None,
        ends: bool = True,
    ) -> Ids:
        """Write a score as (T,) ids.

        Args:
            score: what to write; rounded to the grid as `quantize` does.
            controls: what the head says.
            bars: how many bars the piece will have in the end, where `score` is only its beginning.
            written: how many bars of `score` are written, empty ones at the end included; those with notes if None.
            masked: bars (from 0) to take out and write at the end.
            ends: whether EOS is written; False for a prompt.

        Raises:
            RequestError: for what the grid cannot hold, or bars out of range.
        """
        grid = to_grid(score, written)
        total = len(grid.metres) if bars is None else bars
        if total < len(grid.metres):
            raise RequestError(f"{bars} bars cannot hold a beginning of {len(grid.metres)} bars")
        tokens = _Writer(grid, total, masked or range(0)).tokens()
        head = self._head(grid, total, controls or Controls())
        return np.concatenate([head, tokens, [VOCABULARY.id("EOS")] if ends else []]).astype(np.int32)

    def decode(self, ids: npt.NDArray[np.integer]) -> Score:
        """Read (T,) ids; the inverse of `encode` on what lies on the grid. Raises RequestError for no piece."""
        read = trace(ids)
        types, values = VOCABULARY.types[ids], VOCABULARY.values[ids]
        is_note = read.onsets >= 0
        notes = np.zeros(int(is_note.sum()), GRID_NOTE)
        notes["track"], notes["bar"] = read.tracks[is_note], read.bars[is_note]
        notes["onset"], notes["pitch"] = read.onsets[is_note], values[is_note]
        notes["duration"], notes["velocity"] = read.attributes[is_note, 2], read.attributes[is_note, 3]
        notes = notes[np.lexsort((notes["pitch"], notes["onset"], notes["track"]))]
        said = {}
        for name in ("Tempo", "Key"):
            said[name] = np.full(len(read.metres), -1, np.int64)
            where = np.flatnonzero(types == VOCABULARY.type_index[name])
            said[name][np.maximum(read.bars[where], 0)] = values[where]
        chords = self._chords(types, values, read.bars)
        return to_score(Grid(read.programs, read.metres, said["Tempo"], said["Key"], notes, chords))

    def quantize(self, score: Score) -> Score:
        """What is left of a score on the grid; decoding what was encoded gives just this."""
        return to_score(to_grid(score))

    def attributes(self, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.int16]:
        """(T, A) the ATTRIBUTES after each token."""
        return trace(ids).attributes

    def bar_offsets(self, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """The indices of the Bar tokens; the head stands before the first."""
        return bar_offsets(ids)

    def grammar(self, constraints: Constraints | None = None) -> Grammar:
        """The rules of this language under some constraints."""
        return Grammar(constraints)

    def transposition(self, semitones: int) -> npt.NDArray[np.int32]:
        """(V,) the id that each id becomes when the music moves, -1 where it would leave the range.

        Percussion stays. A key is respelled with at most six flats or sharps.
        """
        moved = np.arange(VOCABULARY.size, dtype=np.int32)
        for name in ("Pitch", "Add"):
            block = VOCABULARY.blocks[name]
            pitches = np.arange(block.size) + semitones
            moved[block.slice] = np.where((pitches >= 0) & (pitches < 128), block.start + pitches, -1)
        for value, (fifths, mode) in enumerate(KEYS):
            shifted = fifths if semitones == 0 else (fifths + _SAME_KEY_BY_FIFTHS * semitones + 5) % 12 - 5
            moved[VOCABULARY.id("Key", value)] = VOCABULARY.id("Key", KEYS.index((shifted, mode)))
        chord, bass = VOCABULARY.blocks["Chord"], VOCABULARY.blocks["Bass"]
        per_root = (chord.size - 1) // 12
        moved[chord.start + 1 : chord.stop] = (
            chord.start + 1 + (np.arange(chord.size - 1) + per_root * semitones) % (chord.size - 1)
        )
        moved[bass.slice] = bass.start + (np.arange(12) + semitones) % 12
        return moved

    def _head(self, grid: Grid, bars: int, controls: Controls) -> list[int]:
        word = VOCABULARY.id
        head = [word("BOS")]
        if controls.style is not None:
            head.append(word("Style", STYLES.index(controls.style)))
        if grid.keys[0] >= 0:
            head.append(word("Key", int(grid.keys[0])))
        head.append(word("Metre", int(grid.metres[0])))
        if grid.tempi[0] >= 0:
            head.append(word("Tempo", int(grid.tempi[0])))
        if controls.bars:
            head.append(word("Bars", min(bars - 1, MAX_BARS_LEFT)))
        if controls.density is not None:
            head.append(word("Density", controls.density - 1))
        if controls.polyphony is not None:
            head.append(word("Polyphony", controls.polyphony - 1))
        if controls.low is not None and controls.high is not None:
            head += [word("LOW"), word("Pitch", controls.low), word("HIGH"), word("Pitch", controls.high)]
        return head + [word("Instrument", program) for program in grid.programs or (0,)]

    @staticmethod
    def _chords(
        types: npt.NDArray[np.int16], values: npt.NDArray[np.int16], bars: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        kind = VOCABULARY.type_index
        rows = []
        for i in np.flatnonzero(types == kind["Chord"]):
            position = int(values[i - 1]) if types[i - 1] == kind["Position"] else 0
            followed = i + 1 < len(types) and types[i + 1] == kind["Bass"]
            rows.append((int(bars[i]), position, int(values[i]), int(values[i + 1]) if followed else -1))
        return np.array(sorted(rows), np.int64).reshape(-1, 4)


class _Writer:
    """Lays the tokens of a grid's bars out: every token gets a sort key of (place of the bar, stage, item, order)."""

    def __init__(self, grid: Grid, total: int, masked: range) -> None:
        n_bars = len(grid.metres)
        if masked and not 0 <= masked.start < masked.stop <= n_bars:
            raise RequestError(f"bars {masked.start + 1} to {masked.stop} are not all in a piece of {n_bars} bars")
        self.grid = grid
        self.left = np.minimum(total - 1 - np.arange(n_bars), MAX_BARS_LEFT)
        self.is_masked = np.zeros(n_bars, np.bool_)
        self.is_masked[masked.start : masked.stop] = True
        self.place = np.where(self.is_masked, n_bars + 1 + np.arange(n_bars) - masked.start, np.arange(n_bars))
        self.keys: list[npt.NDArray[np.int64]] = []
        self.ids: list[npt.NDArray[np.int64]] = []

    def tokens(self) -> Ids:
        self._frames()
        self._chords()
        if len(self.grid.notes):
            self._notes()
        order = np.argsort(np.concatenate(self.keys), kind="stable")
        return np.concatenate(self.ids)[order].astype(np.int32)

    def _put(self, place: object, stage: int, item: object, order: int, ids: object) -> None:
        key = (np.asarray(place, np.int64) << 42) | (stage << 40) | (np.asarray(item, np.int64) << 4) | order
        self.keys.append(np.atleast_1d(key))
        self.ids.append(np.broadcast_to(np.asarray(ids, np.int64), self.keys[-1].shape))

    def _frames(self) -> None:
        grid, bars = self.grid, np.arange(len(self.grid.metres))
        bar_ids = VOCABULARY.blocks["Bar"].start + self.left
        self._put(bars, 0, 0, 0, bar_ids)
        for order, (name, values) in enumerate((("Metre", grid.metres), ("Tempo", grid.tempi), ("Key", grid.keys)), 1):
            changed = np.flatnonzero(np.diff(values, prepend=values[:1]) != 0)
            self._put(changed, 0, 0, order, VOCABULARY.blocks[name].start + values[changed])
        masked = np.flatnonzero(self.is_masked)
        if len(masked):
            self._put(masked, 3, 0, 0, VOCABULARY.id("MASK"))
            self._put(len(bars), 0, 0, 0, VOCABULARY.id("FILL"))
            self._put(self.place[masked], 0, 0, 0, bar_ids[masked])

    def _chords(self) -> None:
        for item, (bar, position, chord, bass) in enumerate(self.grid.chords.tolist()):
            place = self.place[bar]
            if position:
                self._put(place, 1, item, 0, VOCABULARY.id("Position", position))
            self._put(place, 1, item, 1, VOCABULARY.id("Chord", chord))
            if bass >= 0:
                self._put(place, 1, item, 2, VOCABULARY.id("Bass", bass))

    def _notes(self) -> None:
        grid = self.grid
        starts = grid.starts
        place = self.place[grid.notes["bar"]]
        order = np.lexsort((grid.notes["pitch"], grid.notes["onset"], grid.notes["track"], place))
        notes, place = grid.notes[order], place[order]
        track, onset, item = notes["track"], notes["onset"], np.arange(len(notes))
        new_bar = np.diff(place, prepend=-1) != 0
        new_track = np.where(new_bar, track != 0, np.diff(track, prepend=0) != 0)
        added = ~new_bar & ~new_track & (np.diff(onset, prepend=-1) == 0)
        before = _previous_of_track(track)
        first = before < 0
        velocity = np.where(first, DEFAULT_VELOCITY, notes["velocity"][before])
        duration = np.where(first, DEFAULT_DURATION, notes["duration"][before])
        cursor = np.maximum(starts[notes["bar"]], self._cursors(notes, added, before))
        said = {
            "Track": (new_track, track),
            "Position": (~added & (onset != cursor), onset - starts[notes["bar"]]),
            "Velocity": (notes["velocity"] != velocity, notes["velocity"]),
            "Duration": (notes["duration"] != duration, notes["duration"]),
        }
        for stage, (name, (where, values)) in enumerate(said.items()):
            self._put(place[where], 2, item[where], stage, VOCABULARY.blocks[name].start + values[where])
        drums = np.array([program == DRUM_PROGRAM for program in grid.programs])[track]
        names = np.array([[VOCABULARY.blocks[n].start for n in row] for row in (("Pitch", "Add"), ("Drum", "DrumAdd"))])
        self._put(place, 2, item, 4, names[drums.astype(int), added.astype(int)] + notes["pitch"])

    def _cursors(
        self, notes: npt.NDArray[np.void], added: npt.NDArray[np.bool_], before: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """(notes,) where the track's onset before each note left the cursor; 0 at the start of a track or span."""
        group = np.cumsum(~added) - 1
        ends = np.minimum.reduceat(notes["onset"] + _STEPS[notes["duration"]], np.flatnonzero(~added))
        crossed = self.is_masked[notes["bar"]] & ~self.is_masked[notes["bar"][before]]
        return np.where((before < 0) | crossed, 0, ends[group[before]])


def _previous_of_track(track: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """(n,) the index of the last note of the same track, -1 for the first."""
    order = np.argsort(track, kind="stable")
    before = np.full(len(track), -1, np.int64)
    same = track[order][1:] == track[order][:-1]
    before[order[1:][same]] = order[:-1][same]
    return before


assert STEPS_PER_QUARTER == 24  # grid.TICKS_PER_STEP makes 480 ticks a quarter of it
