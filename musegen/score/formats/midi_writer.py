"""Score -> MIDI file. The rules stand in midi.py.

The channel messages of all Tracks are laid out and sorted as arrays at once; meta and sysex events, which differ in
length, are set into the gaps left for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from musegen.errors import FileFormatError
from musegen.score.formats import smf
from musegen.score.formats.options import WriteOptions
from musegen.score.model import Array, MidiEvent, Score, Text, Track

MELODIC_CHANNELS = tuple(channel for channel in range(16) if channel != smf.DRUM_CHANNEL)
UNSAID_RELEASE = 64

_CHUNK, _TICK, _RANK, _STATUS, _DATA1, _DATA2 = range(6)  # rows of a table, a column an event
_WORDS, _OFF, _CONTROLS, _PROGRAMS, _BENDS, _PRESSURES, _ON, _END = range(8)  # ranks at one tick
_RANK_BITS, _TICK_BITS = 3, 31
_END_OF_TRACK = smf.meta(smf.END_OF_TRACK, b"")
Special = tuple[int, int, bytes]
"""(chunk, tick, message)."""
Rows = tuple[Array, int, int | Array, Array, Array]
"""(ticks, rank, status, data1, data2); data2 is -1 in messages of one data byte."""


def to_bytes(score: Score, options: WriteOptions | None = None, warn: Callable[[str], None] = lambda _: None) -> bytes:
    """The bytes of a MIDI file; equal Scores make equal bytes. `warn` gets a line for what format 0 cannot say.

    Raises:
        FileFormatError: if something in the Score is out of MIDI's range; the text says what.
    """
    midi_format = (options or WriteOptions()).midi_format
    if score.ticks_per_beat > 0x7FFF:
        raise FileFormatError(f"{score.ticks_per_beat} ticks per beat do not fit a MIDI file; the most is 32767")
    specials = [(0, tick, message) for tick, message in _conductor(score)]
    tables: list[Array] = []
    for number, (track, channel) in enumerate(zip(score.tracks, channels(score), strict=True), start=1):
        _check_ranges(number, track, channel)
        chunk = number if midi_format else 0
        specials += [(chunk, tick, message) for tick, message in _words(track, named=midi_format > 0)]
        tables += [_table(chunk, *rows) for rows in _messages(track, channel)]
    if not midi_format and any(track.name not in {"", score.title} for track in score.tracks):
        warn("format 0 has one track, so the names of the tracks are not written")
    bodies = _laid_out(1 + len(score.tracks) if midi_format else 1, tables, specials, score.end)
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


def _messages(track: Track, channel: int) -> Iterator[Rows]:
    """The channel messages of a Track, by kind; a Track with nothing to play and no channel states no program."""
    words = Track(name=track.name, lyrics=track.lyrics, texts=track.texts, others=track.others)
    if track == words:
        return
    notes, controls, bends, pressures = track.notes, track.controls, track.bends, track.pressures
    if len(notes):
        ends, lasts = notes["start"] + notes["duration"], notes["duration"] > 0
        releases = _releases(track, ends)
        yield ends[lasts], _OFF, smf.NOTE_OFF | channel, notes["pitch"][lasts], releases[lasts]
    if len(controls):
        yield controls["time"], _CONTROLS, smf.CONTROL | channel, controls["number"], controls["value"]
    changes = track.program_changes
    times, programs = np.append(0, changes["time"]), np.append(track.program, changes["program"])
    yield times, _PROGRAMS, smf.PROGRAM | channel, programs, np.full(len(times), -1)
    if len(bends):
        value = bends["value"].astype(np.int64) + 8192
        yield bends["time"], _BENDS, smf.BEND | channel, value & 0x7F, value >> 7
    if len(pressures):
        keyed = pressures["pitch"] >= 0
        status = np.where(keyed, smf.KEY_PRESSURE, smf.CHANNEL_PRESSURE) | channel
        first = np.where(keyed, pressures["pitch"], pressures["value"])
        yield pressures["time"], _PRESSURES, status, first, np.where(keyed, pressures["value"], -1)
    if len(notes) and lasts.all():
        yield notes["start"], _ON, smf.NOTE_ON | channel, notes["pitch"], notes["velocity"]
    elif len(notes):  # a note of no length ends after it has begun
        twice = np.repeat(np.arange(len(notes)), np.where(lasts, 1, 2))
        begins = np.append(True, twice[1:] != twice[:-1])
        status = np.where(begins, smf.NOTE_ON, smf.NOTE_OFF) | channel
        second = np.where(begins, notes["velocity"][twice], releases[twice])
        yield notes["start"][twice], _ON, status, notes["pitch"][twice], second


def _releases(track: Track, ends: Array) -> Array:
    """For each note the velocity of its release."""
    result = np.full(len(ends), UNSAID_RELEASE)
    if len(track.releases):
        said: dict[tuple[int, int], list[int]] = {}
        for time, pitch, value in reversed(track.releases.tolist()):
            said.setdefault((time, pitch), []).append(value)
        for index, place in enumerate(zip(ends.tolist(), track.notes["pitch"].tolist(), strict=True)):
            if said.get(place):
                result[index] = said[place].pop()
    return result


# ---- bytes -----------------------------------------------------------------------------------------------------


def _table(chunk: int, *rows: int | Array) -> Array:
    """(6, n) int64: the rows behind that of their chunk."""
    table = np.empty((6, len(rows[0]) if isinstance(rows[0], np.ndarray) else 1), np.int64)
    for row, values in enumerate((chunk, *rows)):
        table[row] = values
    return table


def _laid_out(n_chunks: int, tables: Sequence[Array], specials: Sequence[Special], end: int) -> list[bytes]:
    """The bodies of the chunks: every event behind its wait, and the end of the track at `end` or the last event."""
    words = np.full((6, len(specials)), -1, np.int64)
    words[:_STATUS] = np.array([(chunk, tick, _WORDS) for chunk, tick, _ in specials], np.int64).reshape(-1, 3).T
    events = np.concatenate((words, *tables), axis=1)
    wrong = events[_TICK][(events[_TICK] < 0) | (events[_TICK] > smf.MAX_TICK)]
    if len(wrong):
        raise FileFormatError(f"something stands at tick {wrong[0]}; ticks go from 0 to {smf.MAX_TICK}")
    ends = np.full(n_chunks, end)
    np.maximum.at(ends, events[_CHUNK], events[_TICK])
    closing = np.full((6, n_chunks), -1, np.int64)
    closing[_CHUNK], closing[_TICK], closing[_RANK] = np.arange(n_chunks), ends, _END
    events = np.concatenate((events, closing), axis=1)
    messages = [message for *_, message in specials]
    sizes = 2 + (events[_DATA2] >= 0)
    sizes[: len(messages)] = [len(message) for message in messages]
    sizes[-n_chunks:] = len(_END_OF_TRACK)
    order = ((events[_CHUNK] << _TICK_BITS | events[_TICK]) << _RANK_BITS | events[_RANK]).argsort(kind="stable")
    events, sizes = events[:, order], sizes[order]
    waits = np.diff(events[_TICK], prepend=0)
    opens = np.diff(events[_CHUNK], prepend=0) > 0
    waits[opens] = events[_TICK][opens]
    if waits.max() > smf.MAX_DELTA:
        pauses = [
            (chunk, tick, smf.PAUSE)
            for chunk, start, wait in np.stack((events[_CHUNK], events[_TICK] - waits, waits), 1).tolist()
            for tick in range(start + smf.MAX_DELTA, start + wait, smf.MAX_DELTA)
        ]
        return _laid_out(n_chunks, tables, [*specials, *pauses], end)
    out, starts = _waits_laid_out(waits, sizes)
    for offset, column in enumerate(events[_STATUS:]):
        said = (column >= 0).nonzero()[0]
        out[starts[said] + offset] = column[said]
    data = bytearray(out.tobytes())
    at = np.empty(len(order), np.int64)
    at[order] = starts
    for start, message in zip(at.tolist(), messages, strict=False):  # they stand first in the unsorted events
        data[start : start + len(message)] = message
    stops = [start + len(_END_OF_TRACK) for start in at[-n_chunks:].tolist()]
    for stop in stops:
        data[stop - len(_END_OF_TRACK) : stop] = _END_OF_TRACK
    return [bytes(data[start:stop]) for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def _waits_laid_out(wait: Array, sizes: Array) -> tuple[Array, Array]:
    """Bytes with each wait before a gap of the size that its event has, and where the gaps begin."""
    wait_sizes = 1 + (wait > 0x7F) + (wait > 0x3FFF) + (wait > 0x1FFFFF)
    stops = (wait_sizes + sizes).cumsum()
    out, starts = np.empty(int(stops[-1]), np.uint8), stops - sizes
    for back in range(1, int(wait_sizes.max()) + 1):
        has = (wait_sizes >= back).nonzero()[0]
        out[starts[has] - back] = (wait[has] >> 7 * (back - 1) & 0x7F) | (0x80 if back > 1 else 0)
    return out, starts


def _check_ranges(number: int, track: Track, channel: int) -> None:
    notes, controls, bends, changes = track.notes, track.controls, track.bends, track.program_changes
    pressures, releases = track.pressures, track.releases
    ranges = (
        ("channel", np.array([channel]), 0, 15),
        ("pitch", notes["pitch"], 0, 127),
        ("velocity", notes["velocity"], 1, 127),
        ("duration", notes["duration"], 0, smf.MAX_TICK),
        ("program", np.append(changes["program"], track.program), 0, 127),
        ("controller number", controls["number"], 0, 127),
        ("controller value", controls["value"], 0, 127),
        ("pitch bend", bends["value"], -8192, 8191),
        ("aftertouch", pressures["value"], 0, 127),
        ("pitch of an aftertouch", pressures["pitch"], -1, 127),
        ("release", releases["value"], 0, 127),
        ("time", notes["start"], 0, smf.MAX_TICK),
    )  # fmt: skip
    for what, values, low, high in ranges:
        if len(values) and (values.min() < low or values.max() > high):
            wrong = values[(values < low) | (values > high)]
            raise FileFormatError(f"track {number}: {what} {wrong[0]} is out of range; it goes from {low} to {high}")
