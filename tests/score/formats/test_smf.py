"""The container: bytes to events, hand-made."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musegen.errors import FileFormatError
from musegen.score.formats import smf

END = b"\x00\xff\x2f\x00"


def chunk(body: bytes) -> smf.Chunk:
    return smf.split(smf.join(480, [body]))[1][0]


def header(midi_format: int = 1, division: int = 480, length: int = 6) -> bytes:
    return struct.pack(">4sIHHH", b"MThd", length, midi_format, 1, division) + bytes(length - 6)


def track(body: bytes) -> bytes:
    return b"MTrk" + struct.pack(">I", len(body)) + body


def messages(found: smf.Chunk) -> list[tuple[int, int, int, int]]:
    columns = (found.tick.tolist(), found.status.tolist(), found.data1.tolist(), found.data2.tolist())
    return list(zip(*columns, strict=True))


def test_running_status_holds_until_a_new_one() -> None:
    body = bytes([0, 0x90, 60, 64, 10, 60, 0, 5, 0xC0, 7, 1, 8, 2, 0x81, 61, 3, 0, 62, 4]) + END
    assert messages(chunk(body)) == [
        (0, 0x90, 60, 64),
        (10, 0x90, 60, 0),
        (15, 0xC0, 7, 0),
        (16, 0xC0, 8, 0),
        (18, 0x81, 61, 3),
        (18, 0x81, 62, 4),
    ]


def test_other_events_keep_their_waits() -> None:
    body = (
        b"\x81\x00\xff\x05\x02la"  # a lyric at 128
        + bytes([2, 0x90, 60, 64])
        + b"\x03\xf0\x03\x01\x02\xf7"  # sysex at 133
        + b"\x00\xff\x7f\x00"
        + bytes([0x82, 0x80, 0x00, 0x80, 60, 64])
        + b"\x07\xff\x2f\x00"
    )
    found = chunk(body)
    assert found.metas == ((128, 5, b"la"), (133, 0x7F, b""))
    assert found.n_sysex == 1
    assert messages(found) == [(130, 0x90, 60, 64), (133 + 2 * 128 * 128, 0x80, 60, 64)]
    assert found.end == 133 + 2 * 128 * 128 + 7


@pytest.mark.parametrize("body", [b"", END, b"\x05\xff\x03\x01a"])
def test_a_track_without_messages(body: bytes) -> None:
    found = chunk(body)
    assert messages(found) == []
    assert found.end == (5 if body.startswith(b"\x05") else 0)


def test_nothing_counts_after_the_end_of_track() -> None:
    assert messages(chunk(END + bytes([0, 0x90, 60, 64]))) == []


@given(st.lists(st.tuples(st.integers(0, smf.MAX_DELTA), st.integers(0x80, 0xEF), st.integers(0, 127))))
def test_long_waits_of_every_size_are_read_back(events: list[tuple[int, int, int]]) -> None:
    tick = 0
    made: list[tuple[int, int, int, bytes]] = []
    for wait, status, data in events:
        tick = min(tick + wait, smf.MAX_TICK)
        one = 0xC0 <= status < 0xE0
        made.append((tick, 0, len(made), bytes((status, data) if one else (status, data, 5))))
    body = smf.track_body(made, tick)
    assert messages(chunk(body)) == [(at, m[0], m[1], m[2] if len(m) == 3 else 0) for at, _, _, m in made]
    assert chunk(body).end == tick


def test_runs_longer_than_one_match() -> None:
    body = bytes([1, 0x90, 60, 64, 1, 60, 0]) * 9000 + END
    found = chunk(body)
    assert len(found.tick) == found.end == 18_000


def test_chunks_of_other_kinds_and_longer_headers_are_stepped_over() -> None:
    data = header(length=10) + b"Junk" + struct.pack(">I", 3) + b"abc" + track(END)
    ticks_per_beat, chunks = smf.split(data)
    assert (ticks_per_beat, len(chunks)) == (480, 1)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty"),
        (b"hello, this is text", "not a MIDI file"),
        (b"<!DOCTYPE html>", "not a MIDI file"),
        (b"MThd\0\0", "header is cut short"),
        (header(2) + track(END), "format 2 is not supported"),
        (header(7) + track(END), "format 7 is not supported"),
        (header(division=0) + track(END), "0 ticks per quarter"),
        (header(division=0xE728) + track(END), "SMPTE"),
        (header(), "has no track"),
        (header() + track(END)[:-2], "cut short: a chunk ends 2 bytes past"),
        (header() + track(bytes([0, 60, 64])), "no MIDI event can be read at byte 22"),
        (header() + track(bytes([0, 0x90, 60])), "no MIDI event can be read at byte 22"),
        (header() + track(bytes([0, 0x90, 60, 0x90])), "no MIDI event can be read at byte 22"),
        (header() + track(bytes([0x80, 0x80, 0x80, 0x80, 0])), "no MIDI event can be read at byte 22"),
        (header() + track(b"\x00\xff"), "no MIDI event can be read"),
        (header() + track(b"\x00\xff\x05\x09la"), "no MIDI event can be read"),
        (header() + track(b"\x00\xf4"), "no MIDI event can be read"),
        (header() + track(b"\xff\xff\xff\x7f\xff\x01\x00" * 9 + END), "the most that can be read is 2147483647"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, said: str) -> None:
    with pytest.raises(FileFormatError, match=said):
        smf.split(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_track_or_an_error(body: bytes) -> None:
    try:
        found = chunk(body)
    except FileFormatError:
        return
    assert found.end <= smf.MAX_TICK
    assert (np.diff(found.tick) >= 0).all()


def test_a_wait_that_does_not_fit_is_refused() -> None:
    with pytest.raises(FileFormatError, match="a wait of 268435456 ticks does not fit"):
        smf.track_body([], smf.MAX_DELTA + 1)
