"""What a MusicXML file says of its parts before the music: names, instruments, channels, the drums of a kit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from musegen.score.instruments import DRUM_NAMES, PROGRAM_NAMES
from musegen.score.model import Track

DRUM_CHANNEL = 9
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DRUM_PLACES = {
    35: "E4", 36: "F4", 37: "C5", 38: "C5", 39: "C5", 40: "C5", 41: "G4", 42: "G5", 43: "A4", 44: "D4", 45: "B4",
    46: "G5", 47: "D5", 48: "E5", 49: "A5", 50: "F5", 51: "F5", 52: "B5", 53: "F5", 54: "B4", 55: "B5", 56: "E5",
    57: "A5", 59: "F5", 60: "E5", 61: "D5", 62: "F5", 63: "E5", 64: "D5", 65: "F5", 66: "D5", 69: "G5", 70: "G5",
    75: "E5", 76: "F5", 77: "D5", 80: "A5", 81: "A5",
}  # fmt: skip
"""Where a kit's drums stand on the staff (as on a treble staff): feet below, drums within, cymbals above."""
_CROSSES = frozenset((37, 39, 42, 44, 46, 49, 51, 52, 53, 54, 55, 56, 57, 59, 69, 70, 75, 80, 81))
"""Drums drawn with a cross: cymbals, and what is hit on the side or by hand."""
_WIDELY_KNOWN = (36, 38, 42, 35, 37, 40, 41, 43, 44, 45, 46, 47, 48, 49, 50)
"""Readers that take one instrument a part take the first; it had better be one that they know."""
_HAND = re.compile(r"[\s,(\-]*\b(rh|lh|r\.h\.|l\.h\.|right(?: hand)?|left(?: hand)?)\)?$", re.IGNORECASE)


def xml_text(text: str) -> str:
    """The text without the characters that XML has no way to write."""
    return _NOT_XML.sub("", text)


def text_element(parent: ET.Element, tag: str, content: object, **attributes: str) -> ET.Element:
    """Append <tag>content</tag>."""
    element = ET.SubElement(parent, tag, attributes)
    element.text = str(content)
    return element


def decimal(value: float, wanted: int, back: Callable[[float], int]) -> str:
    """The shortest decimal of `value` from which `back` makes `wanted` again."""
    for digits in range(16):
        text = f"{value:.{digits}f}"
        if float(text) and back(float(text)) == wanted:
            return text
    raise AssertionError("sixteen digits tell any velocity or tempo from its neighbours")


@dataclass(frozen=True)
class Drum:
    """One drum of a kit: its id in the file, its letter and octave on the staff, whether its head is a cross."""

    id: str
    step: str
    octave: int
    cross: bool


@dataclass(frozen=True)
class PartHead:
    """A part's id in the file, and its drums by MIDI pitch (none for a pitched part)."""

    id: str
    drums: dict[int, Drum] = field(default_factory=dict)


def part_list(root: ET.Element, tracks: Sequence[Track]) -> list[PartHead]:
    """Append <part-list> and return the head of each part. The two hands of one keyboard get a brace."""
    parts = ET.SubElement(root, "part-list")
    heads, groups = [], 0
    joined_before = False
    for number, track in enumerate(tracks):
        joined = not joined_before and number + 1 < len(tracks) and _two_hands(track, tracks[number + 1])
        if joined:
            groups += 1
            group = ET.SubElement(parts, "part-group", type="start", number=str(groups))
            text_element(group, "group-symbol", "brace")
            text_element(group, "group-barline", "yes")
        heads.append(_score_part(parts, track, f"P{number + 1}"))
        if joined_before:
            ET.SubElement(parts, "part-group", type="stop", number=str(groups))
        joined_before = joined
    return heads


def _two_hands(upper: Track, lower: Track) -> bool:
    """Whether two tracks are the hands of one keyboard player, by program and name."""
    if upper.is_drum or lower.is_drum or upper.program != lower.program:
        return False
    if not (upper.program <= 7 or 16 <= upper.program <= 20):
        return False
    if upper.name == lower.name:
        return bool(upper.name)
    stems = [_HAND.sub("", track.name).lower() for track in (upper, lower)]
    hands = [_HAND.search(track.name) for track in (upper, lower)]
    return stems[0] == stems[1] and all(hands)


def _score_part(parts: ET.Element, track: Track, part_id: str) -> PartHead:
    element = ET.SubElement(parts, "score-part", id=part_id)
    text_element(element, "part-name", xml_text(track.name))
    if track.is_drum:
        return _kit(element, track, part_id)
    instrument = f"{part_id}-I1"
    text_element(ET.SubElement(element, "score-instrument", id=instrument), "instrument-name", _program_name(track))
    midi = ET.SubElement(element, "midi-instrument", id=instrument)
    if track.channel is not None:
        text_element(midi, "midi-channel", track.channel + 1)
    text_element(midi, "midi-program", track.program + 1)
    return PartHead(part_id)


def _program_name(track: Track) -> str:
    return PROGRAM_NAMES[track.program]


def _kit(element: ET.Element, track: Track, part_id: str) -> PartHead:
    """An instrument for each pitch that sounds; the snare where none does."""
    used = set(track.notes["pitch"].tolist()) or {38}
    pitches = [pitch for pitch in _WIDELY_KNOWN if pitch in used] + sorted(used.difference(_WIDELY_KNOWN))
    drums = {}
    for pitch in pitches:
        place = _DRUM_PLACES.get(pitch, "C5")
        drum = Drum(f"{part_id}-I{pitch + 1}", place[0], int(place[1]), pitch in _CROSSES)
        drums[pitch] = drum
        instrument = ET.SubElement(element, "score-instrument", id=drum.id)
        text_element(instrument, "instrument-name", DRUM_NAMES.get(pitch, f"Drum {pitch}"))
    for pitch, drum in drums.items():
        midi = ET.SubElement(element, "midi-instrument", id=drum.id)
        text_element(midi, "midi-channel", (DRUM_CHANNEL if track.channel is None else track.channel) + 1)
        text_element(midi, "midi-program", track.program + 1)
        text_element(midi, "midi-unpitched", pitch + 1)
    return PartHead(part_id, drums)
