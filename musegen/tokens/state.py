"""Where a piece stands after some of its tokens: the memory of the state machine that grammar.py asks.

`State.advance` takes one token and `State.attributes` says what the model is told about the place beside the id.
It is plain Python on a few integers: what follows a token depends on everything before it, and a piece is
generated one token at a time. `trace` computes the same for a whole piece at once; a test holds them together.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from musegen.tokens.heard import NO_PITCH, SILENCE, Heard
from musegen.tokens.lines import Lines
from musegen.tokens.part import DEFAULT_DURATION, DEFAULT_VELOCITY, Part
from musegen.tokens.vocabulary import (
    DRUM_PROGRAM,
    DURATIONS,
    MAX_BAR_STEPS,
    MAX_TRACKS,
    METRES,
    STEPS_PER_QUARTER,
    VELOCITY_CLASS,
    VOCABULARY,
)

BoolRow = npt.NDArray[np.bool_]

NO_TRACK = MAX_TRACKS
NO_PROGRAM = DRUM_PROGRAM + 1
NO_CHORD_SAID = VOCABULARY.blocks["Chord"].size

ATTRIBUTES: tuple[tuple[str, int], ...] = (
    ("position", MAX_BAR_STEPS + 1),
    ("steps left in the bar", MAX_BAR_STEPS + 1),
    ("duration", len(DURATIONS)),
    ("velocity", 128 // VELOCITY_CLASS),
    ("track", MAX_TRACKS + 1),
    ("program", DRUM_PROGRAM + 2),
    ("last pitch of the track", NO_PITCH + 1),
    ("chord", NO_CHORD_SAID + 1),
    ("lowest pitch sounding", NO_PITCH + 1),
    *((f"pitch class {pc} sounds", 2) for pc in range(12)),
)
"""What a token's embedding is told beside its id, (name, how many values): where the cursor stands after the token,
what the current track has as its own, the chord in force at the cursor, and what sounds there of the notes written so
far, whichever track's. All of it follows from the ids so far; saying it spares the model from counting durations."""

PLACES = ("bar", "onset")
"""Two columns behind those of ATTRIBUTES, which say when a token's event begins, for positions in musical time: the
bar's number in the piece (0 in the head), and within the bar, in steps, the onset of a note, else the cursor."""

IN_HEAD = (0, 0, DEFAULT_DURATION, DEFAULT_VELOCITY, NO_TRACK, NO_PROGRAM, NO_PITCH, NO_CHORD_SAID, *SILENCE, 0, 0)
"""The attributes and places of every token before the first Bar."""

HEAD = ("Style", "Key", "Metre", "Tempo", "Bars", "Density", "Polyphony", "LOW", "Instrument")
FRAME = ("Metre", "Tempo", "Key")
HARMONY, NOTES, MASKED = 4, 5, 6
MODIFIERS = ("Position", "Velocity", "Duration")
_KINDS = tuple(name for name, block in VOCABULARY.blocks.items() for _ in range(block.size))
_VALUES: list[int] = VOCABULARY.values.tolist()


def metre_steps(metre: int) -> int:
    """Length in steps of a bar of the metre with this index."""
    numerator, denominator = METRES[metre]
    return numerator * 4 * STEPS_PER_QUARTER // denominator


METRE_STEPS = np.array([metre_steps(metre) for metre in range(len(METRES))])
"""(metres,) the same of all."""


@dataclass(frozen=True)
class Constraints:
    """What every piece out of a grammar keeps to, beyond the grammar itself.

    Attributes:
        bars: exactly so many; None lets the first Bar token choose (up to 64).
        pitches: (128,) or (16, 128) of bool, which pitches may be written (in each track); percussion is free.
        polyphony: how many pitched notes may sound at once at most.
        changes: whether metre, tempo and key may change within the piece.
        chords: whether Chord tokens may be written.
        parallels: whether two voices may move in parallel fifths or octaves. Not to is kept wherever a pitch is left.
        masks: whether bars, or tracks of a bar, may be masked and filled at the end.
    """

    bars: int | None = None
    pitches: BoolRow | None = None
    polyphony: int | None = None
    changes: bool = False
    chords: bool = False
    parallels: bool = True
    masks: bool = False


@dataclass(frozen=True)
class _Masked:
    """A bar with masked tracks, and for each track whose span begins here, when its pitches fall silent."""

    bar: int
    start: int
    metre: int
    tracks: set[int] = field(default_factory=set)
    silent_from: dict[int, npt.NDArray[np.int32]] = field(default_factory=dict)

    def copy(self) -> _Masked:
        """An independent one."""
        silent_from = {track: steps.copy() for track, steps in self.silent_from.items()}
        return replace(self, tracks=set(self.tracks), silent_from=silent_from)

    @property
    def end(self) -> int:
        """The bar line after it, in steps of the piece."""
        return self.start + metre_steps(self.metre)


class State:
    """Where a piece stands after the tokens so far. `advance` takes any id; `allowed` says which keep it valid."""

    def __init__(self, constraints: Constraints) -> None:
        self.constraints = constraints
        self.done = False
        self.n_notes = 0
        self.bar = -1  # of the piece, counted from 0
        self.left = 0  # bars after this one
        self.bar_start = 0
        self.bar_length = 0
        self.parts: list[Part] = []
        self.head = -2  # the last control said, an index into HEAD; -1 after BOS
        self.range_due = ""  # what LOW and HIGH still want: "Pitch", "HIGH", "Pitch above"
        self.low = 0
        self.metre = self.tempo = self.key = -1
        self.frame = 0  # how much of a bar's frame is behind: an index into FRAME plus 1, HARMONY, NOTES or MASKED
        self.chord_position = -1
        self.bass_open = False
        self.chords: list[tuple[int, int]] = []  # (step, Chord value) said so far, in order
        self.track = 0
        self.track_closed = False  # the track is masked in this bar, or is none to fill
        self.track_open = False  # Track was said, its note is owed
        self.modifier = 0  # the last of MODIFIERS said for the note to come, counted from 1
        self.position = -1  # the Position said, in the bar
        self.onset = -1  # the current onset in steps of the piece, -1 none yet in this bar and track
        self.onset_pitch = -1
        self.note_in_bar = False
        self.at_note = False  # the last token was a note
        self.end = 0  # no note may sound past this step
        self.sounding: npt.NDArray[np.int16] | None = None  # pitched notes at each step, where polyphony is limited
        self.heard = Heard()
        self.lines = None if constraints.parallels else Lines()
        self.masked: list[_Masked] = []
        self.filled = -1  # how many of them are begun; -1 before FILL

    def copy(self) -> Self:
        """An independent state at the same place."""
        twin = copy.copy(self)
        twin.parts = [part.copy() for part in self.parts]
        twin.chords = list(self.chords)
        twin.sounding = None if self.sounding is None else self.sounding.copy()
        twin.heard = self.heard.copy()
        twin.lines = None if self.lines is None else self.lines.copy()
        twin.masked = [masked.copy() for masked in self.masked]
        return twin

    @property
    def cursor(self) -> int:
        """Where a note would stand now, in steps of the bar; the bar's length or more when it would fall behind it."""
        if self.position >= 0:
            return self.position
        return max(0, self.parts[self.track].cursor - self.bar_start)

    @property
    def attributes(self) -> tuple[int, ...]:
        """The values of ATTRIBUTES, then of PLACES, after the last token."""
        if self.bar < 0:
            return IN_HEAD
        part = self.parts[self.track]
        cursor = min(self.cursor, self.bar_length)
        left = self.bar_length - cursor
        onset = self.onset - self.bar_start if self.at_note else cursor
        known = bisect_right(self.chords, (self.bar_start + cursor, NO_CHORD_SAID))
        chord = self.chords[known - 1][1] if known else NO_CHORD_SAID
        own = (part.duration, part.velocity, self.track, part.program, part.last_pitch)
        return (cursor, left, *own, chord, *self.heard.at(self.bar_start + cursor), self.bar, onset)

    def advance(self, token: int) -> None:
        """Take one token. Ids that `allowed` denies are taken as they come (a prompt may hold them)."""
        kind = _KINDS[token]
        value = _VALUES[token]
        is_note = kind in ("Pitch", "Add", "Drum", "DrumAdd")
        self.at_note = is_note and self.bar >= 0
        if is_note:
            self._note(value, added=kind in ("Add", "DrumAdd"))
        elif kind in MODIFIERS:
            self._modify(kind, value)
        elif kind == "Bar":
            self._next_bar(value)
        elif kind == "Track":
            self._open_track(value)
        elif kind in FRAME and self.bar >= 0:
            self.frame = FRAME.index(kind) + 1
            self._set_frame(kind, value)
        elif kind in HEAD or kind == "HIGH":
            self._head_control(kind, value)
        elif kind in ("Chord", "Bass"):
            self._harmony(kind, value)
        elif kind == "MASK":
            self._mask()
        elif kind == "FILL":
            self.filled = 0
        elif kind == "EOS":
            self.done = True
        elif kind == "BOS":
            self.head = -1

    def _harmony(self, kind: str, value: int) -> None:
        self.bass_open = kind == "Chord"
        self.frame = HARMONY
        self.chord_position = max(self.position, self.chord_position, 0)
        if kind == "Chord":
            self.chords.append((self.bar_start + self.chord_position, value))
        self.position, self.modifier = -1, 0

    def _head_control(self, kind: str, value: int) -> None:
        if kind == "HIGH":
            self.range_due = "Pitch above"
            return
        self.head = HEAD.index(kind)
        if kind == "LOW":
            self.range_due = "Pitch"
        elif kind == "Instrument":
            permitted = np.ones(128, np.bool_)
            if value != DRUM_PROGRAM and self.constraints.pitches is not None:
                permitted = np.broadcast_to(self.constraints.pitches, (MAX_TRACKS, 128))[len(self.parts)]
            self.parts.append(Part(value, permitted))
        elif kind in FRAME:
            self._set_frame(kind, value)

    def _set_frame(self, kind: str, value: int) -> None:
        if kind == "Metre":
            self.metre = value
            self.bar_length = metre_steps(value)
            if self.bar >= 0:
                self._set_end(self.bar_start + (self.left + 1) * self.bar_length)
        elif kind == "Tempo":
            self.tempo = value
        else:
            self.key = value

    def _set_end(self, end: int) -> None:
        self.end = end
        if self.constraints.polyphony is not None:
            room = np.zeros(end + MAX_BAR_STEPS, np.int16)
            if self.sounding is not None:
                n = min(len(room), len(self.sounding))
                room[:n] = self.sounding[:n]
            self.sounding = room

    def _next_bar(self, value: int) -> None:
        if self.filled >= 0:
            self._fill_bar()
        else:
            if self.bar < 0:
                bars = self.constraints.bars
                self.left = bars - 1 if bars is not None else value
                self._set_end((self.left + 1) * self.bar_length)
            else:
                self.left -= 1
                self.bar_start += self.bar_length
            self.bar += 1
        self.frame = 0
        self.chord_position = self.position = self.onset = self.onset_pitch = -1
        self.bass_open = self.track_open = self.note_in_bar = False
        self.track = self.modifier = 0
        self.track_closed = not self.fills(0)

    def _mask(self) -> None:
        """Mask the track that was just said in this bar; the whole bar, where none was."""
        if self.track_open:
            tracks = {self.track}
            self.track_open, self.track_closed = False, True
        else:
            tracks = set(range(len(self.parts)))
            self.frame = MASKED
        before = next((m for m in self.masked[-2:] if m.bar == self.bar - 1), None)
        if not (self.masked and self.masked[-1].bar == self.bar):
            self.masked.append(_Masked(self.bar, self.bar_start, self.metre))
        here = self.masked[-1]
        for track in tracks:
            here.tracks.add(track)
            if before is None or track not in before.tracks:
                here.silent_from[track] = self.parts[track].silent_from.copy()

    def _fill_bar(self) -> None:
        """Go back to the next masked bar; where a track's span begins take up what sounded then."""
        here = self.masked[self.filled]
        for track in set(range(len(self.parts))) - here.tracks:
            self.parts[track].cursor = 0
        for track, silent_from in here.silent_from.items():
            end = here.end
            for bar, later in enumerate(self.masked[self.filled :], here.bar):
                if later.bar != bar or track not in later.tracks:
                    break
                end = later.end
            self.parts[track].go_back(silent_from, end)
        self.left += self.bar - here.bar
        self.bar, self.bar_start, self.metre = here.bar, here.start, here.metre
        self.bar_length = metre_steps(here.metre)
        self.filled += 1

    def fills(self, track: int) -> bool:
        """Whether this bar of the track may hold notes: always, but in a fill only where it was masked."""
        return self.filled < 0 or (self.filled > 0 and track in self.masked[self.filled - 1].tracks)

    def _open_track(self, value: int) -> None:
        self.frame = NOTES
        self.track, self.track_open, self.track_closed = value, True, False
        self.modifier, self.position = 0, -1
        self.onset = self.onset_pitch = -1

    def _modify(self, kind: str, value: int) -> None:
        self.modifier = MODIFIERS.index(kind) + 1
        if kind == "Position":
            self.position = value
            return
        self.frame = NOTES
        if kind == "Velocity":
            self.parts[self.track].velocity = value
        else:
            self.parts[self.track].duration = value

    def _note(self, pitch: int, *, added: bool) -> None:
        if self.bar < 0:  # the pitch of LOW or HIGH
            self.low, self.range_due = pitch, "HIGH" if self.range_due == "Pitch" else ""
            return
        part = self.parts[self.track]
        onset = self.onset if added and self.onset >= 0 else self.bar_start + self.cursor
        end = onset + DURATIONS[part.duration]
        part.cursor = min(part.cursor, end) if onset == self.onset else end
        part.hold(pitch, end)
        if not part.drums:
            self.heard.add(onset, end, pitch)
            if self.sounding is not None:
                self.sounding[onset:end] += 1
            if self.lines is not None:
                self.lines.add(self.track, onset, end, pitch)
        self.onset, self.onset_pitch = onset, pitch
        self.modifier, self.position, self.frame = 0, -1, NOTES
        self.track_open, self.note_in_bar = False, True
        self.n_notes += 1
