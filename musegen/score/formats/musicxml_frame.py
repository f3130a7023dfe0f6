"""What stands above the staves of a MusicXML file: tempi, keys, markers and chord symbols, each at its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from musegen.score.chords import ChordSymbol, Degree, parse_symbol
from musegen.score.formats.musicxml_parts import decimal, text_element, xml_text
from musegen.score.formats.parts import n_texts_besides
from musegen.score.model import KeySignature, Score, Tempo
from musegen.score.notation.grid import Bar, Timeline
from musegen.score.notation.metre import group_sizes

_STEADY_DECIMALS = 2
"""A metronome mark shows so many decimals at most; the sounding tempo has all."""


@dataclass(frozen=True)
class Event:
    """An element of a bar at `place`, in units from its beginning; `offset_at` is where its <offset> is inserted."""

    place: int
    element: ET.Element
    offset_at: int

    def append_to(self, measure: ET.Element, offset: int) -> None:
        """Append it to a measure, to take effect `offset` divisions later."""
        if offset:
            element = ET.Element("offset", {"sound": "yes"} if self.element.tag == "direction" else {})
            element.text = str(offset)
            self.element.insert(self.offset_at, element)
        measure.append(self.element)


class Frame:
    """The frame of one piece, bar by bar."""

    def __init__(self, score: Score, lines: Timeline) -> None:
        self._score, self._lines = score, lines
        self._events: dict[int, list[Event]] = {}
        self._keys: dict[int, dict[int, KeySignature]] = {}
        self._lost_chords = 0
        for key in score.key_signatures:
            bar, place = lines.place(score, key.time)
            self._keys.setdefault(bar, {})[place] = key  # of two at one place the last counts
        for time, event in self._all():
            bar, place = lines.place(score, time)
            self._events.setdefault(bar, []).append(Event(place, *event))
        for events in self._events.values():
            events.sort(key=lambda event: event.place)

    def _all(self) -> Iterator[tuple[int, tuple[ET.Element, int]]]:
        """(tick, (element, where its offset goes)) of everything but keys."""
        for marker in self._score.markers:
            direction = ET.Element("direction", placement="above")
            text_element(ET.SubElement(direction, "direction-type"), "rehearsal", xml_text(marker.text))
            yield marker.time, (direction, 1)
        tempos = {tempo.time: tempo for tempo in self._score.tempos}
        for tempo, after in zip(tempos.values(), [*list(tempos)[1:], None], strict=False):
            yield tempo.time, (self._tempo(tempo, after), 1)
        for chord in self._score.chords:
            symbol = parse_symbol(chord.symbol)
            if symbol is None:
                self._lost_chords += 1
            else:
                harmony = _harmony(symbol)
                yield chord.time, (harmony, len(harmony))

    def places(self) -> Iterator[int]:
        """Every place in a bar where something of the frame stands, in units."""
        for events in self._events.values():
            yield from (event.place for event in events)
        for keys in self._keys.values():
            yield from keys

    def events(self, bar: int) -> list[Event]:
        """What stands in a bar, in order."""
        return list(self._events.get(bar, ()))

    def key_at_start(self, bar: int) -> ET.Element | None:
        """The key stated where a bar begins."""
        key = self._keys.get(bar, {}).get(0)
        return _key(key) if key is not None else None

    def keys_inside(self, bar: int) -> list[tuple[int, ET.Element]]:
        """(place, key) of the keys stated later in a bar."""
        return [(place, _key(key)) for place, key in sorted(self._keys.get(bar, {}).items()) if place > 0]

    def _tempo(self, tempo: Tempo, until: int | None) -> ET.Element:
        """A metronome mark, hidden where the next one comes within a bar (a ritardando played or computed)."""
        bar = self._lines.bars[self._lines.place(self._score, tempo.time)[0]]
        hidden = until is not None and until < tempo.time + bar.signature.ticks_per_bar(self._score.ticks_per_beat)
        direction = ET.Element("direction", placement="above")
        metronome = ET.SubElement(ET.SubElement(direction, "direction-type"), "metronome")
        if hidden:
            metronome.set("print-object", "no")
        unit, dotted, quarters = _beat(bar)
        text_element(metronome, "beat-unit", unit)
        if dotted:
            ET.SubElement(metronome, "beat-unit-dot")
        qpm = 60e6 / tempo.microseconds_per_quarter
        exact = decimal(qpm / quarters, tempo.microseconds_per_quarter, lambda value: round(60e6 / (value * quarters)))
        short = len(exact.partition(".")[2]) <= _STEADY_DECIMALS
        text_element(metronome, "per-minute", exact if short else f"{qpm / quarters:.{_STEADY_DECIMALS}f}")
        sounding = decimal(qpm, tempo.microseconds_per_quarter, lambda value: round(60e6 / value))
        ET.SubElement(direction, "sound", tempo=sounding)
        return direction

    def remarks(self) -> list[str]:
        """A line for each kind of thing that the page does not hold."""
        score, lines = self._score, self._lines
        counts = {
            "note(s) put where note values begin and end": lines.rounded,
            "bar(s) made as long as a note value": lines.rounded_bars,
            "chord symbol(s) that begin with no root left out": self._lost_chords,
            "metre(s) after the end left out": sum(m.time >= max(score.end, 1) for m in score.time_signatures),
            "text(s) left out": n_texts_besides(score),
            "controller(s) left out": sum(len(track.controls) for track in score.tracks),
            "pitch bend(s) left out": sum(len(track.bends) for track in score.tracks),
            "program change(s) left out": sum(len(track.program_changes) for track in score.tracks),
            "aftertouch value(s) left out": sum(len(track.pressures) for track in score.tracks),
            "release velocity value(s) left out": sum(len(track.releases) for track in score.tracks),
            "other MIDI event(s) left out": len(score.others) + sum(len(track.others) for track in score.tracks),
        }
        return [f"{count} {what}" for what, count in counts.items() if count]


def _beat(bar: Bar) -> tuple[str, bool, float]:
    """The note of a metronome mark, whether it has a dot, and its length in quarters."""
    numerator, denominator = bar.signature.numerator, bar.signature.denominator
    names = {1: "whole", 2: "half", 4: "quarter", 8: "eighth", 16: "16th", 32: "32nd", 64: "64th"}
    if set(group_sizes(numerator, denominator)) == {3} and denominator in {4, 8, 16}:
        return names[denominator // 2], True, 12 / denominator
    return ("half", False, 2.0) if denominator == 2 else ("quarter", False, 1.0)


def _key(key: KeySignature) -> ET.Element:
    element = ET.Element("key")
    text_element(element, "fifths", key.fifths)
    text_element(element, "mode", key.mode)
    return element


def _harmony(symbol: ChordSymbol) -> ET.Element:
    element = ET.Element("harmony", {"print-frame": "no"})
    step, alter = symbol.root or ("C", 0)
    root = ET.SubElement(element, "root")
    root_step = text_element(root, "root-step", step)
    if symbol.root is None:
        root_step.set("text", "")
    if alter:
        text_element(root, "root-alter", alter)
    text_element(element, "kind", symbol.kind, text=xml_text(symbol.text))
    if symbol.bass is not None:
        bass = ET.SubElement(element, "bass")
        text_element(bass, "bass-step", symbol.bass[0])
        if symbol.bass[1]:
            text_element(bass, "bass-alter", symbol.bass[1])
    for degree in symbol.degrees:
        _append_degree(element, degree)
    return element


def _append_degree(harmony: ET.Element, degree: Degree) -> None:
    element = ET.SubElement(harmony, "degree", {"print-object": "no"})  # the text of the kind says it
    text_element(element, "degree-value", degree.number)
    text_element(element, "degree-alter", degree.alter)
    text_element(element, "degree-type", degree.change)
