"""Score -> MIDI file. The rules stand in midi.py.

The channel messages of all Tracks are made as arrays at once, a kind after the other; midi_layout.py puts them in order
and writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from musegen.errors import FileFormatError
from musegen.score.formats import smf
from musegen.score.formats.midi_layout import BENDS, CONTROLS, OFF, ON, PRESSURES, PROGRAMS, Rows, laid_out, packed
from musegen.score.formats.options import WriteOptions
from musegen.score.model import Array, MidiEvent, Score, Text, Track

MELODIC_CHANNELS = tuple(channel for channel in range(16) if channel != smf.DRUM_CHANNEL)
UNSAID_RELEASE = 64

_LIMITS: dict[str, tuple[tuple[str, int, int] | None, ...]] = {
    "notes": (
        ("time", 0, smf.MAX_TICK), ("pitch", 0, 127), ("duration", 0, smf.MAX_TICK), ("velocity", 1, 127)
    ),
    "controls": (None, ("controller number", 0, 127), ("controller value", 0, 127)),
    "bends": (None, ("pitch bend", -8192, 8191)),
    "program_changes": (None, ("program", 0, 127)),
    "pressures": (None, ("pitch of an aftertouch", -1, 127), ("aftertouch", 0, 127)),
    "releases": (None, None, ("release", 0, 127)),
}  # fmt: skip
"""The name and range of each column of the arrays of a Track; every tick is looked at as well when all are there."""


def to_bytes(score: Score, options: WriteOptions | None = None, warn: Callable[[str], None] = lambda _: None) -> bytes:
    """The bytes of a MIDI file; equal Scores make equal bytes. `warn` gets a line for what format 0 cannot say.

    Raises:
        FileFormatError: if something in the Score is out of MIDI's range; the text says what.
    """
    midi_format = (options or WriteOptions()).midi_format
    if score.ticks_per_beat > 0x7FFF:
        raise FileFormatError(f"{score.ticks_per_beat} ticks per beat do not fit a MIDI file; the most is 32767")
    chunks = np.arange(1, 1 + len(score.tracks)) if midi_format else np.zeros(len(score.tracks), np.int64)
    specials = [(0, tick, message) for tick, message in _conductor(score)]
    for chunk, track in zip(chunks.tolist(), score.tracks, strict=True):
        specials += [(chunk, tick, message) for tick, message in _words(track, named=midi_format > 0)]
    rows = [
        (chunks.take(numbers), ticks, rank, messages)
        for numbers, ticks, rank, messages in _messages(score.tracks, channels(score))
    ]
    if not midi_format and any(track.name not in {"", score.title} for track in score.tracks):
        warn("format 0 has one track, so the names of the tracks are not written")
    bodies = laid_out(1 + len(score.tracks) if midi_format else 1, rows, specials, score.end)
    return smf.join(score.ticks_per_beat, bodies, midi_format)


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


def _conductor(score: Score) -> Iterator[tuple[int, bytes]]:
    """(tick, meta event) of what belongs to no Track."""
    if score.title:
        yield 0, smf.meta(smf.NAME, score.title.encode())
    for tempo in score.tempos:
        if not 0 < tempo.microseconds_per_quarter < 2**24:
            said = f"{tempo.microseconds_per_quarter} microseconds a quarter"
            raise FileFormatError(f"a tempo of {said} does not fit a MIDI file")
        yield tempo.time, smf.meta(smf.TEMPO, tempo.microseconds_per_quarter.to_bytes(3, "big"))
    for metre in score.time_signatures:
        power = metre.denominator.bit_length() - 1
        if metre.denominator != 1 << power or not 0 < metre.numerator < 256 or power > 7:
            raise FileFormatError(f"a metre of {metre.numerator}/{metre.denominator} does not fit a MIDI file")
        clocks = metre.clocks_per_click or smf.clocks_per_click(power)
        yield metre.time, smf.meta(smf.METRE, bytes((metre.numerator, power, clocks, metre.thirty_seconds)))
    for key in score.key_signatures:
        if not -7 <= key.fifths <= 7 or key.mode not in {"major", "minor"}:
            raise FileFormatError(f"a key of {key.fifths} fifths {key.mode} does not fit a MIDI file")
        yield key.time, smf.meta(smf.KEY, bytes((key.fifths & 0xFF, key.mode == "minor")))
    yield from _texts(smf.TEXT, score.texts)
    yield from _texts(smf.TEXT, [Text(chord.time, smf.CHORD_PREFIX + chord.symbol) for chord in score.chords])
    yield from _texts(smf.MARKER, score.markers)
    yield from _others(score.others)


def _words(track: Track, *, named: bool) -> Iterator[tuple[int, bytes]]:
    """(tick, meta or sysex event) of a Track."""
    if track.name and named:
        yield 0, smf.meta(smf.NAME, track.name.encode())
    yield from _texts(smf.TEXT, track.texts)
    yield from _texts(smf.LYRIC, track.lyrics)
    yield from _others(track.others)


def _texts(kind: int, texts: Sequence[Text]) -> Iterator[tuple[int, bytes]]:
    for text in texts:
        yield text.time, smf.meta(kind, text.text.encode())


def _others(events: Sequence[MidiEvent]) -> Iterator[tuple[int, bytes]]:
    for event in events:
        status, *kind = event.data[:2] if event.data[:1] == b"\xff" else event.data[:1]
        if status not in {smf.META, smf.SYSEX, smf.ESCAPE} or (kind and kind[0] > 0x7F):
            raise FileFormatError(f"an event that begins with {event.data[:2].hex()} has no place in a MIDI file")
        head = bytes((status, *kind))
        payload = event.data[len(head) :]
        yield event.time, head + smf.variable(len(payload)) + payload


def _messages(tracks: Sequence[Track], channels: Sequence[int]) -> Iterator[Rows]:
    """The channel messages of all Tracks, by kind, with the number of the Track where Rows have the chunk."""
    channel = np.array(channels, np.int64)
    yield from _programs(tracks, channel)
    _columns(tracks, "releases")  # their ranges, of those too that no note takes
    numbers, columns = _columns(tracks, "notes")
    if len(numbers):
        yield from _notes(numbers, columns, channel.take(numbers), _releases(tracks, columns[0] + columns[2]))
    numbers, columns = _columns(tracks, "controls")
    if len(numbers):
        yield numbers, columns[0], CONTROLS, packed(smf.CONTROL | channel[numbers], *columns[1:])
    numbers, columns = _columns(tracks, "bends")
    if len(numbers):
        value = columns[1] + 8192
        yield numbers, columns[0], BENDS, packed(smf.BEND | channel[numbers], value & 0x7F, value >> 7)
    numbers, columns = _columns(tracks, "pressures")
    if len(numbers):
        ticks, pitches, values = columns
        keyed = packed(smf.KEY_PRESSURE | channel[numbers], pitches, values)
        yield (
            numbers,
            ticks,
            PRESSURES,
            np.where(pitches >= 0, keyed, packed(smf.CHANNEL_PRESSURE | channel[numbers], values)),
        )


def _columns(tracks: Sequence[Track], name: str) -> tuple[Array, list[Array]]:
    """(n,) the numbers of the Tracks, from 0, of all rows of the arrays of this name, and their columns as int64.

    Raises:
        FileFormatError: if a value is out of its range.
    """
    arrays = [getattr(track, name) for track in tracks]
    sizes = [len(rows) for rows in arrays]
    if not any(sizes):
        return np.zeros(0, np.int64), []
    numbers = np.arange(len(arrays)).repeat(sizes)
    columns = [np.concatenate([rows[field] for rows in arrays], dtype=np.int64) for field in arrays[0].dtype.names]
    for limits, values in zip(_LIMITS[name], columns, strict=True):
        if limits and (values.min() < limits[1] or values.max() > limits[2]):
            first = ((values < limits[1]) | (values > limits[2])).argmax()
            raise _out_of_range(int(numbers[first]), *limits, int(values[first]))
    return numbers, columns


def _out_of_range(number: int, what: str, low: int, high: int, value: int) -> FileFormatError:
    return FileFormatError(f"track {number + 1}: {what} {value} is out of range; it goes from {low} to {high}")


def _programs(tracks: Sequence[Track], channel: Array) -> Iterator[Rows]:
    """The program of each Track and its changes; one with nothing to play and no channel states none."""
    for number, track in enumerate(tracks):
        if not 0 <= channel[number] <= 15:
            raise _out_of_range(number, "channel", 0, 15, int(channel[number]))
        if not 0 <= track.program <= 127:
            raise _out_of_range(number, "program", 0, 127, track.program)
    numbers = np.array([number for number, track in enumerate(tracks) if _plays(track)], np.int64)
    programs = np.array([track.program for track in tracks], np.int64)[numbers]
    ticks = np.zeros(len(numbers), np.int64)
    changing, columns = _columns(tracks, "program_changes")
    if len(changing):
        order = np.append(numbers, changing).argsort(kind="stable")
        numbers, ticks, programs = (
            np.append(first, later)[order]
            for first, later in zip((numbers, ticks, programs), (changing, *columns), strict=True)
        )
    yield numbers, ticks, PROGRAMS, packed(smf.PROGRAM | channel[numbers], programs)


def _plays(track: Track) -> bool:
    if track.program or track.is_drum or track.channel is not None:
        return True
    return any(len(getattr(track, name)) for name in _LIMITS)


def _notes(numbers: Array, columns: Sequence[Array], channel: Array, releases: Array) -> Iterator[Rows]:
    starts, pitches, durations, velocities = columns
    on = packed(smf.NOTE_ON | channel, pitches, velocities)
    off = packed(smf.NOTE_OFF | channel, pitches, releases)
    lasts = durations > 0
    if lasts.all():
        yield numbers, starts + durations, OFF, off
        yield numbers, starts, ON, on
        return
    yield numbers[lasts], (starts + durations)[lasts], OFF, off[lasts]
    twice = np.arange(len(starts)).repeat(np.where(lasts, 1, 2))  # a note of no length ends after it has begun
    begins = np.append(True, twice[1:] != twice[:-1])
    yield numbers[twice], starts[twice], ON, np.where(begins, on[twice], off[twice])


def _releases(tracks: Sequence[Track], ends: Array) -> Array:
    """For each note of all Tracks the velocity of its release."""
    result = np.full(len(ends), UNSAID_RELEASE)
    first = 0
    for track in tracks:
        if len(track.releases):
            said: dict[tuple[int, int], list[int]] = {}
            for time, pitch, value in reversed(track.releases.tolist()):
                said.setdefault((time, pitch), []).append(value)
            pitches = track.notes["pitch"].tolist()
            for index, place in enumerate(zip(ends[first:].tolist(), pitches, strict=False), first):
                if said.get(place):
                    result[index] = said[place].pop()
        first += len(track.notes)
    return result
