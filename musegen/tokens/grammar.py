"""The grammar: the token table as a state machine.

    piece := BOS head bar+ EOS                       head := Style? Key? Metre Tempo? Bars? Density? Polyphony?
    bar   := Bar Metre? Tempo? Key? (MASK | harmony* part*)       (LOW Pitch HIGH Pitch)? Instrument+
    harmony := Position? Chord Bass?                 part := Track? note+ | Track MASK
    note  := Position? Velocity? Duration? (Pitch | Drum)   |   Velocity? Duration? (Add | DrumAdd)

and after the last bar, where bars or tracks of bars were masked, `FILL (Bar part*)+` writes just those. A bar whose
chords are given is masked track by track. Nothing is said that has not changed: a bar begins in track 0; each track
keeps its velocity and duration until they are said again; and a note stands at the *cursor* unless a Position is
said. The cursor is where the shortest note of the track's last onset ends, so that a melody or a line of chords needs
no Position at all; Add puts a note on that same onset.

`Grammar.allowed` holds only ids after which the piece can still be ended, whatever is chosen later: bars as many as
asked for, positions inside the metre, every onset after the one before, no note twice or on top of itself, no note
across the end (or across the end of a span to fill), and a note that sounds in the last bar. Musical rules that
hold for whole pieces (which pitches, how many at once) are `Constraints` of the same machine, since only then can no
choice lead into a dead end.

A mask is made row by row, by slices of the table's blocks on a few integers: for up to sixteen rows that costs less
than the same machine written over whole batches (docs/decisions.md).
"""

from __future__ import annotations

import numpy as np

from musegen.tokens.part import Part
from musegen.tokens.state import (
    FRAME,
    HARMONY,
    HEAD,
    MASKED,
    METRE_STEPS,
    MODIFIERS,
    NOTES,
    BoolRow,
    Constraints,
    State,
)
from musegen.tokens.vocabulary import DURATIONS, MAX_BARS_LEFT, MAX_TRACKS, VOCABULARY

_B = VOCABULARY.blocks
_AFTER_POSITION, _AFTER_VELOCITY, _AFTER_DURATION = (MODIFIERS.index(name) + 1 for name in MODIFIERS)
_FITTING = np.arange(DURATIONS[-1] + 1)[:, None] >= np.array(DURATIONS)
"""(steps, durations): whether each duration fits into so many steps."""
_TRACK, _POSITION, _VELOCITY, _DURATION = (_B[name] for name in ("Track", "Position", "Velocity", "Duration"))


class Grammar:
    """The rules under some constraints: `start` makes a state, which `allowed` then judges."""

    def __init__(self, constraints: Constraints | None = None) -> None:
        self.constraints = constraints or Constraints()

    def start(self) -> GrammarState:
        """The state before the first token."""
        return GrammarState(self.constraints)


class GrammarState(State):
    """A State that says what may follow."""

    def allowed(self) -> BoolRow:
        """(V,) of bool: the ids that may follow. Never all False until `done`."""
        mask = np.zeros(VOCABULARY.size, np.bool_)
        if self.done:
            return mask
        if self.bar < 0:
            self._allow_head(mask)
            return mask
        if self.frame != MASKED and self.filled != 0:
            if not self.track_closed:
                self._allow_notes(mask, self.parts[self.track])
            if self.frame < NOTES:
                self._allow_frame(mask)
                self._allow_harmony(mask)
            self._allow_tracks(mask)
        if not (self.modifier or self.track_open) and not (self._note_owed() and mask[_TRACK.start :].any()):
            self._allow_end(mask)
        return mask

    def _note_owed(self) -> bool:
        """Whether this is the last bar and nothing sounds in it yet."""
        if self.left or self.filled >= 0 or self.note_in_bar or (self.masked and self.masked[-1].bar == self.bar):
            return False
        return all(part.sounds_until <= self.bar_start for part in self.parts)

    def _allow_head(self, mask: BoolRow) -> None:
        if self.head < -1:
            mask[_B["BOS"].start] = True
        elif self.range_due == "HIGH":
            mask[_B["HIGH"].start] = True
        elif self.range_due:
            mask[_B["Pitch"].start + (self.low if self.range_due == "Pitch above" else 0) : _B["Pitch"].stop] = True
        else:
            self._allow_controls(mask)

    def _allow_controls(self, mask: BoolRow) -> None:
        stop = len(HEAD) if self.metre >= 0 else HEAD.index("Metre") + 1
        for name in HEAD[self.head + 1 : stop]:
            mask[_B[name].slice] = True
        bars = self.constraints.bars
        left = None if bars is None else min(bars - 1, MAX_BARS_LEFT)
        if left is not None and self.head < HEAD.index("Bars"):
            mask[_B["Bars"].slice] = False
            mask[_B["Bars"].start + left] = self.metre >= 0
        if self.metre >= 0:
            drums = any(part.drums for part in self.parts)
            mask[_B["Instrument"].slice] = len(self.parts) - drums < MAX_TRACKS - 1
            mask[_B["Instrument"].stop - 1] = not drums
        if self.parts:
            mask[_B["Bar"].start : _B["Bar"].stop - 1] = left is None
            if left is not None:
                mask[_B["Bar"].start + left] = True

    def _allow_frame(self, mask: BoolRow) -> None:
        if self.frame > len(FRAME) or self.position >= 0 or self.filled >= 0:
            return
        mask[_B["MASK"].start] = self.constraints.masks
        if not self.constraints.changes:
            return
        if self.frame == 0 and self.bar > 0:
            sounding_to = max(part.sounds_until for part in self.parts)
            mask[_B["Metre"].slice] = self.bar_start + (self.left + 1) * METRE_STEPS >= sounding_to
            mask[_B["Metre"].start + self.metre] = False
        for name, now in (("Tempo", self.tempo), ("Key", self.key)):
            if self.frame <= FRAME.index(name) and self.bar > 0:
                mask[_B[name].slice] = True
                if now >= 0:
                    mask[_B[name].start + now] = False

    def _allow_harmony(self, mask: BoolRow) -> None:
        if not self.constraints.chords or self.frame > HARMONY or self.filled >= 0:
            return
        mask[_B["Bass"].slice] = self.bass_open and self.position < 0
        if max(self.position, 0) > self.chord_position:
            mask[_B["Chord"].slice] = True
        if self.position < 0:
            mask[_B["Position"].start + max(self.chord_position + 1, 1) : _B["Position"].start + self.bar_length] = True

    def _allow_notes(self, mask: BoolRow, part: Part) -> None:
        """Allow the next note of this track, whole or by its next modifier."""
        cursor, steps = self.cursor, DURATIONS[part.duration]
        room = room_added = 0
        if cursor < self.bar_length:
            pitches = self._led(part.free(self.bar_start + cursor), self.bar_start + cursor)
            room = self._room(part, self.bar_start + cursor) if np.count_nonzero(pitches) else 0
            if steps <= room:
                mask[_B["Drum" if part.drums else "Pitch"].slice] = pitches
        if self.onset >= 0 and self.position < 0 and self.onset_pitch < 127:
            above = part.free(self.onset)[self.onset_pitch + 1 :]
            room_added = self._room(part, self.onset) if np.count_nonzero(above) else 0
            if steps <= room_added:
                added = _B["DrumAdd" if part.drums else "Add"]
                mask[added.start + self.onset_pitch + 1 : added.stop] = above
        longest = max(room, room_added)
        if longest and self.modifier < _AFTER_DURATION:
            mask[_DURATION.slice] = _FITTING[min(longest, DURATIONS[-1])]
            mask[_DURATION.start + part.duration] = False
            if self.modifier < _AFTER_VELOCITY:
                mask[_VELOCITY.slice] = True
                mask[_VELOCITY.start + part.velocity] = False
        if self.modifier < _AFTER_POSITION:
            self._allow_positions(mask, part, cursor)

    def _led(self, pitches: BoolRow, onset: int) -> BoolRow:
        """Those of the pitches with which this track moves in no parallels, where any is left."""
        if self.lines is None:
            return pitches
        led = pitches & ~self.lines.forbidden(self.track, onset)
        return led if np.count_nonzero(led) else pitches

    def _room(self, part: Part, onset: int) -> int:
        """How many steps a note of `part` may last from `onset` on; 0 where none may begin."""
        room = (self.end if self.filled < 0 else part.end) - onset
        crowded = self._crowded(part, onset, onset + DURATIONS[-1]) if room > 0 else None
        if crowded is not None and crowded.any():
            room = min(room, int(crowded.argmax()))
        return max(0, room)

    def _crowded(self, part: Part, first: int, stop: int) -> BoolRow | None:
        """(steps,) of bool: where as many notes sound as may, from step `first` to `stop`; None without a limit."""
        if self.sounding is None or self.constraints.polyphony is None or part.drums:
            return None
        return self.sounding[first:stop] >= self.constraints.polyphony

    def _allow_positions(self, mask: BoolRow, part: Part, cursor: int) -> None:
        row = mask[_POSITION.start : _POSITION.start + self.bar_length]
        row[max(self.onset + 1, part.first_free(), self.bar_start) - self.bar_start :] = True
        crowded = self._crowded(part, self.bar_start, self.bar_start + self.bar_length)
        if crowded is not None:
            row &= ~crowded
        if cursor < self.bar_length:
            row[cursor] = False

    def _may_begin(self, part: Part) -> bool:
        """Whether a note of another track has a position in this bar."""
        first = max(part.first_free(), self.bar_start)
        crowded = self._crowded(part, first, self.bar_start + self.bar_length)
        return first < self.bar_start + self.bar_length and (crowded is None or not crowded.all())

    def _allow_tracks(self, mask: BoolRow) -> None:
        if self.track_open:
            mask[_B["MASK"].start] = self._may_mask and not self.modifier
            return
        if self.modifier:
            return
        for k in range(self.track + 1, len(self.parts)):
            mask[_TRACK.start + k] = self.fills(k) and (self._may_mask or self._may_begin(self.parts[k]))
        if self.frame < NOTES:
            mask[_TRACK.start] = self._may_mask

    @property
    def _may_mask(self) -> bool:
        return self.constraints.masks and self.filled < 0

    def _allow_end(self, mask: BoolRow) -> None:
        """Allow what ends a bar: the next bar, the fill, or the end of the piece."""
        if self.filled < 0 and self.left > 0:
            mask[_B["Bar"].start + min(self.left - 1, MAX_BARS_LEFT)] = True
        elif self.filled < 0 and self.masked:
            mask[_B["FILL"].start] = True
        elif 0 <= self.filled < len(self.masked):
            left = self.left + self.bar - self.masked[self.filled].bar
            mask[_B["Bar"].start + min(left, MAX_BARS_LEFT)] = True
        else:
            mask[_B["EOS"].start] = True
