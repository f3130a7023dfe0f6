"""A track as a staff: the bars of its voices with everything that a page shows of a note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from musegen.score.model import KeySignature, Score, Track
from musegen.score.notation.beams import beams_of
from musegen.score.notation.clefs import Clef, clef_of
from musegen.score.notation.grid import Bar, Timeline, timeline
from musegen.score.notation.metre import Metre, metre
from musegen.score.notation.rhythm import Tuplet, Unspellable, Value, spell_bar
from musegen.score.notation.spelling import Name, key_alterations, spell
from musegen.score.notation.voices import Chord, voices_of
from musegen.score.timing import in_force


@dataclass(frozen=True)
class Head:
    """One note of a chord; `name` is None for drums. `tied_from` the note before, `tied_to` the next.

    `accidental` is what is printed before it, in semitones, None for nothing.
    """

    pitch: int
    velocity: int
    name: Name | None
    tied_from: bool
    tied_to: bool
    accidental: int | None = None


@dataclass(frozen=True)
class Element:
    """A note, chord, rest or gap of a voice.

    Attributes:
        start: in units from the beginning of the bar.
        length: in units; 0 for a grace note.
        value: as written; None for a rest that fills the bar and for a gap.
        heads: its notes, from below; none for a rest.
        tuplet: the tuplet it is in, `tuplet_begins` and `tuplet_ends` where it is the first or the last there.
        beams: the state of each beam, the main one first.
        gap: True where nothing is printed (voices but the first).
    """

    start: int
    length: int
    value: Value | None
    heads: tuple[Head, ...] = ()
    tuplet: Tuplet | None = None
    tuplet_begins: bool = False
    tuplet_ends: bool = False
    beams: tuple[str, ...] = ()
    gap: bool = False


@dataclass(frozen=True)
class Staff:
    """One track: its clef and, for each bar, its voices of elements (one voice at least)."""

    clef: Clef
    bars: tuple[tuple[tuple[Element, ...], ...], ...]


@dataclass(frozen=True)
class Sheet:
    """A whole piece: the bars with the units a quarter, and a staff for each track."""

    timeline: Timeline
    staves: tuple[Staff, ...]


def sheet(score: Score) -> Sheet:
    """The Score as sheet music; `timeline.rounded` says how many notes were moved to be written.

    Raises:
        FileFormatError: if there are too many bars.
    """
    names = spell(score)
    coarse: set[tuple[int, int]] = set()  # (track, bar) in which times have to be rounded
    while True:
        lines = timeline(score, coarse)
        keys = _Keys(score, lines)
        engravers = [
            _Engraver(track, lines, names[i], keys, lines.starts[i].tolist(), lines.stops[i].tolist())
            for i, track in enumerate(score.tracks)
        ]
        staves = tuple(engraver.staff() for engraver in engravers)
        found = {(i, bar) for i, engraver in enumerate(engravers) for bar in engraver.unspellable} - coarse
        if not found:
            return Sheet(lines, staves)
        coarse |= found


class _Keys:
    """The keys in force, by bar and place."""

    def __init__(self, score: Score, lines: Timeline) -> None:
        self._changes: dict[int, list[tuple[int, dict[str, int]]]] = {}
        self._at_start: list[dict[str, int]] = []
        for key in score.key_signatures:
            index, place = lines.place(score, key.time)
            self._changes.setdefault(index, []).append((place, key_alterations(key.fifths)))
        for bar in lines.bars:
            before: KeySignature | None = in_force(score.key_signatures, bar.first_tick)
            self._at_start.append(key_alterations(before.fifths if before is not None else 0))

    def of_bar(self, index: int) -> list[tuple[int, dict[str, int]]]:
        """(place, alterations) of each key of a bar, in order, the first at 0."""
        later = [change for change in self._changes.get(index, ()) if change[0] > 0]
        return [(0, self._at_start[index]), *later]


class _Engraver:
    """Makes the staff of one track."""

    def __init__(
        self, track: Track, lines: Timeline, names: Sequence[Name], keys: _Keys, starts: list[int], stops: list[int]
    ) -> None:
        self._track, self._lines, self._names, self._keys = track, lines, names, keys
        self._starts, self._stops = starts, stops
        self._pitches: list[int] = track.notes["pitch"].tolist()
        self._velocities: list[int] = track.notes["velocity"].tolist()
        self.unspellable: list[int] = []
        """The bars that could not be written."""

    def staff(self) -> Staff:
        """The staff, bar by bar."""
        voices = voices_of(self._starts, self._stops, self._pitches)
        parted = [self._by_bar(voice) for voice in voices]
        graces = self._graces()
        bars = []
        for index, bar in enumerate(self._lines.bars):
            chords = [voice[index] for voice in parted]
            try:
                bars.append(self._bar(bar, index, chords, graces.get(index, [])))
            except Unspellable:
                self.unspellable.append(index)
        return Staff(clef_of(self._track), tuple(bars))

    def _by_bar(self, voice: Sequence[Chord]) -> list[list[Chord]]:
        """The chords of each bar, those that hold over a bar line cut there."""
        bars: list[list[Chord]] = [[] for _ in self._lines.bars]
        index = 0
        for chord in voice:
            while self._lines.bars[index].stop <= chord.start:
                index += 1
            at, last = chord.start, index
            while at < chord.stop:
                stop = min(chord.stop, self._lines.bars[last].stop)
                bars[last].append(Chord(at, stop, chord.notes))
                at, last = stop, last + 1
        return bars

    def _graces(self) -> dict[int, list[tuple[int, int]]]:
        """(place, note) of the notes without length, by bar."""
        found: dict[int, list[tuple[int, int]]] = {}
        first = [bar.start for bar in self._lines.bars]
        for note, (start, stop) in enumerate(zip(self._starts, self._stops, strict=True)):
            if start == stop:
                bar = int(np.searchsorted(first, start, side="right")) - 1
                found.setdefault(bar, []).append((start - first[bar], note))
        return found

    def _bar(
        self, bar: Bar, index: int, chords: Sequence[Sequence[Chord]], graces: Sequence[tuple[int, int]]
    ) -> tuple[tuple[Element, ...], ...]:
        division = metre(bar.signature.numerator, bar.signature.denominator, self._lines.quarter)
        voices = [
            self._voice(bar, division, voice, first=number == 0)
            for number, voice in enumerate(chords)
            if voice or number == 0
        ]
        if graces:
            self._insert_graces(voices, graces)
        return _with_accidentals(voices, self._keys.of_bar(index)) if self._names else tuple(map(tuple, voices))

    def _voice(self, bar: Bar, division: Metre, chords: Sequence[Chord], *, first: bool) -> list[Element]:
        full = bar.length == division.tree.length
        if not chords and (full or not first):
            return [Element(0, bar.length, None)]
        shift = bar.offset - bar.start
        events = [(chord.start + shift, chord.stop + shift) for chord in chords]
        pieces, _ = spell_bar(division, self._lines.quarter, events, bar.offset, bar.offset + bar.length)
        beams = beams_of(pieces, division)
        elements: list[Element] = []
        for number, piece in enumerate(pieces):
            before = pieces[number - 1].tuplet if number else None
            after = pieces[number + 1].tuplet if number + 1 < len(pieces) else None
            own = piece.tuplet
            start, length = piece.start - bar.offset, piece.stop - piece.start
            if piece.event is None and own is None and not first:
                if elements and elements[-1].gap:
                    start, length = elements[-1].start, elements.pop().length + length
                elements.append(Element(start, length, None, gap=True))
                continue
            heads = () if piece.event is None else self._heads(chords[piece.event], bar.start + start, length)
            elements.append(
                Element(
                    start, length, piece.value, heads, own, own is not None and own != before,
                    own is not None and own != after, beams[number],
                )
            )  # fmt: skip
        return elements

    def _heads(self, chord: Chord, start: int, length: int) -> tuple[Head, ...]:
        notes = sorted(chord.notes, key=lambda note: self._pitches[note])
        return tuple(
            self._head(note, tied_from=self._starts[note] < start, tied_to=self._stops[note] > start + length)
            for note in notes
        )

    def _head(self, note: int, *, tied_from: bool = False, tied_to: bool = False) -> Head:
        name = self._names[note] if self._names else None
        return Head(self._pitches[note], self._velocities[note], name, tied_from, tied_to)

    def _insert_graces(self, voices: list[list[Element]], graces: Sequence[tuple[int, int]]) -> None:
        """Put each grace note before what begins where it stands, into a new voice if nothing does."""
        for place, note in graces:
            element = Element(place, 0, Value(-3, 0), (self._head(note),))
            for voice in voices:
                at = next((i for i, other in enumerate(voice) if other.start == place and other.length), None)
                if at is None and voice[-1].start + voice[-1].length == place:
                    at = len(voice)
                if at is not None:
                    voice.insert(at, element)
                    break
            else:
                before = [Element(0, place, None, gap=True)] if place else []
                voices.append([*before, element])


def _with_accidentals(
    voices: Sequence[Sequence[Element]], keys: Sequence[tuple[int, dict[str, int]]]
) -> tuple[tuple[Element, ...], ...]:
    """The voices with an accidental wherever a note differs from what key and bar say by then."""
    said: dict[tuple[str, int], int] = {}
    result = [list(voice) for voice in voices]
    order = [(e.start, e.length > 0, v, i) for v, voice in enumerate(voices) for i, e in enumerate(voice) if e.heads]
    pending = list(keys)
    alterations = pending.pop(0)[1]
    for start, _, voice, index in sorted(order):
        while pending and pending[0][0] <= start:
            alterations = pending.pop(0)[1]
            said.clear()
        heads = []
        for head in result[voice][index].heads:
            assert head.name is not None, "only drums have no names"
            place = head.name.step, head.name.octave
            held = head.tied_from and place not in said  # tied over the bar line
            if head.name.alter != said.get(place, alterations.get(head.name.step, 0)) and not held:
                said[place] = head.name.alter
                heads.append(replace(head, accidental=head.name.alter))
            else:
                heads.append(head)
        result[voice][index] = replace(result[voice][index], heads=tuple(heads))
    return tuple(tuple(voice) for voice in result)
