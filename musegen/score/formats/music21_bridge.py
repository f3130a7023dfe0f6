"""music21's streams <-> Score, and with them whatever music21 can read.

From a stream: a Track for each Part (a staff of a piano is one), sounding pitches, ties joined, bars where the
barlines are, repeats as written. Chord symbols become `Score.chords` and never sound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from musegen.score.formats.barlines import metres, resolution_for
from musegen.score.formats.music21_bars import Bars, find_bars
from musegen.score.formats.music21_parts import CHORD_PREFIX, DRUM_CHANNEL, KEPT, Gathered, gather
from musegen.score.formats.parts import COMPOSER
from musegen.score.formats.sounds import SMALLEST, Dynamics, join_ties, name_dropped, notated_time, rows
from musegen.score.model import (
    NOTE_DTYPE,
    PROGRAM_DTYPE,
    Array,
    Chord,
    KeySignature,
    Score,
    Tempo,
    Text,
    TimeSignature,
    Track,
    frozen,
)

_ROWS_KEPT = ("controls", "bends", "program_changes", "pressures", "releases")
_EVENTS_KEPT = ("texts", "others")


# ---- Score -> stream -----------------------------------------------------------------------------------------


def to_music21(score: Score) -> Any:
    """The Score as a music21.stream.Score: a Part each Track, every note a Note at its offset in quarters.

    Metres, keys, tempi, markers and chord symbols stand in the first Part, metres and keys in all. Bars and ties
    are made by music21 when it shows or writes the stream. What music21 has no place for (controllers, bends, texts,
    lyrics on no note ...) goes along in `editorial` and comes back with from_music21.
    """
    from music21 import metadata, stream  # slow to import, and most callers need no bridge

    result = stream.Score()
    result.insert(0, metadata.Metadata())
    result.metadata.title = score.title or None
    result.editorial[KEPT] = {
        "ticks_per_beat": score.ticks_per_beat, "end": score.end, "texts": score.texts, "others": score.others,
    }  # fmt: skip
    for number, track in enumerate(score.tracks or (Track(),)):
        part = stream.Part(id=f"P{number + 1}")
        part.partName = track.name or None
        part.atSoundingPitch = True
        for offset, element in _frame_elements(score, whole=number == 0):
            part.insert(offset, element)
        lyrics = list(track.lyrics)
        for offset, element in _sounding_elements(score, track, lyrics):
            part.insert(offset, element)
        part.editorial[KEPT] = {
            "ticks_per_beat": score.ticks_per_beat, "name": track.name, "is_drum": track.is_drum,
            "program": track.program, "channel": track.channel, "lyrics": tuple(lyrics),
            **{name: getattr(track, name) for name in (*_ROWS_KEPT, *_EVENTS_KEPT)},
        }  # fmt: skip
        result.insert(0, part)
    return result


def _frame_elements(score: Score, *, whole: bool) -> Iterator[tuple[Fraction, Any]]:
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


def _sounding_elements(score: Score, track: Track, lyrics: list[Text]) -> Iterator[tuple[Fraction, Any]]:
    """(offset, element) of the instrument and the notes.

    A lyric goes to the first note that begins with it, and out of `lyrics`.
    """
    from music21 import duration, instrument, note  # as above
    from music21 import pitch as pitches

    player: Any = instrument.UnpitchedPercussion() if track.is_drum else None
    if player is None:
        player = instrument.instrumentFromMidiProgram(track.program)
    player.midiProgram = track.program
    player.midiChannel = DRUM_CHANNEL if track.is_drum else track.channel
    player.partName = track.name or None
    yield Fraction(0), player
    by_time = {lyric.time: lyric for lyric in reversed(lyrics) if lyric.text.strip() == lyric.text != ""}
    for start, pitch, ticks, velocity in track.notes.tolist():
        length = duration.Duration(quarterLength=Fraction(ticks, score.ticks_per_beat))
        # By name: Note(0) is not pitch 0, and Note(5) has no octave.
        element = note.Note(pitches.Pitch(midi=pitch), duration=length)
        element.volume.velocity = velocity
        if start in by_time:
            lyric = by_time.pop(start)
            lyrics.remove(lyric)
            element.lyrics = [note.Lyric(lyric.text, applyRaw=True)]
        yield Fraction(start, score.ticks_per_beat), element


# ---- stream -> Score -----------------------------------------------------------------------------------------


def from_music21(
    stream: Any,
    *,
    ticks_per_beat: int | None = None,
    notated: bool = False,
    warn: Callable[[str], None] = lambda _: None,
) -> Score:
    """A Score of a music21 stream.

    Times go to the nearest tick. By default the resolution is the least multiple of 480 that holds every time
    exactly, or 480 where there is none. If `notated`, times are first put where note values and tuplets can say,
    since files of a coarse resolution round their triplets. `warn` gets a line that counts what is left out.
    """
    from music21 import stream as streams  # as above

    parts = list(stream.parts) if isinstance(stream, streams.Score) and stream.parts else [stream]
    bars = find_bars(parts)
    shared: dict[str, Dynamics] = {}
    gathered = [
        gather(part, number, bars, shared.setdefault(_instrument_of(part, number), Dynamics()))
        for number, part in enumerate(parts)
    ]
    for part in gathered:
        part.sounds = join_ties(part.sounds)
        if notated:
            for sound in part.sounds:
                start, end = notated_time(sound.start), notated_time(sound.end)
                if start == end and not sound.grace and sound.end > sound.start:
                    end += SMALLEST
                sound.start, sound.end = start, end
    resolution = ticks_per_beat or _resolution(gathered, bars)

    def ticks(quarters: Fraction) -> int:
        return round(quarters * resolution)

    kept = stream.editorial.get(KEPT, {}) if stream.hasEditorialInformation and stream is not parts[0] else {}
    title, texts = _title(stream)
    score = Score(
        ticks_per_beat=resolution,
        tracks=tuple(_track(part, ticks, resolution) for part in gathered),
        title=title,
        end=max(ticks(bars.starts[-1]), _scaled(kept.get("end", 0), kept, resolution)),
        texts=texts + _events(kept, "texts", resolution),
        others=_events(kept, "others", resolution),
        **_frame(gathered, bars, ticks),
    )
    name_dropped(sum((part.dropped for part in gathered), Counter()), warn)
    return score


def _instrument_of(part: Any, number: int) -> str:
    """The staves of one instrument, which share their dynamics, have the same."""
    name, staff, _ = str(part.id).partition("-Staff")
    return name if staff else f"part {number}"


def _resolution(parts: list[Gathered], bars: Bars) -> int:
    times: set[Fraction] = {time for part in parts for sound in part.sounds for time in (sound.start, sound.end)}
    for part in parts:
        tables: tuple[list[Any], ...] = (
            part.lyrics, part.tempos, part.keys, part.chords, part.metres, part.markers, part.instruments,
        )  # fmt: skip
        times.update(row[0] for table in tables for row in table)
    times.update(bars.starts)
    return resolution_for(times)


def _frame(parts: list[Gathered], bars: Bars, ticks: Callable[[Fraction], int]) -> dict[str, Any]:
    """What belongs to no single Track, as arguments of Score; what several parts say stands once."""

    def once(items: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return list(dict.fromkeys(items))

    if any(bars.measures):
        signatures = list(metres(bars.starts, bars.metres, ticks))
    else:
        signatures = [
            TimeSignature(ticks(time), *metre) for time, *metre in once(m for part in parts for m in part.metres)
        ]
    tempos = dict(once((ticks(time), value) for part in reversed(parts) for time, value in part.tempos))
    # The keys of the first part that has any: those of a transposing instrument are spelt otherwise.
    order = sorted(parts, key=lambda part: (part.is_drum, part.transposes))
    keys = next((part.keys for part in order if part.keys), [])
    return {
        "tempos": tuple(Tempo(time, value) for time, value in tempos.items()),
        "time_signatures": tuple(signatures),
        "key_signatures": tuple(KeySignature(ticks(time), *key) for time, *key in once(keys)),
        "markers": tuple(Text(ticks(time), text) for time, text in once(m for part in parts for m in part.markers)),
        "chords": tuple(Chord(ticks(time), symbol) for time, symbol in once(c for p in parts for c in p.chords)),
    }


def _track(part: Gathered, ticks: Callable[[Fraction], int], resolution: int) -> Track:
    kept = part.kept
    programs = [(ticks(time), part.program_at(place)) for place, (time, _) in enumerate(part.instruments)]
    said = [(time, program) for time, program in programs if program is not None]
    changes = [(time, program) for time, program in said if time > 0]
    lyrics = [Text(ticks(time), text) for time, text in part.lyrics]
    lyrics += _events(kept, "lyrics", resolution)
    track = Track(
        notes=frozen(rows(part.sounds, part.dynamics, ticks, resolution), NOTE_DTYPE),
        program=kept.get("program", said[0][1] if said and said[0][0] == 0 else 0),
        is_drum=part.is_drum,
        name=part.name,
        channel=kept.get("channel"),
        program_changes=frozen(
            [c for c, before in zip(changes, said, strict=False) if c[1] != before[1]], PROGRAM_DTYPE
        ),
        lyrics=tuple(sorted(lyrics, key=lambda lyric: lyric.time)),
        texts=_events(kept, "texts", resolution),
        others=_events(kept, "others", resolution),
    )
    tables: dict[str, Any] = {name: _rows(kept[name], kept, resolution) for name in _ROWS_KEPT if name in kept}
    return replace(track, **tables)


def _scaled(tick: int, kept: dict[str, Any], resolution: int) -> int:
    """A tick of the Score that a stream was made of, in the resolution of the one made of the stream."""
    return round(Fraction(tick * resolution, kept.get("ticks_per_beat", resolution)))


def _events(kept: dict[str, Any], name: str, resolution: int) -> tuple[Any, ...]:
    return tuple(replace(event, time=_scaled(event.time, kept, resolution)) for event in kept.get(name, ()))


def _rows(table: Array, kept: dict[str, Any], resolution: int) -> Array:
    if kept["ticks_per_beat"] == resolution:
        return table
    moved: Array = table.copy()
    moved["time"] = [_scaled(time, kept, resolution) for time in table["time"].tolist()]
    return moved


def _title(stream: Any) -> tuple[str, tuple[Text, ...]]:
    """The title, and the composer as a text."""
    if stream.metadata is None:
        return "", ()
    title = stream.metadata.title or stream.metadata.movementName or ""
    composer = stream.metadata.composer
    return str(title), (Text(0, COMPOSER + str(composer)),) if composer else ()
