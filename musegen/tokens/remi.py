"""REMI-like events for several tracks: bars and positions (Huang and Yang 2020), track by track within a bar.

What is spared against REMI, which says bar, position, pitch, velocity and duration (about five tokens a note):
velocity and duration are said when they change; a position is said when the note does not begin where the last one
of its track ended; and a track is said when it is not the first. A melody takes about 1.4 tokens a note.
grammar.py states the language; this file writes and reads it, in NumPy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.score.model import Score
from musegen.tokens.controls import Controls
from musegen.tokens.grammar import Grammar
from musegen.tokens.grid import GRID_NOTE, Grid, in_order, to_grid, to_score
from musegen.tokens.reading import Frame, IntArray, Types, read_body, read_frame
from musegen.tokens.state import ATTRIBUTES, Constraints
from musegen.tokens.trace import bar_offsets, trace
from musegen.tokens.vocabulary import KEYS, MAX_BARS_LEFT, STEPS_PER_QUARTER, STYLES, VOCABULARY
from musegen.tokens.writer import Cells, Ids, Writer

_SAME_KEY_BY_FIFTHS = 7  # a semitone up is seven fifths up


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
        masked: Cells | None = None,
        ends: bool = True,
    ) -> Ids:
        """Write a score as (T,) ids.

        Args:
            score: what to write; rounded to the grid as `quantize` does.
            controls: what the head says.
            bars: how many bars the piece will have in the end, where `score` is only its beginning.
            written: how many bars of `score` are written, empty ones at the end included; those with notes if None.
            masked: (tracks with notes, bars) of bool, what to take out and write at the end.
            ends: whether EOS is written; False for a prompt.

        Raises:
            RequestError: for what the grid cannot hold, or bars out of range.
        """
        return self.encode_grid(to_grid(score, written), controls, bars=bars, masked=masked, ends=ends)

    def encode_grid(
        self,
        grid: Grid,
        controls: Controls | None = None,
        *,
        bars: int | None = None,
        masked: Cells | None = None,
        ends: bool = True,
    ) -> Ids:
        """Write what lies on the grid already, as `encode` does; `masked` is (tracks, bars) of bool."""
        total = len(grid.metres) if bars is None else bars
        if total < len(grid.metres):
            raise RequestError(f"{bars} bars cannot hold a beginning of {len(grid.metres)} bars")
        tokens = Writer(grid, total, masked).tokens()
        head = self._head(grid, total, controls or Controls())
        return np.concatenate([head, tokens, [VOCABULARY.id("EOS")] if ends else []]).astype(np.int32)

    def decode(self, ids: npt.NDArray[np.integer]) -> Score:
        """Read (T,) ids; the inverse of `encode` on what lies on the grid. Raises RequestError for no piece."""
        return to_score(self.grid(ids))

    def grid(self, ids: npt.NDArray[np.integer]) -> Grid:
        """Read (T,) ids; the inverse of `encode_grid`. Raises RequestError for no piece."""
        types, values = VOCABULARY.types.take(ids), VOCABULARY.values.take(ids)
        frame = read_frame(types, values)
        body = read_body(types, values, frame)
        notes = np.empty(len(body.notes), GRID_NOTE)
        notes["onset"] = body.onsets
        of_tokens = ("track", body.tracks), ("bar", body.bars), ("pitch", body.values)
        for name, column in (*of_tokens, ("duration", body.durations), ("velocity", body.velocities)):
            notes[name] = column.take(body.notes)
        chords = self._chords(types, values, frame)
        return Grid(frame.programs, frame.metres, frame.tempi, frame.keys, in_order(notes), chords)

    def quantize(self, score: Score) -> Score:
        """What is left of a score on the grid; decoding what was encoded gives just this."""
        return to_score(to_grid(score))

    def attributes(self, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.int16]:
        """(T, A + 2) the ATTRIBUTES, then the PLACES, after each token."""
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
    def _chords(types: Types, values: Types, frame: Frame) -> IntArray:
        """(n, 4) as in Grid."""
        at = (types == VOCABULARY.type_index["Chord"]).nonzero()[0]
        if not len(at):
            return np.zeros((0, 4), np.int64)
        at_position = types[at - 1] == VOCABULARY.type_index["Position"]
        over_bass = np.append(types, 0)[at + 1] == VOCABULARY.type_index["Bass"]
        positions = np.where(at_position, values[at - 1], 0)
        basses = np.where(over_bass, np.append(values, 0)[at + 1], -1)
        rows = np.stack((frame.bars(at), positions, values[at], basses), axis=1).astype(np.int64)
        return rows[np.lexsort(rows.T[::-1])]


assert STEPS_PER_QUARTER == 24  # grid.TICKS_PER_STEP makes 480 ticks a quarter of it
