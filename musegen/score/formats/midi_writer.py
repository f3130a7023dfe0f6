"""Score -> MIDI file. The rules stand in midi.py."""

from __future__ import annotations

import numpy as np

from musegen.errors import FileFormatError
from musegen.score.formats import smf
from musegen.score.model import Score, Track

MELODIC_CHANNELS = tuple(channel for channel in range(16) if channel != smf.DRUM_CHANNEL)

_FIRST, _OFF, _CONTROLS, _PROGRAMS, _BENDS, _ON = range(6)  # ranks at one tick
Event = tuple[int, int, int, bytes]
"""(tick, rank, order, message)."""


def to_bytes(score: Score) -> bytes:
    """The bytes of a MIDI file; equal Scores make equal bytes.

    Raises:
        FileFormatError: if something in the Score is out of MIDI's range; the text says what.
    """
    if score.ticks_per_beat > 0x7FFF:
        raise FileFormatError(f"{score.ticks_per_beat} ticks per beat do not fit a MIDI file; the most is 32767")
    conductor = smf.track_body(_conductor_events(score), score.end)
    bodies = [
        smf.track_body(_track_events(number, track, channel), score.end)
        for number, (track, channel) in enumerate(zip(score.tracks, channels(score), strict=True), start=1)
    ]
    return smf.join(score.ticks_per_beat, [conductor, *bodies])


def channels(score: Score) -> list[int]:
    """The channel that each Track is written on.

    Drums are on channel 9. Other Tracks keep their own channel; those without one (or on 9) get the free ones
    in turn. If these do not suffice, each program gets one and its Tracks share it; more programs than free
    channels go round them.
    """
    own = [smf.DRUM_CHANNEL if track.is_drum else track.channel for track in score.tracks]
    choose = [
        n for n, track in enumerate(score.tracks) if not track.is_drum and track.channel in {None, smf.DRUM_CHANNEL}
    ]
    free = [channel for channel in MELODIC_CHANNELS if channel not in own] or list(MELODIC_CHANNELS)
    kinds = choose if len(choose) <= len(free) else [score.tracks[n].program for n in choose]
    places = {kind: place for place, kind in enumerate(dict.fromkeys(kinds))}
    chosen = {n: free[places[kind] % len(free)] for n, kind in zip(choose, kinds, strict=True)}
    return [chosen.get(n, channel or 0) for n, channel in enumerate(own)]


def _conductor_events(score: Score) -> list[Event]:
    events: list[Event] = [(0, _FIRST, 0, smf.meta(smf.NAME, score.title.encode()))] if score.title else []

    def add(kind: int, time: int, data: bytes) -> None:
        if time < 0:
            raise FileFormatError(f"something stands at tick {time}; the first tick is 0")
        events.append((time, _FIRST, len(events) + 1, smf.meta(kind, data)))

    for tempo in score.tempos:
        if not 0 < tempo.microseconds_per_quarter < 2**24:
            said = f"{tempo.microseconds_per_quarter} microseconds a quarter"
            raise FileFormatError(f"a tempo of {said} does not fit a MIDI file")
        add(smf.TEMPO, tempo.time, tempo.microseconds_per_quarter.to_bytes(3, "big"))
    for metre in score.time_signatures:
        power = metre.denominator.bit_length() - 1
        if metre.denominator != 1 << power or not 0 < metre.numerator < 256 or power > 7:
            raise FileFormatError(f"a metre of {metre.numerator}/{metre.denominator} does not fit a MIDI file")
        clocks = metre.clocks_per_click or smf.clocks_per_click(power)
        add(smf.METRE, metre.time, bytes((metre.numerator, power, clocks, metre.thirty_seconds)))
    for key in score.key_signatures:
        if not -7 <= key.fifths <= 7 or key.mode not in {"major", "minor"}:
            raise FileFormatError(f"a key of {key.fifths} fifths {key.mode} does not fit a MIDI file")
        add(smf.KEY, key.time, bytes((key.fifths & 0xFF, key.mode == "minor")))
    for text in score.texts:
        add(smf.TEXT, text.time, text.text.encode())
    for chord in score.chords:
        add(smf.TEXT, chord.time, (smf.CHORD_PREFIX + chord.symbol).encode())
    for marker in score.markers:
        add(smf.MARKER, marker.time, marker.text.encode())
    return events


def _track_events(number: int, track: Track, channel: int) -> list[Event]:
    """The events of one Track; a Track with nothing to play and no channel states no program."""
    _check_ranges(number, track, channel)
    events: list[Event] = [(0, _FIRST, -1, smf.meta(smf.NAME, track.name.encode()))] if track.name else []
    for kind, texts in ((smf.TEXT, track.texts), (smf.LYRIC, track.lyrics)):
        for order, text in enumerate(texts):
            events.append((text.time, _FIRST, order, smf.meta(kind, text.text.encode())))
    if track == Track(name=track.name, lyrics=track.lyrics, texts=track.texts):
        return events
    events.append((0, _PROGRAMS, -1, bytes((smf.PROGRAM | channel, track.program))))
    for order, (time, program) in enumerate(track.program_changes.tolist()):
        events.append((time, _PROGRAMS, order, bytes((smf.PROGRAM | channel, program))))
    for order, (time, control, value) in enumerate(track.controls.tolist()):
        events.append((time, _CONTROLS, order, bytes((smf.CONTROL | channel, control, value))))
    for order, (time, value) in enumerate(track.bends.tolist()):
        events.append((time, _BENDS, order, bytes((smf.BEND | channel, value + 8192 & 0x7F, value + 8192 >> 7))))
    on, off = smf.NOTE_ON | channel, smf.NOTE_OFF | channel
    for order, (start, pitch, duration, velocity) in enumerate(track.notes.tolist()):
        events.append((start, _ON, 2 * order, bytes((on, pitch, velocity))))
        if duration:
            events.append((start + duration, _OFF, order, bytes((off, pitch, 64))))
        else:  # ends after it has begun
            events.append((start, _ON, 2 * order + 1, bytes((off, pitch, 64))))
    return events


def _check_ranges(number: int, track: Track, channel: int) -> None:
    notes, controls, bends, changes = track.notes, track.controls, track.bends, track.program_changes
    times = np.array([text.time for text in (*track.lyrics, *track.texts)], np.int64)
    ranges = (
        ("channel", np.array([channel]), 0, 15),
        ("pitch", notes["pitch"], 0, 127),
        ("velocity", notes["velocity"], 1, 127),
        ("duration", notes["duration"], 0, smf.MAX_TICK),
        ("program", np.append(changes["program"], track.program), 0, 127),
        ("controller number", controls["number"], 0, 127),
        ("controller value", controls["value"], 0, 127),
        ("pitch bend", bends["value"], -8192, 8191),
        ("time", np.concatenate((notes["start"], controls["time"], bends["time"], changes["time"], times)),
         0, smf.MAX_TICK),
    )  # fmt: skip
    for what, values, low, high in ranges:
        wrong = values[(values < low) | (values > high)]
        if len(wrong):
            raise FileFormatError(f"track {number}: {what} {wrong[0]} is out of range; it goes from {low} to {high}")
