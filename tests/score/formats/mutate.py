"""Damage to MIDI files: to their bytes, and to what the bytes mean. Each mutant comes from one Random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from tests.score.formats.odd_bytes import vlq

# ---- bytes -----------------------------------------------------------------------------------------------------


def of_bytes(data: bytes, other: bytes, random: Random) -> bytes:
    """`data` damaged at one to six places; what is spliced in comes from `other`."""
    for _ in range(random.choice((1, 1, 2, 3, 6))):
        start = random.randrange(len(data) + 1)
        stop = min(len(data), start + random.choice((1, 1, 1, 2, 4, 16, 64)))
        inside = data[start:stop]
        kind = random.choice(("flip", "set", "insert", "delete", "duplicate", "splice", "truncate"))
        if kind == "flip" and inside:
            inside = bytes((inside[0] ^ 1 << random.randrange(8),)) + inside[1:]
        elif kind == "set":
            inside = bytes(random.choice((0, 1, 0x7F, 0x80, 0xF0, 0xF7, 0xFF)) for _ in inside)
        elif kind == "insert":
            inside = random.randbytes(random.choice((1, 1, 2, 5))) + inside
        elif kind == "delete":
            inside = b""
        elif kind == "duplicate":
            inside *= random.choice((2, 2, 3, 50))
        elif kind == "splice":
            begin = random.randrange(len(other) + 1)
            inside = other[begin : begin + random.choice((4, 16, 100))]
        elif kind == "truncate" and random.random() < 0.3:
            return data[:start]
        data = data[:start] + inside + data[stop:]
    return data


# ---- meaning ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """The bytes of an event: `status` is empty where it runs on; only meta events have a `kind`."""

    wait: bytes
    status: bytes
    kind: bytes
    length: bytes
    data: bytes

    def joined(self) -> bytes:
        return self.wait + self.status + self.kind + self.length + self.data


@dataclass(frozen=True)
class Chunk:
    """A chunk; `size` states another length than it has."""

    name: bytes
    events: tuple[Event, ...]
    size: int | None = None

    def joined(self) -> bytes:
        body = b"".join(event.joined() for event in self.events)
        return self.name + (len(body) if self.size is None else self.size).to_bytes(4, "big") + body


@dataclass(frozen=True)
class File:
    """A file; `fields` are format, number of tracks and division, `more` what the header holds behind them."""

    fields: tuple[int, ...]
    chunks: tuple[Chunk, ...]
    size: int = 6
    more: bytes = b""

    def joined(self) -> bytes:
        head = b"MThd" + self.size.to_bytes(4, "big") + b"".join(n.to_bytes(2, "big") for n in self.fields)
        return head + self.more + b"".join(chunk.joined() for chunk in self.chunks)


def taken_apart(data: bytes) -> File:
    """The parts of a sound file, such that joined they are its bytes again."""
    fields = tuple(int.from_bytes(data[at : at + 2], "big") for at in (8, 10, 12))
    chunks, position = [], 14
    while position < len(data):
        start = position + 8
        stop = start + int.from_bytes(data[position + 4 : start], "big")
        chunks.append(Chunk(data[position : position + 4], tuple(_events(data[start:stop]))))
        position = stop
    return File(fields, tuple(chunks))


def _events(body: bytes) -> list[Event]:
    events: list[Event] = []
    position = running = 0
    while position < len(body):
        wait = _number(body, position)
        position += len(wait)
        status = body[position : position + 1] if body[position] >= 0x80 else b""
        position += len(status)
        kind = length = b""
        code = status[0] if status else running
        if code < 0xF0:
            running, n_data = code, 1 if 0xC0 <= code < 0xE0 else 2
        else:
            kind = body[position : position + 1] if code == 0xFF else b""
            length = _number(body, position + len(kind))
            position += len(kind) + len(length)
            n_data = _value(length)
        events.append(Event(wait, status, kind, length, body[position : position + n_data]))
        position += n_data
    return events


def _number(data: bytes, start: int) -> bytes:
    stop = start
    while data[stop] >= 0x80:
        stop += 1
    return data[start : stop + 1]


def _value(number: bytes) -> int:
    value = 0
    for byte in number:
        value = value << 7 | byte & 0x7F
    return value


def of_meaning(file: File, random: Random) -> bytes:
    """The bytes of `file`, damaged in one to four places where damage means something."""
    for _ in range(random.choice((1, 1, 2, 4))):
        file = random.choice(_MUTATIONS)(file, random)
    return file.joined()


def _size(actual: int, random: Random) -> int:
    near = (actual - 8, actual - 4, actual - 1, actual + 1, actual + 4, actual + 8, 2 * actual)
    return max(0, random.choice((*near, 0, 1, 3, 4, 7, 2**16, 2**31 - 1, 2**31, 2**32 - 1)))


def _any_number(random: Random) -> bytes:
    """A number of variable length, padded, cut short or too long at times."""
    value = random.choice((0, 1, 2, 5, 0x7F, 0x80, 480, 2**14, 2**21, 2**28 - 1, random.getrandbits(28)))
    number = vlq(value)
    odd = (b"\x80" * random.randrange(1, 7) + number, number[:-1] + b"\x80", vlq(2**35 + value), b"")
    return random.choice((number, number, number, *odd))


def _header(file: File, random: Random) -> File:
    fields = list(file.fields)
    place = random.randrange(3)
    values = (
        (0, 1, 2, 3, 255, 65_535),
        (0, 1, 2, 3, 100, 65_535),
        (0, 1, 2, 7, 96, 32_767, 0x8000, 0xE728, 0xE250, 0xFFFF),
    )
    fields[place] = random.choice(values[place])
    more = random.randbytes(random.choice((0, 0, 1, 4)))
    size = random.choice((6, 6, 6 + len(more), 6 + len(more), _size(6, random)))
    return replace(file, fields=tuple(fields), more=more, size=size)


def _chunk_size(file: File, random: Random) -> File:
    def change(chunk: Chunk) -> Chunk:
        return replace(chunk, size=_size(len(chunk.joined()) - 8, random))

    return _in_a_chunk(file, random, change)


def _chunk_name(file: File, random: Random) -> File:
    name = random.choice((b"MThd", b"Junk", b"RIFF", b"MTr\0", b"\0\0\0\0", b"mtrk"))
    return _in_a_chunk(file, random, lambda chunk: replace(chunk, name=name))


def _chunks(file: File, random: Random) -> File:
    """Shuffle, repeat or lose chunks, or put a whole file behind the first."""
    chunks = list(file.chunks)
    again = tuple(random.choices(chunks, k=random.choice((0, 1, 2, 5, 40)))) if chunks else ()
    return replace(file, chunks=tuple(random.choice((random.sample(chunks, len(chunks)), [*chunks, *again], [*again]))))


def _in_a_chunk(file: File, random: Random, change: Callable[[Chunk], Chunk]) -> File:
    if not file.chunks:
        return file
    place = random.randrange(len(file.chunks))
    chunks = (*file.chunks[:place], change(file.chunks[place]), *file.chunks[place + 1 :])
    return replace(file, chunks=chunks)


def _events_of_a_chunk(file: File, random: Random) -> File:
    """Repeat, move, lose or put in events."""

    def change(chunk: Chunk) -> Chunk:
        events = list(chunk.events)
        start = random.randrange(len(events) + 1)
        stop = start + random.choice((1, 1, 2, 10, 100))
        taken, kind = events[start:stop], random.choice(("repeat", "move", "lose", "put in", "end"))
        if kind == "repeat":
            events[start:start] = taken * random.choice((1, 2, 50))
        elif kind == "move":
            del events[start:stop]
            place = random.randrange(len(events) + 1)
            events[place:place] = taken
        elif kind == "lose":
            del events[start:stop]
        elif kind == "put in":
            events[start:start] = [_any_event(random) for _ in range(random.choice((1, 1, 3)))]
        else:
            events.insert(start, Event(b"\0", b"\xff", b"\x2f", random.choice((b"\0", b"\0", b"\1")), b""))
        return replace(chunk, events=tuple(events))

    return _in_a_chunk(file, random, change)


def _any_event(random: Random) -> Event:
    """An event that may be of any kind, of any length, and of none."""
    status = random.choice((b"", bytes((random.randrange(0x80, 0xF0),)), bytes((random.randrange(0xF0, 0x100),))))
    n_data = random.choice((0, 1, 2, 2, 3, 5))
    data = bytes(random.choice((0, 1, 2, 60, 0x7F, 0x7F, random.randrange(256))) for _ in range(n_data))
    kind = length = b""
    if status in {b"\xf0", b"\xf7", b"\xff"}:
        length = random.choice((vlq(n_data), vlq(n_data), vlq(n_data), _any_number(random)))
        kind = bytes((random.choice((0, 1, 3, 5, 6, 0x20, 0x21, 0x2F, 0x51, 0x54, 0x58, 0x59, 0x7F, 0x80, 0xF0)),))
    return Event(
        random.choice((b"\0", b"\x0a", _any_number(random))), status, kind if status == b"\xff" else b"", length, data
    )


def _part_of_an_event(file: File, random: Random) -> File:
    """Change a wait, status, kind, length or data of one to twenty events of a chunk."""

    def change(chunk: Chunk) -> Chunk:
        events = list(chunk.events)
        for place in random.choices(range(len(events)), k=random.choice((1, 1, 2, 20))) if events else ():
            event = events[place]
            part = random.choice(
                ("wait", "status", "kind", "length", "data") if event.length else ("wait", "status", "data")
            )
            events[place] = replace(event, **{part: _changed(part, event, random)})
        return replace(chunk, events=tuple(events))

    return _in_a_chunk(file, random, change)


def _changed(part: str, event: Event, random: Random) -> bytes:
    if part in {"wait", "length"}:
        return _any_number(random)
    if part == "status":
        return random.choice((b"", b"", bytes((random.randrange(0x80, 0x100),)), event.status * 2))
    if part == "kind":
        return bytes((random.randrange(256),))
    data = bytearray(event.data)
    if data:
        data[random.randrange(len(data))] ^= random.choice((0x80, 0x80, 1, 0xFF))
    return random.choice((bytes(data), bytes(data), bytes(data[:-1]), bytes(data) + b"\0"))


_MUTATIONS: Sequence[Callable[[File, Random], File]] = (
    _header,
    _chunk_size,
    _chunk_name,
    _chunks,
    _events_of_a_chunk,
    _events_of_a_chunk,
    _part_of_an_event,
    _part_of_an_event,
    _part_of_an_event,
)
