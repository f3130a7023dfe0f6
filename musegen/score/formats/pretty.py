"""pretty_midi's objects <-> Score. Their times are seconds, ours ticks; the tempo map turns one into the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from musegen.errors import FileFormatError
from musegen.score.formats.parts import by_program
from musegen.score.model import (
    BEND_DTYPE,
    CONTROL_DTYPE,
    NOTE_DTYPE,
    Array,
    Score,
    Tempo,
    Text,
    TimeSignature,
    Track,
    frozen,
)
from musegen.score.theory import Key, key_of_pitch_class
from musegen.score.timing import Timed, tick_to_second

if TYPE_CHECKING:
    import pretty_midi

MAX_TICK = 10_000_000
"""pretty_midi lays out every tick, and refuses more than this."""


def to_pretty_midi(score: Score) -> pretty_midi.PrettyMIDI:
    """The Score as a pretty_midi.PrettyMIDI; `from_pretty_midi` finds the same ticks again.

    A Track with several programs becomes an instrument for each, controllers and bends with the first. What such
    an object cannot hold is left out: title, channels, markers, chord symbols, texts of Tracks, which Track a
    lyric is of, how a key is spelt, and silence at the end.

    Raises:
        FileFormatError: if the Score is longer than the 10 million ticks that pretty_midi bears.
    """
    import pretty_midi as pm  # slow to import, and most callers need no bridge

    if score.end > MAX_TICK:
        raise FileFormatError(f"the piece has {score.end} ticks; pretty_midi takes no more than {MAX_TICK}")
    midi = pm.PrettyMIDI(resolution=score.ticks_per_beat)
    scales = {0: 0.5 / score.ticks_per_beat}
    for tempo in score.tempos:
        scales[tempo.time] = tempo.microseconds_per_quarter / 1e6 / score.ticks_per_beat
    midi._tick_scales = list(scales.items())  # noqa: SLF001  # the only way to give it a tempo map
    midi._update_tick_to_time(score.end + 1)  # noqa: SLF001  # likewise

    def timed(events: Sequence[Any]) -> Iterable[tuple[Any, float]]:
        return zip(events, _seconds(score, events), strict=True)

    midi.time_signature_changes = [
        pm.TimeSignature(metre.numerator, metre.denominator, time) for metre, time in timed(score.time_signatures)
    ]
    midi.key_signature_changes = [
        pm.KeySignature(Key.from_signature(key).tonic_pc + 12 * (key.mode == "minor"), time)
        for key, time in timed(score.key_signatures)
    ]
    lyrics = sorted((lyric for track in score.tracks for lyric in track.lyrics), key=lambda lyric: lyric.time)
    midi.lyrics = [pm.Lyric(lyric.text, time) for lyric, time in timed(lyrics)]
    midi.text_events = [pm.Text(text.text, time) for text, time in timed(score.texts)]
    for track in score.tracks:
        midi.instruments += _instruments(score, track)
    return midi


def _seconds(score: Score, events: Sequence[Timed]) -> list[float]:
    return _list(tick_to_second(score, np.array([event.time for event in events], np.int64)))


def _list(array: Array) -> list[Any]:
    return list(array.tolist())


def _instruments(score: Score, track: Track) -> list[pretty_midi.Instrument]:
    """One instrument for each program of the Track."""
    import pretty_midi as pm  # as above

    instruments = []
    for program, notes in by_program(track):
        starts = _list(tick_to_second(score, notes["start"]))
        ends = _list(tick_to_second(score, notes["start"] + notes["duration"]))
        instrument = pm.Instrument(program, track.is_drum, track.name)
        columns = zip(_list(notes["velocity"]), _list(notes["pitch"]), starts, ends, strict=True)
        instrument.notes = [pm.Note(*column) for column in columns]
        instruments.append(instrument)
    times = _list(tick_to_second(score, track.controls["time"]))
    rows = zip(_list(track.controls["number"]), _list(track.controls["value"]), times, strict=True)
    instruments[0].control_changes = [pm.ControlChange(*row) for row in rows]
    times = _list(tick_to_second(score, track.bends["time"]))
    pairs = zip(_list(track.bends["value"]), times, strict=True)
    instruments[0].pitch_bends = [pm.PitchBend(*pair) for pair in pairs]
    return instruments


def from_pretty_midi(midi: pretty_midi.PrettyMIDI) -> Score:
    """A Score of a pretty_midi.PrettyMIDI, in its own resolution, each time at the nearest tick.

    Its lyrics become a Track of their own, as they belong to none.
    """
    scales = midi._tick_scales  # noqa: SLF001  # get_tempo_changes rounds what this says exactly
    resolution = int(midi.resolution)
    tempos = tuple(Tempo(int(tick), round(scale * resolution * 1e6)) for tick, scale in scales)
    frame = Score(ticks_per_beat=resolution, tempos=tempos)
    first_ticks = np.array([tempo.time for tempo in tempos], np.int64)
    first_seconds = tick_to_second(frame, first_ticks)
    seconds_per_tick = np.array([tempo.microseconds_per_quarter for tempo in tempos]) / 1e6 / resolution

    def ticks(seconds: Iterable[float]) -> Array:
        wanted = np.array(list(seconds), np.float64)
        stretch = np.maximum(np.searchsorted(first_seconds, wanted, side="right") - 1, 0)
        since = (wanted - first_seconds[stretch]) / seconds_per_tick[stretch]
        return first_ticks[stretch] + np.rint(since).astype(np.int64)

    def texts(events: Sequence[Any]) -> tuple[Text, ...]:
        times = _list(ticks(event.time for event in events))
        return tuple(Text(time, event.text) for event, time in zip(events, times, strict=True))

    def track(part: pretty_midi.Instrument) -> Track:
        starts, ends = ticks(note.start for note in part.notes), ticks(note.end for note in part.notes)
        pitches, velocities = [note.pitch for note in part.notes], [note.velocity for note in part.notes]
        controls, bends = part.control_changes, part.pitch_bends
        control_times = ticks(control.time for control in controls)
        numbers, values = [control.number for control in controls], [control.value for control in controls]
        bend_times = ticks(bend.time for bend in bends)
        return Track(
            notes=frozen(zip(starts, pitches, ends - starts, velocities, strict=True), NOTE_DTYPE),
            program=int(part.program),
            is_drum=bool(part.is_drum),
            name=part.name,
            controls=frozen(zip(control_times, numbers, values, strict=True), CONTROL_DTYPE),
            bends=frozen(zip(bend_times, (bend.pitch for bend in bends), strict=True), BEND_DTYPE),
        )

    tracks = [track(part) for part in midi.instruments]
    if midi.lyrics:
        tracks.append(Track(lyrics=texts(midi.lyrics)))
    metres, keys = midi.time_signature_changes, midi.key_signature_changes
    return Score(
        ticks_per_beat=resolution,
        tracks=tuple(tracks),
        tempos=tempos,
        time_signatures=tuple(
            TimeSignature(time, metre.numerator, metre.denominator)
            for metre, time in zip(metres, _list(ticks(metre.time for metre in metres)), strict=True)
        ),
        key_signatures=tuple(
            key_of_pitch_class(key.key_number % 12, "minor" if key.key_number >= 12 else "major").signature(time)
            for key, time in zip(keys, _list(ticks(key.time for key in keys)), strict=True)
        ),
        texts=texts(midi.text_events),
        end=int(ticks([midi.get_end_time()])[0]),
    )
