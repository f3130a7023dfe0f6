"""What one music21 part says, gathered in quarters: notes, and what of the piece's frame stands in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from musegen.score.chords import NO_CHORD
from musegen.score.formats.music21_bars import Bars, exact, metre_of
from musegen.score.formats.sounds import VELOCITIES, Dynamics, Sound
from musegen.score.theory import Key, transpose_chord

CHORD_PREFIX = "chord: "
"""How a text expression begins that is a chord symbol of ours; music21's own symbols would count as notes."""
KEPT = "musegen"
"""The name, in `editorial` of a stream of ours, of what music21 has no place for."""
DRUM_CHANNEL = 9
LONGEST_TEMPO = 2**24 - 1
"""Microseconds a quarter, as MIDI can say it."""

_FLATS = re.compile(r"((?:^|/)[A-G])(-+)")
_MINOR_MODES = {"minor", "dorian", "phrygian", "aeolian", "locrian"}


@dataclass
class Gathered:
    """One part in quarters. `kept` is what a stream of ours carries along, `dropped` counts what is left out."""

    name: str
    kept: dict[str, Any]
    dynamics: Dynamics
    transposes: bool = False
    instruments: list[tuple[Fraction, Any]] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)
    lyrics: list[tuple[Fraction, str]] = field(default_factory=list)
    tempos: list[tuple[Fraction, int]] = field(default_factory=list)
    keys: list[tuple[Fraction, int, str]] = field(default_factory=list)
    metres: list[tuple[Fraction, int, int]] = field(default_factory=list)
    chords: list[tuple[Fraction, str]] = field(default_factory=list)
    markers: list[tuple[Fraction, str]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    unpitched: int = 0
    """How many of the notes have no pitch."""

    @property
    def is_drum(self) -> bool:
        """Whether the part is for drums: by its channel, or because none of its notes has a pitch."""
        if "is_drum" in self.kept:
            return bool(self.kept["is_drum"])
        from music21 import instrument

        player = self.instruments[0][1] if self.instruments else None
        percussion = isinstance(player, instrument.UnpitchedPercussion) and player.midiChannel == DRUM_CHANNEL
        return percussion or (self.unpitched > 0 and self.unpitched == len(self.sounds))

    def program_at(self, place: int) -> int | None:
        """The General MIDI program of the instrument `place`, from its number or its name; None if neither says."""
        from music21 import instrument

        player = self.instruments[place][1]
        if player.midiProgram is not None:
            return int(player.midiProgram)
        for name in (player.instrumentName, self.name if place == 0 else None):
            try:
                program = instrument.fromString(name).midiProgram if name else None
            except instrument.InstrumentException:
                continue
            if program is not None:
                return int(program)
        return None


def gather(part: Any, number: int, bars: Bars, dynamics: Dynamics) -> Gathered:
    """Walk through a part once, in the order of time."""
    kept = part.editorial.get(KEPT, {}) if part.hasEditorialInformation else {}
    found = Gathered(kept.get("name", getattr(part, "partName", None) or ""), kept, dynamics)
    at_sounding_pitch = getattr(part, "atSoundingPitch", True)
    semitones = 0
    for time, element, voice in _elements(part, number, bars):
        if "Instrument" in element.classes:
            found.instruments.append((time, element))
            found.name = found.name or element.partName or ""
            if at_sounding_pitch is False and element.transposition is not None:
                semitones = round(element.transposition.semitones)
                found.transposes = found.transposes or semitones != 0
        elif "ChordSymbol" in element.classes or "NoChord" in element.classes:
            found.chords.append((time, _transposed(_plain(element), semitones)))
        elif "NotRest" in element.classes and "Harmony" not in element.classes:
            _note(found, time, element, voice, semitones)
        else:
            _frame(found, time, element, semitones)
    dynamics.marks.sort(key=lambda mark: mark[0])
    found.dropped += _marks_of(part)
    return found


def _elements(part: Any, number: int, bars: Bars) -> Iterator[tuple[Fraction, Any, Any]]:
    """(time, element, voice) of all that stands in a part."""
    from music21 import stream

    if not bars.measures[number]:
        for element in part.flatten():
            yield exact(element.offset), element, None
        return
    for element in part:
        if not isinstance(element, stream.Measure) and not element.isStream:
            yield bars.time(number, exact(part.elementOffset(element))), element, None
    for measure, start in zip(bars.measures[number], bars.shifts[number][1], strict=True):
        for element in measure:
            offset = start + exact(measure.elementOffset(element))
            if not element.isStream:
                yield offset, element, None
                continue
            for inner in element.flatten():
                yield offset + exact(inner.offset), inner, element.id


def _note(found: Gathered, time: Fraction, element: Any, voice: Any, semitones: int) -> None:
    sounds = list(sounds_of(time, element, voice, semitones))
    found.sounds += sounds
    if "Unpitched" in element.classes or "PercussionChord" in element.classes:
        found.unpitched += len(sounds)
    found.dropped["notes out of MIDI's range"] += sum(not 0 <= sound.pitch <= 127 for sound in sounds)
    found.dropped["grace notes"] += len(sounds) if sounds and sounds[0].grace else 0
    found.dropped["articulations"] += len(element.articulations)
    found.dropped["ornaments and fermatas"] += len(element.expressions)
    if element.lyrics:
        first = min(element.lyrics, key=lambda lyric: lyric.number)
        found.dropped["lyrics of later verses"] += len(element.lyrics) - 1
        if first.text:
            found.lyrics.append((time, first.text))


def _frame(found: Gathered, time: Fraction, element: Any, semitones: int) -> None:
    """Tempi, metres, keys, markers, dynamics; and what of the rest is worth counting."""
    from music21 import dynamics, expressions, key, meter, repeat, tempo

    match element:
        case tempo.MetronomeMark():
            found.dropped["tempo words without a number"] += not _tempo(found, time, element)
        case meter.TimeSignature():
            metre = metre_of(element)
            found.metres += [(time, *metre)] if metre else []
            found.dropped["metres that MIDI cannot say"] += metre is None
        case key.KeySignature() if element.sharps is not None:
            found.keys.append((time, *_sounding_key(element, semitones)))
        case dynamics.Dynamic():
            if element.value in VELOCITIES:
                found.dynamics.marks.append((time, VELOCITIES[element.value]))
            else:
                found.dropped["accents of one note (sf)"] += 1
        case expressions.RehearsalMark():
            found.markers.append((time, str(element.content)))
        case expressions.TextExpression() if element.content.startswith(CHORD_PREFIX):
            found.chords.append((time, _transposed(element.content[len(CHORD_PREFIX) :], semitones)))
        case repeat.RepeatMark():
            found.dropped["repeat signs"] += 1
        case expressions.TextExpression():
            found.dropped["text expressions"] += 1
        case tempo.MetricModulation():
            found.dropped["metric modulations"] += 1
        case _:
            pass  # rests, clefs, bar lines, layout: nothing that sounds


def _tempo(found: Gathered, time: Fraction, mark: Any) -> bool:
    """Add a tempo, if the mark gives a number of its own (music21 thinks one up for "Allegro")."""
    if mark.numberSounding is not None:
        qpm = mark.numberSounding
    elif mark.number is not None and not mark.numberImplicit:
        qpm = mark.getQuarterBPM()
    else:
        return False
    microseconds = round(60e6 / qpm) if qpm and qpm > 0 else 0
    if 0 < microseconds <= LONGEST_TEMPO:
        found.tempos.append((time, microseconds))
    else:
        found.dropped["tempi that MIDI cannot say"] += 1
    return True


def _sounding_key(signature: Any, semitones: int) -> tuple[int, str]:
    fifths = int(signature.sharps)
    if abs(fifths) > 7:
        fifths -= 12 if fifths > 0 else -12
    mode = "minor" if getattr(signature, "mode", None) in _MINOR_MODES else "major"
    sounding = Key((fifths * 7 + 9 * (mode == "minor")) % 12, mode, max(-7, min(7, fifths))).transposed(semitones)
    return sounding.fifths, mode


def _transposed(symbol: str, semitones: int) -> str:
    return transpose_chord(symbol, semitones) if semitones % 12 else symbol  # as it is spelt, if it can be


def _plain(symbol: Any) -> str:
    """music21's figure as people write it: B-7 is Bb7."""
    if "NoChord" in symbol.classes:
        return NO_CHORD
    figure = _FLATS.sub(lambda match: match[1] + "b" * len(match[2]), symbol.figure)
    return figure.replace("ø7", "m7b5").replace("ø", "m7b5")


def _marks_of(part: Any) -> Counter[str]:
    """How many slurs and hairpins a part holds."""
    from music21 import layout, spanner

    counts: Counter[str] = Counter()
    for mark in part.spannerBundle:
        if isinstance(mark, spanner.Slur):
            counts["slurs"] += 1
        elif not isinstance(mark, spanner.RepeatBracket | spanner.Ottava | layout.StaffGroup):
            counts["hairpins and lines"] += 1
    return counts


def sounds_of(time: Fraction, element: Any, voice: Any, semitones: int) -> Iterator[Sound]:
    """The notes of a music21 Note, Unpitched or Chord at `time`, `semitones` from the written pitch."""
    grace = bool(element.duration.isGrace)
    end = time if grace else time + exact(element.quarterLength)
    whole = element.volume.velocity if element.hasVolumeInformation() else None
    for single in element.notes if hasattr(element, "notes") else (element,):
        own = single.volume.velocity if single.hasVolumeInformation() else whole
        tie = single.tie.type if single.tie is not None else None
        pitched = hasattr(single, "pitch")
        pitch = int(single.pitch.midi) + semitones if pitched else _drum(single)
        yield Sound(time, end, pitch, own, voice, grace, tie, id(element))


def _drum(element: Any) -> int:
    """The MIDI pitch of an Unpitched: its drum's, if the instrument says which."""
    drum = getattr(element.storedInstrument, "percMapPitch", None)
    return int(drum if drum is not None else element.displayPitch().midi)
