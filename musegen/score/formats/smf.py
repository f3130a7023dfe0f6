"""Standard MIDI file bytes <-> events with their ticks, each track chunk apart: the container, not the music.

The scan finds runs of channel messages with compiled patterns and decodes them all as arrays, so its cost is
that of a regular expression, not of a Python loop over events. Meta events are few and are taken one by one.

Source: The Complete MIDI 1.0 Detailed Specification, "Standard MIDI Files 1.0" (RP-001).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from musegen.errors import FileFormatError
from musegen.score.model import Array

MAX_TICK = 2**31 - 1
"""The last tick that symusic can hold."""
MAX_DELTA = 2**28 - 1
"""The longest wait between two events that a file can state."""

NOTE_OFF, NOTE_ON, KEY_PRESSURE, CONTROL, PROGRAM, CHANNEL_PRESSURE, BEND = range(0x80, 0xF0, 0x10)
SYSEX, ESCAPE, META = 0xF0, 0xF7, 0xFF
TEXT, NAME, LYRIC, MARKER, END_OF_TRACK, TEMPO, METRE, KEY = 0x01, 0x03, 0x05, 0x06, 0x2F, 0x51, 0x58, 0x59
"""Kinds of meta event."""

DRUM_CHANNEL = 9
CHORD_PREFIX = "chord: "
"""How a text event of the conductor begins that is a chord symbol."""

_DELTA = rb"[\x80-\xff]{0,3}[\x00-\x7f]"
_HEAD = re.compile(_DELTA + rb"([\x80-\xff]?)")
_LENGTH = re.compile(_DELTA)
_MESSAGE = {
    1: _DELTA + rb"[\xc0-\xdf]?[\x00-\x7f]",
    2: _DELTA + rb"[\x80-\xbf\xe0-\xef]?[\x00-\x7f]{2}",
}
_MESSAGES = {n_data: re.compile(message) for n_data, message in _MESSAGE.items()}
# Bounded, since the engine keeps a note of every repetition it may have to take back.
_RUNS = {n_data: re.compile(rb"(?:" + message + rb"){1,5000}") for n_data, message in _MESSAGE.items()}


@dataclass(frozen=True, eq=False)
class Chunk:
    """One track chunk: `body` as it stands, its channel messages as arrays of one length in file order.

    `tick` is int64, the others uint8; `data2` is 0 in messages of one data byte. `metas` are
    (tick, kind, data).
    """

    body: bytes
    tick: Array
    status: Array
    data1: Array
    data2: Array
    metas: tuple[tuple[int, int, bytes], ...]
    end: int
    n_sysex: int

    @property
    def kind(self) -> Array:
        """The upper half of each status: 0x90 for note on and so on."""
        return self.status & 0xF0

    @property
    def channel(self) -> Array:
        """The channel of each message, 0..15."""
        return self.status & 0x0F


def split(data: bytes) -> tuple[int, list[Chunk]]:
    """Take a file apart: (ticks_per_beat, track chunks). Chunks of other kinds are stepped over.

    Raises:
        FileFormatError: if it is no MIDI file of format 0 or 1 in ticks a quarter, or is damaged.
    """
    if not data:
        raise FileFormatError("the file is empty")
    if data[:4] != b"MThd":
        raise FileFormatError("not a MIDI file (it does not begin with MThd)")
    if len(data) < 14:
        raise FileFormatError("the MIDI header is cut short")
    length, midi_format, _, division = struct.unpack(">IHHH", data[4:14])
    if midi_format > 1:
        raise FileFormatError(f"MIDI format {midi_format} is not supported; save it as format 0 or 1")
    if division & 0x8000:
        raise FileFormatError("its time is in SMPTE frames; save it with ticks per quarter note")
    if division == 0:
        raise FileFormatError("it states 0 ticks per quarter note, so its times mean nothing")
    chunks = []
    position = 8 + max(6, length)
    while position + 8 <= len(data):
        kind = data[position : position + 4]
        start = position + 8
        position = start + int.from_bytes(data[position + 4 : start], "big")
        if position > len(data):
            raise FileFormatError(f"cut short: a chunk ends {position - len(data)} bytes past the end of the file")
        if kind == b"MTrk":
            chunks.append(_scan(data[start:position], start))
    if not chunks:
        raise FileFormatError("the MIDI file has no track")
    return division, chunks


def _scan(body: bytes, offset: int) -> Chunk:
    """Read the events of a track chunk; `offset` is where it stands in the file."""
    messages: list[bytes] = []  # waits and channel messages as they stand
    widths: list[tuple[int, int]] = []  # (data bytes, how many such messages), run by run
    waits: list[tuple[int, int]] = []  # (messages before it, ticks) for each event that is no channel message
    metas: list[tuple[int, int, bytes]] = []  # (index in waits, kind, data)
    position = running = n_sysex = 0  # running is 1 or 2, the data bytes of the status that runs on
    ended = False
    while position < len(body) and not ended:
        head = _HEAD.match(body, position)
        status = ord(head[1] or b"\0") if head else 0
        if head is None or not status | running:
            raise _damaged(offset + position)
        if status < SYSEX:
            running = (1 if 0xC0 <= status < 0xE0 else 2) if status else running
            run = _RUNS[running].match(body, position)
            if run is None:
                raise _damaged(offset + position)
            found = _MESSAGES[running].findall(body, position, run.end())
            messages += found
            widths.append((running, len(found)))
            position = run.end()
            continue
        waits.append((len(messages), _number(body[position : head.end() - 1])))
        kind, start, position = _special(body, head.end(), status, offset)
        if status != META:
            n_sysex += 1
        elif kind == END_OF_TRACK:
            ended = True
        else:
            metas.append((len(waits) - 1, kind, body[start:position]))
    tick, status_of, data1, data2, special = _decode(messages, widths, waits)
    end = max(int(tick[-1]) if len(tick) else 0, special[-1] if special else 0)
    if end > MAX_TICK:
        raise FileFormatError(f"it is {end} ticks long; the most that can be read is {MAX_TICK}")
    placed = tuple((special[index], kind, data) for index, kind, data in metas)
    return Chunk(body, tick, status_of, data1, data2, placed, end, n_sysex)


def _special(body: bytes, position: int, status: int, offset: int) -> tuple[int, int, int]:
    """Kind, start and stop of the data of the meta or sysex event whose status stands before `position`."""
    kind = body[position] if status == META and position < len(body) else status
    length = _LENGTH.match(body, position + (status == META))
    if status not in {META, SYSEX, ESCAPE} or length is None:
        raise _damaged(offset + position)
    stop = length.end() + _number(length[0])
    if stop > len(body):
        raise _damaged(offset + position)
    return kind, length.end(), stop


def _damaged(position: int) -> FileFormatError:
    return FileFormatError(f"damaged: no MIDI event can be read at byte {position}")


def _number(data: bytes) -> int:
    """A variable-length number."""
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
    return value


def _decode(
    messages: list[bytes], widths: list[tuple[int, int]], waits: list[tuple[int, int]]
) -> tuple[Array, Array, Array, Array, list[int]]:
    """Ticks, statuses and both data bytes of the channel messages; the ticks of the other events."""
    data = np.frombuffer(b"".join(messages), np.uint8)
    sizes = np.fromiter(map(len, messages), np.int64, len(messages))
    n_data = np.repeat([width for width, _ in widths], [count for _, count in widths]).astype(np.int64)
    ends = np.cumsum(sizes)
    data1 = data[ends - n_data]
    data2 = np.where(n_data == 2, data[ends - 1], np.uint8(0))
    before = data[ends - n_data - 1]  # the status, or the last byte of the wait where the status runs on
    explicit = before >= 0x80
    status = before[np.maximum.accumulate(np.where(explicit, np.arange(len(ends)), 0))]
    extra = sizes - n_data - 1 - explicit  # bytes of the wait before its last
    last = ends - n_data - 1 - explicit
    wait = data[last].astype(np.int64)
    for place in (1, 2, 3):
        longer = np.flatnonzero(extra >= place)
        wait[longer] += (data[last[longer] - place].astype(np.int64) & 0x7F) << (7 * place)
    tick = np.cumsum(wait)
    if not waits:
        return tick, status, data1, data2, []
    index, ticks = np.array(waits, np.int64).T
    special = np.append(0, tick)[index] + np.cumsum(ticks)
    tick += np.append(0, np.cumsum(ticks))[np.searchsorted(index, np.arange(len(tick)), side="right")]
    return tick, status, data1, data2, special.tolist()


def join(ticks_per_beat: int, chunks: Iterable[bytes]) -> bytes:
    """A format 1 file of these track chunks' bodies."""
    bodies = list(chunks)
    parts = [struct.pack(">4sIHHH", b"MThd", 6, 1, len(bodies), ticks_per_beat)]
    for body in bodies:
        parts += (b"MTrk", struct.pack(">I", len(body)), body)
    return b"".join(parts)


def track_body(events: list[tuple[int, int, int, bytes]], end: int) -> bytes:
    """The body of a track chunk of (tick, rank, order, message) events, which are sorted so.

    It closes at tick `end`, or with the last event if that is later.

    Raises:
        FileFormatError: if two events stand too far apart for the format.
    """
    parts: list[bytes] = []
    now = 0
    for tick, _, _, message in sorted(events):
        parts += (_variable(tick - now), message)
        now = tick
    parts += (_variable(max(0, end - now)), meta(END_OF_TRACK, b""))
    return b"".join(parts)


def meta(kind: int, data: bytes) -> bytes:
    """A meta event without its wait."""
    return bytes((META, kind)) + _variable(len(data)) + data


def _variable(number: int) -> bytes:
    """`number` as a variable-length number."""
    if number < 0x80:
        return _SHORT[number]
    if number > MAX_DELTA:
        raise FileFormatError(f"a wait of {number} ticks does not fit a MIDI file; the most is {MAX_DELTA}")
    tail = [number & 0x7F]
    while number := number >> 7:
        tail.append(number & 0x7F | 0x80)
    return bytes(reversed(tail))


_SHORT = [bytes((number,)) for number in range(0x80)]


def clocks_per_click(power: int) -> int:
    """MIDI clocks in the note of a metre's denominator 2 ** power, the usual click of a metronome."""
    return max(1, 96 >> power)
