"""music21's streams <-> Score, and with them whatever music21 can read and write (MusicXML first of all)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from musegen.score.model import (
    NOTE_DTYPE,
    Chord,
    KeySignature,
    Score,
    Tempo,
    Text,
    TimeSignature,
    Track,
    frozen,
)

CHORD_PREFIX = "chord: "
"""How a text expression begins that is a chord symbol of ours; music21's own symbols would count as notes."""
DEFAULT_VELOCITY = 80
"""Of notes that say none."""
FINEST_TICKS_PER_BEAT = 32_767


def to_music21(score: Score) -> Any:
    """The Score as a music21.stream.Score: a Part each Track, every note a Note at its offset in quarters.

    Metres, keys, tempi, markers and chord symbols stand in the first Part, metres and keys in all. Bars and ties
    are made by music21 when it shows or writes the stream. Controllers, bends, channels, later program changes and
    lyrics that fall on no note are left out.
    """
    from music21 import metadata, stream  # slow to import, and most callers need no bridge

    result = stream.Score()
    result.insert(0, metadata.Metadata())
    result.metadata.title = score.title or None
    for number, track in enumerate(score.tracks or (Track(),)):
        part = stream.Part(id=f"P{number + 1}")
        part.partName = track.name or None
        for offset, element in _frame(score, whole=number == 0):
            part.insert(offset, element)
        for offset, element in _sounding(score, track):
            part.insert(offset, element)
        result.insert(0, part)
    return result


def _frame(score: Score, *, whole: bool) -> Iterator[tuple[Fraction, Any]]:
    """(offset, element) of the metres and keys; if `whole` also of tempi, markers and chord symbols."""
    from music21 import expressions, key, meter, tempo  # as above

    def offset(tick: int) -> Fraction:
        return Fraction(tick, score.ticks_per_beat)

    for metre in score.time_signatures:
        yield offset(metre.time), meter.TimeSignature(f"{metre.numerator}/{metre.denominator}")
    for signature in score.key_signatures:
        yield offset(signature.time), key.KeySignature(signature.fifths).asKey(signature.mode)
    if not whole:
        return
    for mark in score.tempos:
        yield offset(mark.time), tempo.MetronomeMark(number=mark.qpm)
    for marker in score.markers:
        yield offset(marker.time), expressions.RehearsalMark(marker.text)
    for chord in score.chords:
        yield offset(chord.time), expressions.TextExpression(CHORD_PREFIX + chord.symbol)


def _sounding(score: Score, track: Track) -> Iterator[tuple[Fraction, Any]]:
    """(offset, element) of the instrument and the notes; a lyric goes to the first note that begins with it."""
    from music21 import duration, instrument, note  # as above
    from music21 import pitch as pitches

    player: Any = instrument.UnpitchedPercussion() if track.is_drum else None
    if player is None:
        player = instrument.instrumentFromMidiProgram(track.program)
    player.midiProgram = track.program
    player.midiChannel = 9 if track.is_drum else track.channel
    player.partName = track.name or None
    yield Fraction(0), player
    lyrics = {lyric.time: lyric.text for lyric in reversed(track.lyrics)}
    for start, pitch, ticks, velocity in track.notes.tolist():
        length = duration.Duration(quarterLength=Fraction(ticks, score.ticks_per_beat))
        # By name: Note(0) is not pitch 0, and Note(5) has no octave.
        element = note.Note(pitches.Pitch(midi=pitch), duration=length)
        element.volume.velocity = velocity
        if start in lyrics:
            element.lyric = lyrics.pop(start)
        yield Fraction(start, score.ticks_per_beat), element


def from_music21(stream: Any, *, ticks_per_beat: int | None = None) -> Score:
    """A Score of a music21 stream: a Track each Part, tied notes as one, repeats as written.

    Chords become notes; chord symbols become `Score.chords`. Times go to the nearest tick. By default the
    resolution is the least multiple of 480 that holds every time exactly, or 480 where there is none.
    """
    from music21 import stream as streams  # as above

    parts = list(stream.parts) if isinstance(stream, streams.Score) and stream.parts else [stream]
    flat = [part.stripTies().flatten() for part in parts]
    resolution = ticks_per_beat or _resolution(flat)
    frame = _read_frame(flat, resolution)
    title = stream.metadata.title if stream.metadata is not None else None
    return Score(
        ticks_per_beat=resolution,
        tracks=tuple(_read_track(original, part, resolution) for original, part in zip(parts, flat, strict=True)),
        title=title or "",
        end=max((_tick(part.highestTime, resolution) for part in flat), default=0),
        **frame,
    )


def _tick(quarters: Any, resolution: int) -> int:
    return round(Fraction(quarters) * resolution)


def _resolution(parts: list[Any]) -> int:
    result = 480
    for part in parts:
        for element in part:
            for quarters in (element.offset, element.quarterLength):
                result = math.lcm(result, Fraction(quarters).limit_denominator(FINEST_TICKS_PER_BEAT).denominator)
                if result > FINEST_TICKS_PER_BEAT:
                    return 480
    return result


def _read_frame(parts: list[Any], resolution: int) -> dict[str, Any]:
    """What belongs to no single Track, as arguments of Score."""
    from music21 import expressions, harmony, key, meter, tempo  # as above

    found: dict[str, dict[Any, None]] = {
        name: {} for name in ("tempos", "time_signatures", "key_signatures", "markers", "chords")
    }
    for element in (element for part in parts for element in part):
        time = _tick(element.offset, resolution)
        match element:
            case tempo.MetronomeMark() if element.getQuarterBPM():
                found["tempos"][Tempo(time, round(60e6 / element.getQuarterBPM()))] = None
            case meter.TimeSignature():
                found["time_signatures"][TimeSignature(time, element.numerator, element.denominator)] = None
            case key.KeySignature():
                mode = "minor" if getattr(element, "mode", None) == "minor" else "major"
                found["key_signatures"][KeySignature(time, max(-7, min(7, element.sharps)), mode)] = None
            case expressions.RehearsalMark():
                found["markers"][Text(time, str(element.content))] = None
            case expressions.TextExpression() if element.content.startswith(CHORD_PREFIX):
                found["chords"][Chord(time, element.content[len(CHORD_PREFIX) :])] = None
            case harmony.ChordSymbol():
                found["chords"][Chord(time, element.figure)] = None
    return {name: tuple(events) for name, events in found.items()}


def _read_track(original: Any, part: Any, resolution: int) -> Track:
    from music21 import harmony  # as above

    rows, lyrics = [], []
    for element in part.notes:
        if isinstance(element, harmony.Harmony):
            continue
        start = _tick(element.offset, resolution)
        length = _tick(element.offset + element.quarterLength, resolution) - start
        if element.lyric:
            lyrics.append(Text(start, element.lyric))
        for single in element.notes if element.isChord else (element,):
            velocity = single.volume.velocity or element.volume.velocity or DEFAULT_VELOCITY
            rows.append((start, _pitch(single), length, max(1, min(127, int(velocity)))))
    player = part.getInstrument(returnDefault=True)
    return Track(
        notes=frozen(rows, NOTE_DTYPE),
        program=player.midiProgram or 0,
        is_drum=player.midiChannel == 9,
        name=getattr(original, "partName", None) or player.partName or "",
        lyrics=tuple(lyrics),
    )


def _pitch(element: Any) -> int:
    """The MIDI pitch of a Note, or of an Unpitched: its drum's, if the instrument says which."""
    if hasattr(element, "pitch"):
        return int(element.pitch.midi)
    drum = getattr(element.storedInstrument, "percMapPitch", None)
    return int(drum if drum is not None else element.displayPitch().midi)
