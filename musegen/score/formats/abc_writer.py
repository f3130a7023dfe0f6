"""Score -> ABC 2.1: one melody as text.

The same Score gives the same bytes. What ABC has no place for is counted and named to `warn`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from musegen.errors import FileFormatError
from musegen.score.formats.options import WriteOptions
from musegen.score.formats.parts import COMPOSER, MADE, n_texts_besides, said
from musegen.score.model import KeySignature, Score, Track
from musegen.score.notation.grid import Bar
from musegen.score.notation.spelling import Name, key_alterations
from musegen.score.notation.staff import Element, Head, Sheet, sheet
from musegen.score.theory import Key

DEFAULT_VELOCITY = 80
BARS_A_LINE = 4
_ACCIDENTALS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
_TEMPO_DECIMALS = 2
_SYLLABLE_SIGNS = frozenset('*_~|\\%"')
"""Signs that mean something in a line of lyrics."""

Warn = Callable[[str], None]


def to_bytes(score: Score, options: WriteOptions | None = None, warn: Warn | None = None) -> bytes:
    """The Score as an ABC file.

    `warn` gets a line for each kind of thing that ABC does not hold, with its count.

    Raises:
        FileFormatError: unless exactly one Track has notes, pitched and one after the other (chords are allowed).
    """
    del options  # none of them is about sheet music
    track = _melody(score)
    page = sheet(score.with_tracks([track]))
    for number, voices in enumerate(page.staves[0].bars, start=1):
        if len(voices) > 1:
            raise FileFormatError(
                f"bar {number} has notes that overlap, and ABC is written for one voice; write MusicXML or MIDI instead"
            )
    writer = _Writer(score, track, page)
    text = writer.text()
    for line in writer.remarks():
        if warn is not None:
            warn(line)
    return text.encode()


def _melody(score: Score) -> Track:
    """The one Track that has notes."""
    sounding = [track for track in score.tracks if len(track.notes)]
    if len(sounding) != 1:
        found = f"{len(sounding)} tracks have" if sounding else "no track has"
        raise FileFormatError(f"{found} notes, and ABC is written for one melody; write MusicXML or MIDI instead")
    if sounding[0].is_drum:
        raise FileFormatError("the only track is a drum kit, which ABC cannot say; write MusicXML or MIDI instead")
    return sounding[0]


@dataclass(frozen=True)
class _Field:
    """What stands between notes, at a place of a bar in units: a chord symbol, or a field on a line of its own."""

    place: int
    text: str
    own_line: bool = False
    alterations: dict[str, int] | None = None  # of a key


class _Accidentals:
    """What has been said in a bar, by both readings of the standard: for one octave, or for all."""

    def __init__(self, alterations: dict[str, int]) -> None:
        self.alterations = alterations
        self._octaves: dict[tuple[str, int], int] = {}
        self._letters: dict[str, int] = {}
        self._unsure = False

    def change(self, alterations: dict[str, int]) -> None:
        """A key within the bar: programs differ in what still holds, so every note says its own."""
        self.alterations, self._unsure = alterations, True

    def bar_line(self) -> None:
        """Forget what the bar said."""
        self.__init__(self.alterations)  # type: ignore[misc]

    def of(self, name: Name) -> str:
        """What has to be written before a note."""
        key = self.alterations.get(name.step, 0)
        by_octave = self._octaves.get((name.step, name.octave), key)
        by_letter = self._letters.get(name.step, key)
        if by_octave == by_letter == name.alter and not self._unsure:
            return ""
        self._octaves[name.step, name.octave] = self._letters[name.step] = name.alter
        return _ACCIDENTALS[name.alter]


class _Writer:
    """Writes one melody."""

    def __init__(self, score: Score, track: Track, page: Sheet) -> None:
        self._score, self._track, self._page = score, track, page
        self._bars, self._quarter = page.timeline.bars, page.timeline.quarter
        self._lost: Counter[str] = Counter()
        self._fields = self._collect_fields()
        self._lyrics = self._collect_lyrics()
        first = self._first_key()
        self._accidentals = _Accidentals(key_alterations(first.fifths))
        self._smallest = min(
            (e.length for bar in page.staves[0].bars for e in bar[0] if e.length and not e.tuplet),
            default=self._quarter,
        )
        self._unit = Fraction(1, 16 if 4 * self._smallest <= self._quarter else 8)
        """The L: of the header, in whole notes."""
        self._lines: list[str] = []
        self._music, self._words = "", list[str]()

    def text(self) -> str:
        """The whole file."""
        signature = self._bars[0].signature
        first = self._first_key()
        tempo = next((t for t in self._score.tempos if t.time == 0), None)
        lines = [
            "%abc-2.1",
            "X:1",
            f"T:{_one_line(self._score.title)}",
            f"M:{signature.numerator}/{signature.denominator}",
        ]
        composer, made = said(self._score, COMPOSER), said(self._score, MADE)
        if composer:
            lines.insert(3, f"C:{_one_line(composer)}")
        if made:
            lines.append(f"N:{MADE}{made}".replace("%", "\\u0025"))  # JSON's way to write what begins a comment
        lines.append(f"L:{self._unit}")
        if tempo is not None:
            lines.append(f"Q:1/4={self._qpm(tempo.microseconds_per_quarter)}")
        lines.append(f"K:{_key_name(first)}")
        lines.append(f"%%MIDI program {self._track.program}")
        self._lines = lines
        for index in range(len(self._bars)):
            self._bar(index)
            last = index + 1 == len(self._bars)
            self._music += " |]" if last else " |"
            if last or (index + 1) % BARS_A_LINE == 0:
                self._end_line()
            else:
                self._music += " "
            self._accidentals.bar_line()
        return "\n".join(self._lines) + "\n"

    def _end_line(self) -> None:
        """Close a line of music, and write its syllables below it."""
        if self._music.strip():
            self._lines.append(self._music.strip())
            if any(word not in "*_" for word in self._words):
                self._lines.append("w: " + " ".join(self._words))
        self._music, self._words = "", []

    def remarks(self) -> list[str]:
        """A line for each kind of thing that was changed or left out."""
        score, track = self._score, self._track
        events = sum(map(len, (track.controls, track.bends, track.program_changes, track.pressures, track.releases)))
        counts = {
            "note(s) put where note values begin and end": self._page.timeline.rounded,
            "bar(s) made as long as a note value": self._page.timeline.rounded_bars,
            **self._lost,
            "velocities left out": int((track.notes["velocity"] != DEFAULT_VELOCITY).sum()),
            "marker(s) left out": len(score.markers),
            "text(s) left out": n_texts_besides(score),
            "controllers, bends, program changes and the like left out": events,
            "other MIDI event(s) left out": len(score.others) + sum(len(other.others) for other in score.tracks),
            "silent track(s) left out": len(score.tracks) - 1,
        }
        return [f"{count} {what}" for what, count in counts.items() if count]

    # ---- what stands between the notes -----------------------------------------------------------------------

    def _first_key(self) -> KeySignature:
        """The key of the header."""
        at_start = [key for key in self._score.key_signatures if key.time == 0]
        return at_start[-1] if at_start else KeySignature(0, 0, "major")

    def _qpm(self, microseconds: int) -> str:
        for decimals in range(_TEMPO_DECIMALS + 1):
            text = f"{60e6 / microseconds:.{decimals}f}"
            if float(text) and round(60e6 / float(text)) == microseconds:
                return text
        self._lost["tempo(s) rounded to two decimals"] += 1
        return text

    def _collect_fields(self) -> dict[int, list[_Field]]:
        """Changes of metre, key and tempo, and chord symbols, by bar."""
        lines, score = self._page.timeline, self._score
        found: dict[int, list[_Field]] = {}
        for index, bar in enumerate(self._bars):
            if index and bar.shows_signature:
                metre = f"M:{bar.signature.numerator}/{bar.signature.denominator}"
                found.setdefault(index, []).append(_Field(0, metre, own_line=True))
        for key in (key for key in score.key_signatures if key.time > 0):
            index, place = lines.place(score, key.time)
            field = _Field(place, f"K:{_key_name(key)}", own_line=True, alterations=key_alterations(key.fifths))
            found.setdefault(index, []).append(field)
        for tempo in (tempo for tempo in score.tempos if tempo.time > 0):
            index, place = lines.place(score, tempo.time)
            text = f"Q:1/4={self._qpm(tempo.microseconds_per_quarter)}"
            found.setdefault(index, []).append(_Field(place, text, own_line=True))
        for chord in score.chords:
            index, place = lines.place(score, chord.time)
            symbol = "N.C." if chord.symbol == "N" else chord.symbol
            if not symbol.isprintable() or set(symbol) & set('"\\%') or symbol[:1] in "^_<>@":
                self._lost["chord symbol(s) that ABC cannot say left out"] += 1
                continue
            found.setdefault(index, []).append(_Field(place, f'"{symbol}"'))
        return {index: sorted(fields, key=lambda f: (f.place, not f.own_line)) for index, fields in found.items()}

    def _collect_lyrics(self) -> dict[int, str]:
        """The lyrics by the unit at which their note begins."""
        starts = self._page.timeline.starts[0].tolist()
        places = dict(zip(self._track.notes["start"].tolist(), starts, strict=True))
        found: dict[int, str] = {}
        for lyric in self._track.lyrics:
            if lyric.time not in places:
                self._lost["lyric(s) at no note's beginning left out"] += 1
            elif not lyric.text.strip() or not lyric.text.isprintable() or _SYLLABLE_SIGNS & set(lyric.text):
                self._lost["lyric(s) that ABC cannot say left out"] += 1
            elif places[lyric.time] in found:
                self._lost["further lyric(s) of one note left out"] += 1
            else:
                found[places[lyric.time]] = lyric.text.strip().replace("-", "\\-").replace(" ", "~")
        return found

    # ---- music -----------------------------------------------------------------------------------------------

    def _bar(self, index: int) -> None:
        bar, fields = self._bars[index], list(self._fields.get(index, ()))
        if fields and fields[0].own_line and not fields[0].place and index:
            self._end_line()
            # Says nothing new; but a field that stands alone behind a bar line is overlooked by some (music21 10.5).
            self._lines.append(f"L:{self._unit}")
        elements = _cut(self._page.staves[0].bars[index][0], [field.place for field in fields])
        for number, element in enumerate(elements):
            while fields and fields[0].place <= element.start:
                self._field(fields.pop(0))
            if element.tuplet is not None and element.tuplet_begins:
                self._music += _tuplet(element, elements[number:])
            self._music += self._element(element)
            if element.length and element.beams[:1] not in {("begin",), ("continue",)}:
                self._music += " "
            if element.heads and element.length:
                self._words.append(self._syllable(bar, element))
        for field in fields:
            if field.place >= bar.length and index + 1 == len(self._bars):
                self._lost["symbol(s) at the very end left out"] += 1
            else:
                self._lost["symbol(s) inside a tuplet's note left out"] += 1
        self._music = self._music.rstrip()

    def _field(self, field: _Field) -> None:
        if not field.own_line:
            self._music += field.text
            return
        self._end_line()
        self._lines.append(field.text)
        if field.alterations is not None:
            if field.place:
                self._accidentals.change(field.alterations)
            else:
                self._accidentals.alterations = field.alterations

    def _syllable(self, bar: Bar, element: Element) -> str:
        if all(head.tied_from for head in element.heads):
            return "_" if self._words and self._words[-1] != "*" else "*"
        return self._lyrics.get(bar.start + element.start, "*")

    def _element(self, element: Element) -> str:
        length = _length(self._written(element) / self._unit)
        if not element.heads:
            return "z" + length
        notes = [self._pitch(head) for head in element.heads]
        tie = "-" if element.heads[0].tied_to else ""
        if not element.length:
            return "{/" + "".join(notes) + "}"
        if len(notes) == 1:
            return notes[0] + length + tie
        return "[" + "".join(notes) + "]" + length + tie

    def _written(self, element: Element) -> Fraction:
        """The written length in whole notes."""
        whole = Fraction(element.length, 4 * self._quarter)
        return whole if element.tuplet is None else whole * element.tuplet.number / element.tuplet.normal

    def _pitch(self, head: Head) -> str:
        assert head.name is not None, "drums are refused"
        name = head.name
        letter = name.step if name.octave <= 4 else name.step.lower()
        marks = "," * (4 - name.octave) if name.octave <= 4 else "'" * (name.octave - 5)
        return self._accidentals.of(name) + letter + marks


def _cut(elements: Sequence[Element], places: Sequence[int]) -> list[Element]:
    """The elements with those outside tuplets cut, and tied, where a field stands within."""
    result: list[Element] = []
    for element in elements:
        rest = element
        for place in places:
            if rest.start < place < rest.start + rest.length and rest.tuplet is None:
                before = tuple(replace(head, tied_to=True) for head in rest.heads)
                result.append(replace(rest, length=place - rest.start, heads=before, beams=()))
                after = tuple(replace(head, tied_from=True) for head in rest.heads)
                rest = replace(rest, start=place, length=rest.start + rest.length - place, heads=after, beams=())
        result.append(rest)
    return result


def _tuplet(element: Element, following: Sequence[Element]) -> str:
    """The opening of a tuplet: how many notes in the time of how many, and for how many written ones."""
    assert element.tuplet is not None, "the caller has looked"
    size = 0
    for other in following:
        size += other.length > 0
        if other.tuplet_ends:
            break
    return f"({element.tuplet.number}:{element.tuplet.normal}:{size}"


def _length(units: Fraction) -> str:
    """A length in units of L: as ABC writes it."""
    if units == 1:
        return ""
    if units.denominator == 1:
        return str(units.numerator)
    return ("" if units.numerator == 1 else str(units.numerator)) + f"/{units.denominator}"


def _key_name(key: KeySignature) -> str:
    return Key.from_signature(key).tonic + ("m" if key.mode == "minor" else "")


def _one_line(text: str) -> str:
    """A text without line breaks and control characters; % would begin a comment."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()).replace("%", "\\%")
