"""Standard MIDI file bytes <-> events with their ticks: the container, not the music.

Compiled patterns find the runs of channel messages; NumPy takes all runs of a file apart at once. A message of two
data bytes has exactly three bytes below 0x80 (the last byte of its wait, and its data), and a byte of 0x80 or more
before the first of them belongs to the wait, before the second is the status. So no message needs a look of its own,
and the cost is a few passes over arrays. Meta and sysex events are few and are taken one by one.

`split` and `scan` read sound files only, and raise Unsound at the first byte that is not; repair.py then makes sound
bytes of what there is.

Source: The Complete MIDI 1.0 Detailed Specification, "Standard MIDI Files 1.0" (RP-001).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from musegen.errors import FileFormatError
from musegen.score.formats.options import Limits
from musegen.score.model import Array

MAX_TICK = 2**31 - 1
"""The last tick: what other readers can hold."""
MAX_DELTA = 2**28 - 1
"""The longest wait between two events that a file can state."""

NOTE_OFF, NOTE_ON, KEY_PRESSURE, CONTROL, PROGRAM, CHANNEL_PRESSURE, BEND = range(0x80, 0xF0, 0x10)
SYSEX, ESCAPE, META = 0xF0, 0xF7, 0xFF
_HIGHS = bytes(range(0x80, 0x100))
_SYSEX_STATUSES = frozenset((SYSEX, ESCAPE))
_SHORT_STATUSES = frozenset(range(0xC0, 0xE0))
TEXT, NAME, LYRIC, MARKER, END_OF_TRACK, TEMPO = 0x01, 0x03, 0x05, 0x06, 0x2F, 0x51
SMPTE_OFFSET, METRE, KEY = 0x54, 0x58, 0x59
"""Kinds of meta event."""

PAUSE = b"\xff\x7f\0"
"""A sequencer-specific event that says nothing: where a wait is longer than a file can state, it is cut by these."""

DRUM_CHANNEL = 9
CHORD_PREFIX = "chord: "
"""How a text event of the conductor begins that is a chord symbol."""

_HIGH, _LOW = rb"[\x80-\xff]", rb"[\x00-\x7f]"
_DELTA = _HIGH + rb"{0,3}" + _LOW
HEAD = re.compile(_DELTA + rb"(" + _HIGH + rb"?)")
"""A wait, and the status behind it if it says one."""
VARIABLE = re.compile(_DELTA)
"""A number of variable length."""


_STATUS = rb"[\x80-\xbf\xe0-\xef]"
_DATA = _LOW + _LOW
# The frequent shapes of a message stand apart, which is four times as quick. Bounded, since the engine keeps a note of
# every repetition it may have to take back.
RUN = re.compile(
    rb"(?:" + rb"|".join((_LOW + _DATA, _LOW + _STATUS + _DATA, _HIGH + rb"{1,3}" + _LOW + _STATUS + rb"?" + _DATA))
    + rb"){1,5000}"
)  # fmt: skip
"""A run of messages of two data bytes; the first may have no status of its own."""
SHORT = re.compile(_DELTA + rb"[\xc0-\xdf]?(" + _LOW + rb")")
"""A message of one data byte, which may have no status of its own."""


class Unsound(Exception):  # noqa: N818  # it is caught and mended, no error that a user meets
    """The bytes break the rules of the format; never leaves this package."""


@dataclass(frozen=True)
class Header:
    """What the header says: format, how many tracks, and ticks a quarter or, with the highest bit set, SMPTE time."""

    midi_format: int
    n_tracks: int
    division: int


@dataclass(frozen=True, eq=False)
class Events:
    """What the track chunks of a file hold.

    Attributes:
        order: the messages of two data bytes (notes, controllers, bends, aftertouch of a key) as arrays of one length,
            in file order: their place among all events of the file (int64);
        tick: from the beginning of their chunk (int64);
        chunk: the number of their chunk (int64);
        status, data1, data2: their bytes (uint8).
        shorts: those of one (programs, aftertouch of a channel): (order, tick, chunk, status, data).
        specials: for each chunk (tick, status, kind, data) of the meta and sysex events but its end; the kind of a
            sysex event is its status.
        ends: the tick at which each chunk ends.
        bare: how often a status runs on behind a meta or sysex event, which the standard forbids.
    """

    order: Array
    tick: Array
    chunk: Array
    status: Array
    data1: Array
    data2: Array
    shorts: list[tuple[int, int, int, int, int]]
    specials: list[list[tuple[int, int, int, bytes]]]
    ends: list[int]
    bare: int


def split(data: bytes) -> tuple[Header, list[bytes]]:
    """Take a sound file apart: its header and the bodies of its track chunks.

    Raises:
        Unsound: unless it is a header of six bytes and track chunks, up to the last byte.
    """
    if data[:8] != b"MThd\0\0\0\6" or len(data) < 14:
        raise Unsound
    header = Header(*struct.unpack_from(">HHH", data, 8))
    bodies = []
    position = 14
    while position < len(data):
        start = position + 8
        position = start + int.from_bytes(data[start - 4 : start], "big")
        if data[start - 8 : start - 4] != b"MTrk" or position > len(data):
            raise Unsound
        bodies.append(data[start:position])
    if not bodies or header.midi_format > 2 or not header.division:
        raise Unsound
    return header, bodies


def scan(bodies: Sequence[bytes], limits: Limits) -> Events:
    """Read the events of sound track chunks.

    Raises:
        Unsound: at anything that is no event, and where a chunk does not end with its end.
        FileFormatError: if there are more events than `limits` allows.
    """
    parts = _Parts(limits)
    for body in bodies:
        parts.add(body)
    limits.check("events", sum(map(len, parts.runs)) // 4 + len(parts.waits))
    return _placed(parts)


class _Parts:
    """The chunks cut into runs of messages of two data bytes and single events of other kinds, in file order.

    Attributes:
        waits: the wait of each single event, RUN for a run.
        runs: the bytes of each run.
        firsts: for each chunk how many parts stand before it.
        shorts: (part, chunk, status, data).
        specials: for each chunk (part, status, kind, data).
        bare: how often a status runs on behind a special.
    """

    RUN = -1

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.waits: list[int] = []
        self.runs: list[bytes] = []
        self.firsts: list[int] = []
        self.shorts: list[tuple[int, int, int, int]] = []
        self.specials: list[list[tuple[int, int, int, bytes]]] = []
        self.bare = 0

    def add(self, body: bytes) -> None:
        """Cut one chunk.

        Raises:
            Unsound: at anything that is no event, and where the chunk does not end with its end.
            FileFormatError: if there are more events to be read one by one than the limits allow.
        """
        self.firsts.append(len(self.waits))
        specials: list[tuple[int, int, int, bytes]] = []
        self.specials.append(specials)
        position = running = 0
        special = False
        while True:
            if len(self.waits) > self._limits.singles:
                self._limits.stop("singles")
            head = HEAD.match(body, position)
            if head is None:
                raise Unsound
            said = head[1]
            status = said[0] if said else running
            if not said:
                self.bare += special and status > 0
            if 0 < status < SYSEX:
                running, special = status, False
                if status in _SHORT_STATUSES:
                    position = self._add_short(body, position, head.end() - len(said), status)
                    continue
                run = RUN.match(body, position)
                if run is None:
                    raise Unsound
                position = run.end()
                self.runs.append(run[0])
                self.waits.append(self.RUN)
                continue
            wait = number(body, position, head.end() - 1)
            kind, start, position = _special(body, head.end(), status)
            if kind == END_OF_TRACK and status == META:
                self.waits.append(wait)
                break
            specials.append((len(self.waits), status, kind, body[start:position]))
            self.waits.append(wait)
            special = True
        if position != len(body):
            raise Unsound

    def _add_short(self, body: bytes, position: int, stop: int, status: int) -> int:
        """A message of one data byte whose wait goes up to `stop`; where it ends."""
        short = SHORT.match(body, position)
        if short is None:
            raise Unsound
        self.shorts.append((len(self.waits), len(self.firsts) - 1, status, short[1][0]))
        self.waits.append(number(body, position, stop))
        return short.end()


def _special(body: bytes, position: int, status: int) -> tuple[int, int, int]:
    """Kind, start and stop of the data of the meta or sysex event whose status stands before `position`."""
    kind = status
    if status == META:
        kind = body[position] if position < len(body) else META
        position += 1
    length = VARIABLE.match(body, position)
    if length is None or (kind > 0x7F if status == META else status not in _SYSEX_STATUSES):
        raise Unsound
    start = length.end()
    stop = start + number(body, position, start)
    if stop > len(body) or (kind == END_OF_TRACK and stop > start):
        raise Unsound
    return kind, start, stop


def number(data: bytes, start: int, stop: int) -> int:
    """The number of variable length in these bytes."""
    value = 0
    for byte in data[start:stop]:
        value = value << 7 | byte & 0x7F
    return value


def _placed(parts: _Parts) -> Events:
    """Ticks for everything: the waits of all events in file order, added up."""
    wait, status, data = _decode(b"".join(parts.runs))
    waits = np.array(parts.waits, np.int64)
    runs = (waits == parts.RUN).nonzero()[0]
    lengths = np.array([len(run.translate(None, _HIGHS)) // 3 for run in parts.runs], np.int64)
    counts = np.ones(len(waits), np.int64)
    counts[runs] = lengths
    starts = counts.cumsum() - counts
    all_waits = np.empty(len(wait) + len(waits) - len(runs), np.int64)
    all_waits[starts] = waits
    order = np.arange(len(wait)) + (starts[runs] - lengths.cumsum() + lengths).repeat(lengths)
    all_waits[order] = wait
    tick = all_waits.cumsum()
    first = starts[parts.firsts]
    bases = (tick[first] - all_waits[first]).tolist()
    if len(bases) == 1:
        chunk, ticks = np.zeros(len(order), np.int64), tick[order]
    else:
        chunk = first.searchsorted(order, side="right") - 1
        ticks = tick[order] - np.array(bases)[chunk]
    at, places = tick[starts].tolist(), starts.tolist()
    last = [*(number - 1 for number in parts.firsts[1:]), len(at) - 1]
    return Events(
        order=order,
        tick=ticks,
        chunk=chunk,
        status=status,
        data1=data[:, 0],
        data2=data[:, 1],
        shorts=[
            (places[part], at[part] - bases[of_chunk], of_chunk, status, data)
            for part, of_chunk, status, data in parts.shorts
        ],
        specials=[
            [(at[part] - start, status, kind, data) for part, status, kind, data in of_chunk]
            for start, of_chunk in zip(bases, parts.specials, strict=True)
        ],
        ends=[at[part] - start for part, start in zip(last, bases, strict=True)],  # the last part is the end of track
        bare=parts.bare,
    )


def _decode(stream: bytes) -> tuple[Array, Array, Array]:
    """Take runs of messages of two data bytes, joined, apart: waits (n,) int64, statuses (n,), data (n, 2)."""
    bytes_ = np.frombuffer(stream, np.uint8)
    lows = np.frombuffer(stream.translate(None, _HIGHS), np.uint8).reshape(-1, 3)
    places = (bytes_ >= 0x80).nonzero()[0]
    highs = bytes_[places]
    message, phase = np.divmod(places - np.arange(len(places)), 3)  # by how many lower bytes stand before it
    said = phase.nonzero()[0]
    status = np.zeros(len(lows), np.uint8)
    status[message[said]] = highs[said]
    if len(said) < len(lows):
        status = status[np.maximum.accumulate(np.where(status, np.arange(len(lows)), 0))]
    wait = lows[:, 0].astype(np.int64)
    if len(said) < len(places):
        _add_longer(wait, message[phase == 0], highs[phase == 0].astype(np.int64) & 0x7F)
    return wait, status, lows[:, 1:]


def _add_longer(wait: Array, message: Array, more: Array) -> None:
    """Add, in place, the bits of the bytes before the last of each wait; `message` rises, `more` has their values."""
    same = message[1:] == message[:-1]
    if not same.any():
        wait[message] += more << 7
        return
    power = np.full(len(message), 7)  # of two; a byte that others of its wait follow stands higher
    power[:-1] += 7 * same
    power[:-2] += 7 * (same[1:] & same[:-1])
    for bits in (7, 14, 21):  # at each, a wait has one byte at most
        chosen = (power == bits).nonzero()[0]
        wait[message[chosen]] += more[chosen] << bits


def says_status(run: bytes) -> bool:
    """Whether the first message of a run says its status."""
    head = HEAD.match(run)
    return head is not None and head[1] != b""


def last_status(run: bytes) -> int:
    """The last status that a run of messages of two data bytes says; 0 if it says none."""
    return int(_decode(run)[1][-1])


def smpte(division: int) -> tuple[int, int]:
    """Ticks a quarter and microseconds a quarter that last as long as the ticks of SMPTE time.

    Its upper byte is minus the frames a second (29 stands for 30000/1001), its lower one the ticks a frame.

    Raises:
        FileFormatError: for a rate that is none of SMPTE's, or no ticks.
    """
    frames, ticks = 256 - (division >> 8), division & 0xFF
    if frames not in {24, 25, 29, 30} or not ticks:
        raise FileFormatError(
            f"its time is {ticks} ticks in each of {frames} frames a second, which no SMPTE clock has; save it with "
            "ticks per quarter note"
        )
    a_second = (30 if frames == 29 else frames) * ticks
    quarters = 2 if a_second % 2 == 0 else 1
    return a_second // quarters, round(1_000_000 / quarters * (1.001 if frames == 29 else 1))


def join(ticks_per_beat: int, chunks: Iterable[bytes], midi_format: int = 1) -> bytes:
    """A file of these track chunks' bodies."""
    bodies = list(chunks)
    parts = [struct.pack(">4sIHHH", b"MThd", 6, midi_format, len(bodies), ticks_per_beat)]
    for body in bodies:
        parts += (b"MTrk", struct.pack(">I", len(body)), body)
    return b"".join(parts)


def meta(kind: int, data: bytes) -> bytes:
    """A meta event without its wait."""
    return bytes((META, kind)) + variable(len(data)) + data


def variable(value: int) -> bytes:
    """`value` as a number of variable length.

    Raises:
        FileFormatError: if it is too large for the format.
    """
    if value < 0x80:
        return _SHORT[value]
    if value > MAX_DELTA:
        raise FileFormatError(f"a wait of {value} ticks does not fit a MIDI file; the most is {MAX_DELTA}")
    tail = [value & 0x7F]
    while value := value >> 7:
        tail.append(value & 0x7F | 0x80)
    return bytes(reversed(tail))


_SHORT = [bytes((value,)) for value in range(0x80)]


def clocks_per_click(power: int) -> int:
    """MIDI clocks in the note of a metre's denominator 2 ** power, the usual click of a metronome."""
    return max(1, 96 >> power)
