"""Score -> MusicXML 4.0, partwise: sheet music that every notation program opens.

The same Score gives the same bytes. What a page has no place for is counted and named to `warn`.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Sequence
from xml.etree import ElementTree as ET

from musegen.score.formats.musicxml_frame import Frame
from musegen.score.formats.musicxml_parts import PartHead, decimal, part_list, text_element, xml_text
from musegen.score.formats.options import WriteOptions
from musegen.score.formats.parts import COMPOSER, MADE, said
from musegen.score.model import Score, Track
from musegen.score.notation.clefs import TREBLE, Clef
from musegen.score.notation.grid import Bar
from musegen.score.notation.rhythm import Tuplet, Value
from musegen.score.notation.staff import Element, Head, Sheet, Staff, sheet

DEFAULT_VELOCITY = 80
"""Of a note that says none; the reader takes the same."""
_FORTE = 90
"""The velocity that MusicXML calls 100 per cent."""
_TYPES = {
    4: "maxima", 3: "maxima", 2: "long", 1: "breve", 0: "whole", -1: "half", -2: "quarter", -3: "eighth",
    -4: "16th", -5: "32nd", -6: "64th", -7: "128th", -8: "256th", -9: "512th", -10: "1024th",
}  # fmt: skip
_ACCIDENTALS = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}
_DOCTYPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 '
    'Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">\n'
)
_CONTAINER = """<?xml version="1.0" encoding="UTF-8"?>
<container>
  <rootfiles>
    <rootfile full-path="score.musicxml" media-type="application/vnd.recordare.musicxml+xml"/>
  </rootfiles>
</container>
"""
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""The first that a zip archive can hold, so that the same piece gives the same bytes."""

Warn = Callable[[str], None]


def to_bytes(score: Score, options: WriteOptions | None = None, warn: Warn | None = None) -> bytes:
    """The Score as a MusicXML file.

    `warn` gets a line for each kind of thing that the page does not hold, with its count.

    Raises:
        FileFormatError: if there are too many bars.
    """
    del options  # none of them is about sheet music
    page = sheet(score)
    writer = _Writer(score, page)
    root = writer.root()
    for line in writer.remarks():
        if warn is not None:
            warn(line)
    ET.indent(root, " ")
    return (_DOCTYPE + ET.tostring(root, encoding="unicode") + "\n").encode()


def to_mxl_bytes(score: Score, options: WriteOptions | None = None, warn: Warn | None = None) -> bytes:
    """As `to_bytes`, compressed (.mxl).

    Raises:
        FileFormatError: if there are too many bars.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in (
            ("META-INF/container.xml", _CONTAINER.encode()),
            ("score.musicxml", to_bytes(score, options, warn)),
        ):
            entry = zipfile.ZipInfo(name, _ZIP_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # the same on every machine
            archive.writestr(entry, data)
    return buffer.getvalue()


class _Writer:
    """Builds the document of one piece."""

    def __init__(self, score: Score, page: Sheet) -> None:
        self._score, self._page = score, page
        self._bars, self._quarter = page.timeline.bars, page.timeline.quarter
        self._tracks = score.tracks or (Track(),)
        self._staves = page.staves or (_silent_staff(page),)
        self._frame = Frame(score, page.timeline)
        self._grain = self._common_length()
        self._lost_lyrics = 0
        self._metres = {m.time: (m.numerator, m.denominator) for m in score.time_signatures}
        self._keyless = not all(track.is_drum for track in self._tracks)  # kits, where others show the keys

    def _common_length(self) -> int:
        """The units that a division of the file has: as many as all lengths and places share."""
        grain = math.gcd(self._quarter, *self._frame.places(), *(bar.length for bar in self._bars))
        for staff in self._staves:
            for bar in staff.bars:
                for voice in bar:
                    grain = math.gcd(grain, *(element.length for element in voice))
        return grain

    def _divisions(self, units: int) -> int:
        return units // self._grain

    # ---- the document ----------------------------------------------------------------------------------------

    def root(self) -> ET.Element:
        """The whole document."""
        root = ET.Element("score-partwise", version="4.0")
        if self._score.title:
            text_element(ET.SubElement(root, "work"), "work-title", xml_text(self._score.title))
        identification = ET.SubElement(root, "identification")
        composer, made = said(self._score, COMPOSER), said(self._score, MADE)
        if composer:
            text_element(identification, "creator", xml_text(composer), type="composer")
        encoding = ET.SubElement(identification, "encoding")
        text_element(encoding, "software", "musegen")
        for name in ("accidental", "beam"):
            ET.SubElement(encoding, "supports", element=name, type="yes")
        if made:
            miscellaneous = ET.SubElement(identification, "miscellaneous")
            text_element(miscellaneous, "miscellaneous-field", xml_text(made), name=MADE.strip())
        heads = part_list(root, self._tracks)
        for number, (head, track, staff) in enumerate(zip(heads, self._tracks, self._staves, strict=True)):
            part = ET.SubElement(root, "part", id=head.id)
            lyrics = self._lyrics(track, number)
            for index, (bar, voices) in enumerate(zip(self._bars, staff.bars, strict=True)):
                measure = ET.SubElement(part, "measure", _measure_number(self._bars, index))
                self._measure(measure, bar, index, voices, head, staff.clef, lyrics, first=number == 0)
        return root

    def _lyrics(self, track: Track, number: int) -> dict[int, list[str]]:
        """The lyrics of a track by the unit at which their note begins."""
        places: dict[int, int] = {}
        if number < len(self._page.timeline.starts):
            starts = self._page.timeline.starts[number].tolist()
            places = dict(zip(track.notes["start"].tolist(), starts, strict=True))
        found: dict[int, list[str]] = {}
        for lyric in track.lyrics:
            if lyric.time in places:
                found.setdefault(places[lyric.time], []).append(lyric.text)
            else:
                self._lost_lyrics += 1
        return found

    def _measure(
        self, measure: ET.Element, bar: Bar, index: int, voices: Sequence[Sequence[Element]], head: PartHead,
        clef: Clef, lyrics: dict[int, list[str]], *, first: bool,
    ) -> None:  # fmt: skip
        self._attributes(measure, bar, index, head, clef)
        pending = self._frame.events(index) if first else []
        for number, voice in enumerate(voices):
            at = 0
            for element in voice:
                if number == 0:
                    while pending and pending[0].place < element.start + max(element.length, 1):
                        event = pending.pop(0)
                        event.append_to(measure, self._divisions(event.place - element.start))
                self._element(measure, element, number, head, lyrics, bar)
                at = element.start + element.length
            if number == 0:
                for event in pending:
                    event.append_to(measure, self._divisions(event.place - at))
            if number + 1 < len(voices):
                backup = ET.SubElement(measure, "backup")
                text_element(backup, "duration", self._divisions(at))
            elif at < bar.length:
                self._forward(measure, bar.length - at)
        if not (self._keyless and head.drums):
            self._keys_inside(measure, bar, index)

    def _attributes(self, measure: ET.Element, bar: Bar, index: int, head: PartHead, clef: Clef) -> None:
        key = None if self._keyless and head.drums else self._frame.key_at_start(index)
        said_again = not bar.shows_signature and self._says_metre_again(index)
        if index and not bar.shows_signature and not said_again and key is None:
            return
        attributes = ET.SubElement(measure, "attributes")
        if index == 0:
            text_element(attributes, "divisions", self._divisions(self._quarter))
        if key is not None:
            attributes.append(key)
        if bar.shows_signature or said_again:
            time = ET.SubElement(attributes, "time", {"print-object": "no"} if said_again else {})
            text_element(time, "beats", bar.signature.numerator)
            text_element(time, "beat-type", bar.signature.denominator)
        if index == 0:
            element = ET.SubElement(attributes, "clef")
            text_element(element, "sign", clef.sign)
            text_element(element, "line", clef.line)
            if clef.octaves:
                text_element(element, "clef-octave-change", clef.octaves)

    def _says_metre_again(self, index: int) -> bool:
        """Whether the Score states the metre anew where it is in force already; after an odd bar that is no news."""
        bar, before = self._bars[index], self._bars[max(0, index - 1)]
        full = before.signature.numerator * 4 * self._quarter // before.signature.denominator
        said = (bar.signature.numerator, bar.signature.denominator)
        return index > 0 and before.length == full and self._metres.get(bar.first_tick) == said

    def _keys_inside(self, measure: ET.Element, bar: Bar, index: int) -> None:
        """Changes of key that stand between two notes' beginnings: gone back to, so that no note need be cut."""
        at = bar.length
        for place, key in self._frame.keys_inside(index):
            if place < at:
                text_element(ET.SubElement(measure, "backup"), "duration", self._divisions(at - place))
            elif place > at:
                self._forward(measure, place - at)
            ET.SubElement(measure, "attributes").append(key)
            at = place
        if at < bar.length:
            self._forward(measure, bar.length - at)

    def _forward(self, measure: ET.Element, units: int) -> None:
        text_element(ET.SubElement(measure, "forward"), "duration", self._divisions(units))

    # ---- notes -----------------------------------------------------------------------------------------------

    def _element(
        self, measure: ET.Element, element: Element, voice: int, head: PartHead, lyrics: dict[int, list[str]], bar: Bar
    ) -> None:
        if element.gap:
            self._forward(measure, element.length)
            return
        if not element.heads:
            self._note(measure, element, None, voice, head)
            return
        for number, single in enumerate(element.heads):
            note = self._note(measure, element, single, voice, head, chord=number > 0)
            if number == 0 and not all(h.tied_from for h in element.heads):
                _append_lyrics(note, lyrics.pop(bar.start + element.start, ()))

    def _note(
        self, measure: ET.Element, element: Element, single: Head | None, voice: int, head: PartHead, *,
        chord: bool = False,
    ) -> ET.Element:  # fmt: skip
        note = ET.SubElement(measure, "note")
        if single is not None and single.velocity != DEFAULT_VELOCITY:
            note.set("dynamics", _dynamics(single.velocity))
        if element.length == 0:
            ET.SubElement(note, "grace", slash="yes")
        if chord:
            ET.SubElement(note, "chord")
        if single is None:
            ET.SubElement(note, "rest", {} if element.value else {"measure": "yes"})
        else:
            _append_pitch(note, single, head)
        if element.length:
            text_element(note, "duration", self._divisions(element.length))
        for kind in _ties(single):
            ET.SubElement(note, "tie", type=kind)
        if single is not None and single.pitch in head.drums:
            ET.SubElement(note, "instrument", id=head.drums[single.pitch].id)
        text_element(note, "voice", voice + 1)
        if element.value is not None:
            _append_value(note, element.value, element.tuplet, single, head)
        if not chord:
            for level, state in enumerate(element.beams, start=1):
                text_element(note, "beam", state, number=str(level))
        _append_notations(note, element, single, chord=chord)
        return note

    def remarks(self) -> list[str]:
        """A line for each kind of thing that was changed or left out."""
        lines = self._frame.remarks()
        if self._lost_lyrics:
            lines.append(f"{self._lost_lyrics} lyric(s) at no note's beginning left out")
        return lines


def _dynamics(velocity: int) -> str:
    """A velocity in per cent of forte."""
    return decimal(velocity * 100 / _FORTE, velocity, lambda value: round(value * _FORTE / 100))


def _append_pitch(note: ET.Element, single: Head, head: PartHead) -> None:
    if single.name is None:
        unpitched = ET.SubElement(note, "unpitched")
        drum = head.drums[single.pitch]
        text_element(unpitched, "display-step", drum.step)
        text_element(unpitched, "display-octave", drum.octave)
        return
    pitch = ET.SubElement(note, "pitch")
    text_element(pitch, "step", single.name.step)
    if single.name.alter:
        text_element(pitch, "alter", single.name.alter)
    text_element(pitch, "octave", single.name.octave)


def _append_value(note: ET.Element, value: Value, tuplet: Tuplet | None, single: Head | None, head: PartHead) -> None:
    """The written value, the accidental, the tuplet's ratio and the shape of the head."""
    text_element(note, "type", _TYPES[value.size])
    for _ in range(value.dots):
        ET.SubElement(note, "dot")
    if single is not None and single.accidental is not None:
        text_element(note, "accidental", _ACCIDENTALS[single.accidental])
    if tuplet is not None:
        ratio = ET.SubElement(note, "time-modification")
        text_element(ratio, "actual-notes", tuplet.number)
        text_element(ratio, "normal-notes", tuplet.normal)
        text_element(ratio, "normal-type", _TYPES[tuplet.value.size])
    if single is not None and single.pitch in head.drums and head.drums[single.pitch].cross:
        text_element(note, "notehead", "x")


def _ties(single: Head | None) -> list[str]:
    if single is None:
        return []
    return [kind for kind, tied in (("stop", single.tied_from), ("start", single.tied_to)) if tied]


def _append_notations(note: ET.Element, element: Element, single: Head | None, *, chord: bool) -> None:
    notations = ET.Element("notations")
    for kind in _ties(single):
        ET.SubElement(notations, "tied", type=kind)
    if not chord:
        bracket = "no" if element.beams else "yes"
        if element.tuplet_begins:
            ET.SubElement(notations, "tuplet", type="start", number="1", bracket=bracket)
        if element.tuplet_ends:
            ET.SubElement(notations, "tuplet", type="stop", number="1")
    if len(notations):
        note.append(notations)


def _append_lyrics(note: ET.Element, texts: Sequence[str]) -> None:
    for number, text in enumerate(texts, start=1):
        lyric = ET.SubElement(note, "lyric", number=str(number))
        text_element(lyric, "syllabic", "single")
        text_element(lyric, "text", xml_text(text))


def _measure_number(bars: Sequence[Bar], index: int) -> dict[str, str]:
    bar = bars[index]
    if bar.counted:
        return {"number": str(bar.number)}
    if index == 0:
        return {"number": "0", "implicit": "yes"}
    part = sum(1 for other in bars[max(0, index - 30) : index] if other.number == bar.number and not other.counted)
    return {"number": f"{bar.number}{chr(ord('a') + part % 26)}", "implicit": "yes"}


def _silent_staff(page: Sheet) -> Staff:
    """A staff of rests, for a piece without tracks."""
    return Staff(TREBLE, tuple(((Element(0, bar.length, None),),) for bar in page.timeline.bars))
