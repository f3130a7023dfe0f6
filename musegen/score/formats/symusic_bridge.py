"""symusic's objects <-> Score. Their classes are made by factories that no type checker sees through, hence Any."""

from __future__ import annotations

from typing import Any

import numpy as np

from musegen.score.formats.parts import by_program
from musegen.score.model import (
    BEND_DTYPE,
    CONTROL_DTYPE,
    NOTE_DTYPE,
    KeySignature,
    Score,
    Tempo,
    Text,
    TimeSignature,
    Track,
    frozen,
)


def to_symusic(score: Score) -> Any:
    """The Score as a symusic.Score in ticks.

    A Track with several programs becomes a track for each, controllers, bends and lyrics with the first. What such an
    object cannot hold is left out: title, channels, texts, chord symbols, aftertouch, other events, and silence at
    the end.
    """
    import symusic  # most callers need no bridge

    result: Any = symusic.Score(score.ticks_per_beat)
    for tempo in score.tempos:
        result.tempos.append(symusic.Tempo(tempo.time, mspq=tempo.microseconds_per_quarter))
    for metre in score.time_signatures:
        result.time_signatures.append(symusic.TimeSignature(metre.time, metre.numerator, metre.denominator))
    for key in score.key_signatures:
        result.key_signatures.append(symusic.KeySignature(key.time, key.fifths, int(key.mode == "minor")))
    for marker in score.markers:
        result.markers.append(symusic.TextMeta(marker.time, marker.text))
    for track in score.tracks:
        for number, (program, notes) in enumerate(by_program(track)):
            part: Any = symusic.Track(track.name, program, track.is_drum)
            for start, pitch, duration, velocity in notes.tolist():
                part.notes.append(symusic.Note(start, duration, pitch, velocity))
            if number == 0:
                _add_rest(part, track)
            result.tracks.append(part)
    return result


def _add_rest(part: Any, track: Track) -> None:
    """What a symusic track holds beside its notes."""
    import symusic  # as above

    for time, number, value in track.controls.tolist():
        part.controls.append(symusic.ControlChange(time, number, value))
    for time, value in track.bends.tolist():
        part.pitch_bends.append(symusic.PitchBend(time, value))
    for lyric in track.lyrics:
        part.lyrics.append(symusic.TextMeta(lyric.time, lyric.text))


def from_symusic(score: Any) -> Score:
    """A Score of a symusic.Score in ticks; others are turned into ticks by their `to("tick")`.

    Pedals are not read, as the controllers from which symusic makes them are.
    """
    score = score.to("tick")
    return Score(
        ticks_per_beat=score.tpq,
        tracks=tuple(_track(track) for track in score.tracks),
        tempos=tuple(Tempo(tempo.time, int(tempo.mspq)) for tempo in score.tempos),
        time_signatures=tuple(TimeSignature(m.time, m.numerator, m.denominator) for m in score.time_signatures),
        key_signatures=tuple(
            KeySignature(key.time, key.key, "minor" if key.tonality else "major") for key in score.key_signatures
        ),
        markers=tuple(Text(marker.time, marker.text) for marker in score.markers),
    )


def _track(track: Any) -> Track:
    columns = track.notes.numpy()
    notes = np.zeros(len(columns["time"]), NOTE_DTYPE)
    for ours, theirs in (("start", "time"), ("pitch", "pitch"), ("duration", "duration"), ("velocity", "velocity")):
        notes[ours] = columns[theirs]
    return Track(
        notes=notes,
        program=track.program,
        is_drum=track.is_drum,
        name=track.name,
        controls=frozen([(c.time, c.number, c.value) for c in track.controls], CONTROL_DTYPE),
        bends=frozen([(b.time, b.value) for b in track.pitch_bends], BEND_DTYPE),
        lyrics=tuple(Text(lyric.time, lyric.text) for lyric in track.lyrics),
    )
