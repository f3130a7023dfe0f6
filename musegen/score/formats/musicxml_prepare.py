"""A MusicXML tree made ready for music21: what music21 would lose or get wrong is said in a way that it keeps.

Timewise scores become partwise. Drums without pitch get the pitch of their drum in MIDI, chord symbols become text
in plain writing, a tempo that sounds goes before one that is printed, cue notes become rests, looks are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

from musegen.errors import FileFormatError
from musegen.score.chords import plain_note, plain_symbol
from musegen.score.formats.music21_parts import CHORD_PREFIX, DRUM_CHANNEL

_LOOKS = {
    "": ("defaults", "credit"), "measure": ("print",), "attributes": ("clef", "staff-details"),
    "note": ("accidental", "beam", "notehead", "notehead-text", "stem"),
}  # fmt: skip
"""Elements by parent that only say how a score looks: music21 takes time for them, and fails where they are odd."""
_STEPS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def prepare(root: ET.Element, warn: Callable[[str], None]) -> tuple[ET.Element, dict[str, dict[str, Any]]]:
    """The tree for music21, and of each part by its id what it says of its instrument.

    That is "program" 0..127, "channel" 0..15 and "is_drum", each only where the file says it.

    Raises:
        FileFormatError: if there is no part in it.
    """
    if root.tag == "score-timewise":
        root = _partwise(root)
    if root.find("part/measure") is None:
        raise FileFormatError("no music in it: the score has no part with a measure")
    _strip(root, "")
    counts: Counter[str] = Counter()
    players: dict[str, dict[str, Any]] = {}
    for score_part in root.iterfind("part-list/score-part"):
        drums = _drums(score_part)
        said = players[score_part.get("id", "")] = _player(score_part)
        said["name"] = score_part.findtext("part-name", "").strip()  # music21 takes the instrument's where it is empty
        part = next((p for p in root.iterfind("part") if p.get("id") == score_part.get("id")), None)
        if part is None:
            continue
        for measure in part.iterfind("measure"):
            _strip(measure, "measure")
            for attributes in measure.iterfind("attributes"):
                _strip(attributes, "attributes")
            for note in measure.findall("note"):
                _note(measure, note, drums, said, counts)
            for position, element in enumerate(list(measure)):
                if element.tag == "harmony":
                    measure[position] = _harmony(element)
                elif element.tag == "direction":
                    _direction(element)
    if counts["cue notes"]:
        warn(f"not kept: {counts['cue notes']} cue notes")
    return root, players


def _strip(element: ET.Element, kind: str) -> None:
    """Take out what only says how it looks."""
    for child in [child for child in element if child.tag in _LOOKS[kind]]:
        element.remove(child)


def _partwise(root: ET.Element) -> ET.Element:
    """A timewise score (measures of parts) as a partwise one (parts of measures)."""
    result = ET.Element("score-partwise", root.attrib)
    parts: dict[str, ET.Element] = {}
    for element in root:
        if element.tag != "measure":
            result.append(element)
            continue
        for part in element.iterfind("part"):
            name = part.get("id", "")
            if name not in parts:
                parts[name] = ET.SubElement(result, "part", {"id": name})
            measure = ET.SubElement(parts[name], "measure", element.attrib)
            measure.extend(list(part))
    return result


def _number(element: ET.Element, path: str) -> int | None:
    """A whole number, or None where there is none."""
    try:
        return int(float(element.findtext(path, "").strip()))
    except (ValueError, OverflowError):
        return None


def _player(score_part: ET.Element) -> dict[str, Any]:
    """Program, channel and drums of the first instrument of a part; files count from 1."""
    said: dict[str, Any] = {}
    midi = score_part.find("midi-instrument")
    if midi is None:
        return said
    channel, program = _number(midi, "midi-channel"), _number(midi, "midi-program")
    if channel is not None and 1 <= channel <= 16:
        said["channel"] = channel - 1
        said["is_drum"] = channel - 1 == DRUM_CHANNEL
    if program is not None and 1 <= program <= 128:
        said["program"] = program - 1
    return said


def _drums(score_part: ET.Element) -> dict[str, int]:
    """The MIDI pitch of each instrument of the part that is a drum, the first also under ""."""
    drums: dict[str, int] = {}
    for midi in score_part.iterfind("midi-instrument"):
        pitch = _number(midi, "midi-unpitched")
        if pitch is not None and 1 <= pitch <= 128:
            drums[midi.get("id", "")] = pitch - 1
            drums.setdefault("", pitch - 1)
    return drums


def _note(
    measure: ET.Element, note: ET.Element, drums: dict[str, int], said: dict[str, Any], counts: Counter[str]
) -> None:
    _strip(note, "note")
    if note.find("cue") is not None:
        counts["cue notes"] += 1
        _silence(measure, note)
        return
    if note.find("grace") is not None and note.find("type") is None:
        ET.SubElement(note, "type").text = "eighth"
    unpitched = note.find("unpitched")
    if unpitched is None:
        return
    said["is_drum"] = True
    instrument = note.find("instrument")
    drum = drums.get("" if instrument is None else instrument.get("id", ""), drums.get(""))
    if drum is not None:
        pitch = ET.Element("pitch")
        step = _STEPS[drum % 12]
        for name, value in (("step", step[0]), ("alter", len(step) - 1), ("octave", drum // 12 - 1)):
            ET.SubElement(pitch, name).text = str(value)
        note[list(note).index(unpitched)] = pitch


def _silence(measure: ET.Element, note: ET.Element) -> None:
    """Make a rest of a note that is printed but not played."""
    pitch = note.find("pitch")
    pitch = note.find("unpitched") if pitch is None else pitch
    if note.find("chord") is not None or note.find("grace") is not None:
        measure.remove(note)
    elif pitch is not None:
        note[list(note).index(pitch)] = ET.Element("rest")
        for name in ("tie", "notations", "lyric"):
            for element in note.findall(name):
                note.remove(element)


def _direction(direction: ET.Element) -> None:
    """Where a direction says what tempo sounds, the printed one (rounded, or "c. 120") goes."""
    sound = direction.find("sound")
    if sound is None or "tempo" not in sound.attrib:
        return
    for kind in direction.findall("direction-type"):
        for metronome in kind.findall("metronome"):
            kind.remove(metronome)


def _harmony(harmony: ET.Element) -> ET.Element:
    """A chord symbol as a text of ours."""
    direction = ET.Element("direction")
    words = ET.SubElement(ET.SubElement(direction, "direction-type"), "words")
    words.text = CHORD_PREFIX + _symbol(harmony)
    for name in ("offset", "staff"):
        direction.extend(harmony.findall(name))
    return direction


def _symbol(harmony: ET.Element) -> str:
    kind = harmony.find("kind")
    degrees = [
        (_number(d, "degree-value") or 0, _number(d, "degree-alter") or 0, d.findtext("degree-type", "").strip())
        for d in harmony.iterfind("degree")
    ]
    return plain_symbol(
        _named(harmony, "root") or harmony.findtext("function", "").strip(),
        (kind.text or "").strip() if kind is not None else "",
        printed=kind.get("text", "").strip() if kind is not None else "",
        degrees=degrees,
        bass=_named(harmony, "bass"),
    )


def _named(harmony: ET.Element, name: str) -> str:
    step = harmony.findtext(f"{name}/{name}-step", "").strip()
    return plain_note(step, _number(harmony, f"{name}/{name}-alter") or 0)
