"""MIDI files (.mid, .midi) <-> Score, and miditoolkit's objects <-> Score.

Reading keeps everything that a file holds, but for how it was put into bytes. The rules:

- A chunk gives one Track for each channel in it, of format 0 too. A chunk after the first without channel messages
  gives a Track without notes. Lyrics, texts and other events of a chunk go to its first Track; texts and other events
  of the first chunk to the Score.
- The first chunk's name is the title (and the name of the Tracks in it, if it has any). Lyrics of a first
  chunk without notes become a Track of their own, which holds nothing else.
- A text "chord: Dm7" in the first chunk is a Chord.
- Of overlapping notes of one pitch in one chunk and channel, the first to begin is the first to end. Where there are
  more notes than note-offs, see pairing.py.
- `Track.program` is the first program change, if it comes before any note, otherwise 0; program changes after
  tick 0 stand in `program_changes` as well.
- Channel 9 (counted from 0) is the drums, and nothing else is.
- Release velocities of 0 and 64 count as not said. Sysex messages, copyright notices, ports and whatever else there
  is stand in `others` as they came.
- Texts are UTF-8; where they are not, Latin-1, which keeps every byte of any other encoding.
- SMPTE time becomes quarters that last as long; of format 2, each chunk is a piece of its own, and they stand one
  after the other behind markers.
- What is damaged is repaired (repair.py) and what is impossible left out (a tempo of 0, a metre of 0/4, a key of nine
  sharps), and both are counted in a warning.

Writing makes format 1: a conductor chunk, then one chunk a Track, all ending at `score.end`; or, if asked for, format
0, all in one chunk, without the names of the Tracks. At one tick come texts and other events, notes off, controllers,
program, bend, aftertouch, notes on. A wait too long for the format is cut by sequencer-specific events of no bytes,
which reading skips. Every Track that plays states its program at tick 0.
miditoolkit's own writer would lose channels, texts and the lyrics' tracks, so the bytes are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musegen.score.formats.midi_reader import from_bytes
from musegen.score.formats.midi_writer import to_bytes
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
from musegen.score.theory import Key, parse_key

if TYPE_CHECKING:
    import miditoolkit

__all__ = ["from_bytes", "from_miditoolkit", "to_bytes", "to_miditoolkit"]


def to_miditoolkit(score: Score) -> miditoolkit.MidiFile:
    """The Score as a miditoolkit.MidiFile, times in ticks.

    A Track with several programs becomes an instrument for each, controllers and bends with the first. What such
    an object cannot hold is left out: title, channels, texts, chord symbols, which Track a lyric is of, and the
    end, but for `max_tick`, which is one more.
    """
    import miditoolkit  # slow to import, and most callers need no bridge
    from miditoolkit.midi import containers

    midi = miditoolkit.MidiFile(ticks_per_beat=score.ticks_per_beat)
    midi.max_tick = score.end + 1
    midi.tempo_changes = [containers.TempoChange(tempo.qpm, tempo.time) for tempo in score.tempos]
    midi.time_signature_changes = [
        containers.TimeSignature(metre.numerator, metre.denominator, metre.time) for metre in score.time_signatures
    ]
    for signature in score.key_signatures:
        key = Key.from_signature(signature)
        name = key.tonic + ("m" if key.mode == "minor" else "")
        midi.key_signature_changes.append(containers.KeySignature(name, signature.time))
    midi.markers = [containers.Marker(marker.text, marker.time) for marker in score.markers]
    lyrics = sorted((lyric for track in score.tracks for lyric in track.lyrics), key=lambda lyric: lyric.time)
    midi.lyrics = [containers.Lyric(lyric.text, lyric.time) for lyric in lyrics]
    for track in score.tracks:
        instruments = []
        for program, notes in by_program(track):
            instrument = miditoolkit.Instrument(program, track.is_drum, track.name)
            instrument.notes = [
                containers.Note(velocity, pitch, start, start + duration)
                for start, pitch, duration, velocity in notes.tolist()
            ]
            instruments.append(instrument)
        instruments[0].control_changes = [
            containers.ControlChange(number, value, time) for time, number, value in track.controls.tolist()
        ]
        instruments[0].pitch_bends = [containers.PitchBend(value, time) for time, value in track.bends.tolist()]
        midi.instruments += instruments
    return midi


def from_miditoolkit(midi: miditoolkit.MidiFile) -> Score:
    """A Score of a miditoolkit.MidiFile; its lyrics become a Track of their own, as they belong to none."""
    tracks = [
        Track(
            notes=frozen(((n.start, n.pitch, n.end - n.start, n.velocity) for n in part.notes), NOTE_DTYPE),
            program=int(part.program),
            is_drum=bool(part.is_drum),
            name=part.name,
            controls=frozen(((c.time, c.number, c.value) for c in part.control_changes), CONTROL_DTYPE),
            bends=frozen(((b.time, b.pitch) for b in part.pitch_bends), BEND_DTYPE),
        )
        for part in midi.instruments
    ]
    if midi.lyrics:
        tracks.append(Track(lyrics=tuple(Text(lyric.time, lyric.text) for lyric in midi.lyrics)))

    def key(name: str, time: int) -> KeySignature:
        return parse_key(name).signature(time)

    return Score(
        ticks_per_beat=midi.ticks_per_beat,
        tracks=tuple(tracks),
        tempos=tuple(Tempo(tempo.time, round(60e6 / tempo.tempo)) for tempo in midi.tempo_changes),
        time_signatures=tuple(
            TimeSignature(metre.time, metre.numerator, metre.denominator) for metre in midi.time_signature_changes
        ),
        key_signatures=tuple(key(change.key_name, change.time) for change in midi.key_signature_changes),
        markers=tuple(Text(marker.time, marker.text) for marker in midi.markers),
        end=max(0, midi.max_tick - 1),
    )
