"""A small reader of MusicXML for tests: the notes as they sound, and how long each voice of each measure is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree as ET


@dataclass
class ReadPart:
    """One part: notes as (start, pitch, duration, velocity) in quarters, tied ones as one; measure lengths."""

    notes: list[tuple[Fraction, int, Fraction, int]] = field(default_factory=list)
    graces: list[tuple[Fraction, int]] = field(default_factory=list)
    measures: list[Fraction] = field(default_factory=list)
    voices: list[dict[str, Fraction]] = field(default_factory=list)
    ties_left: int = 0


_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def read_sheet(data: bytes) -> list[ReadPart]:
    """The parts of a file of ours."""
    root = ET.fromstring(data)  # noqa: S314 - our own bytes
    drums = {
        midi.get("id"): int(midi.findtext("midi-unpitched", "0")) - 1
        for midi in root.iter("midi-instrument")
        if midi.find("midi-unpitched") is not None
    }
    return [_part(part, drums) for part in root.iter("part")]


def _part(part: ET.Element, drums: dict[str | None, int]) -> ReadPart:
    result = ReadPart()
    held: dict[tuple[Fraction, int], list[list[Any]]] = defaultdict(list)
    rows: list[list[Any]] = []
    found: list[tuple[Fraction, int, ET.Element, Fraction]] = []
    begin = Fraction(0)
    divisions = 1
    for measure in part.iter("measure"):
        divisions = int(measure.findtext("attributes/divisions", str(divisions)))
        at = longest = start = Fraction(0)
        lengths: dict[str, Fraction] = defaultdict(Fraction)
        for element in measure:
            length = Fraction(int(element.findtext("duration", "0")), divisions)
            if element.tag == "backup":
                at -= length
            elif element.tag == "forward":
                at += length
            elif element.tag == "note":
                chord = element.find("chord") is not None
                start = start if chord else at
                at = at if chord else at + length
                if not chord:
                    lengths[element.findtext("voice", "")] += length
                found.append((begin + start, len(found), element, length))
            longest = max(longest, at)
            assert at >= 0, "a backup goes over the bar line"
        result.voices.append(dict(lengths))
        result.measures.append(longest)
        begin += longest
    for start, _, element, length in sorted(found):  # a tie may go to a voice that is written before
        _note(element, start, length, drums, rows, held, result)
    result.ties_left = sum(map(len, held.values()))
    result.notes = sorted((start, pitch, length, velocity) for start, pitch, length, velocity in rows)
    return result


def _note(
    element: Any,
    start: Fraction,
    length: Fraction,
    drums: dict[str | None, int],
    rows: list[list[Any]],
    held: Any,
    result: ReadPart,
) -> None:
    if element.find("rest") is not None:
        return
    pitch = element.find("pitch")
    if pitch is None:
        number = drums[element.find("instrument").get("id")]
    else:
        alter = int(pitch.findtext("alter", "0"))
        number = 12 * (int(pitch.findtext("octave")) + 1) + _STEPS[pitch.findtext("step")] + alter
    velocity = round(float(element.get("dynamics", 80 / 0.9)) * 0.9)
    if element.find("grace") is not None:
        result.graces.append((start, number))
        return
    ties = {tie.get("type") for tie in element.findall("tie")}
    if "stop" in ties:
        row = next(row for row in held[start, number] if row[3] == velocity)
        held[start, number].remove(row)
        row[2] += length
    else:
        row = [start, number, length, velocity]
        rows.append(row)
    if "start" in ties:
        held[start + length, number].append(row)
