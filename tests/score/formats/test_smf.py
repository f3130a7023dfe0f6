"""The container: bytes to events, hand-made."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musegen.errors import FileFormatError
from musegen.score.formats import smf
from musegen.score.formats.options import Limits

END = b"\x00\xff\x2f\x00"


def scan(*bodies: bytes) -> smf.Events:
    return smf.scan(bodies, Limits())


def header(midi_format: int = 1, division: int = 480, length: int = 6) -> bytes:
    return struct.pack(">4sIHHH", b"MThd", length, midi_format, 1, division) + bytes(length - 6)


def track(body: bytes) -> bytes:
    return b"MTrk" + struct.pack(">I", len(body)) + body


def messages(found: smf.Events) -> list[tuple[int, ...]]:
    """(chunk, tick, status, data...) in file order."""
    columns = (found.order, found.chunk, found.tick, found.status, found.data1, found.data2)
    rows = [tuple(row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    rows += [(order, chunk, tick, status, data) for order, tick, chunk, status, data in found.shorts]
    return [row[1:] for row in sorted(rows)]


def test_running_status_holds_until_a_new_one() -> None:
    body = bytes([0, 0x90, 60, 64, 10, 60, 0, 5, 0xC0, 7, 1, 8, 2, 0x81, 61, 3, 0, 62, 4]) + END
    found = scan(body)
    assert messages(found) == [
        (0, 0, 0x90, 60, 64),
        (0, 10, 0x90, 60, 0),
        (0, 15, 0xC0, 7),
        (0, 16, 0xC0, 8),
        (0, 18, 0x81, 61, 3),
        (0, 18, 0x81, 62, 4),
    ]
    assert found.bare == 0


def test_other_events_keep_their_waits() -> None:
    body = (
        b"\x81\x00\xff\x05\x02la"  # a lyric at 128
        + bytes([2, 0x90, 60, 64])
        + b"\x03\xf0\x03\x01\x02\xf7"  # sysex at 133
        + b"\x00\xff\x7f\x00"
        + bytes([0x82, 0x80, 0x00, 0x80, 60, 64])
        + b"\x07\xff\x2f\x00"
    )
    found = scan(body)
    assert found.specials == [[(128, 0xFF, 5, b"la"), (133, 0xF0, 0xF0, b"\1\2\xf7"), (133, 0xFF, 0x7F, b"")]]
    assert messages(found) == [(0, 130, 0x90, 60, 64), (0, 133 + 2 * 128 * 128, 0x80, 60, 64)]
    assert found.ends == [133 + 2 * 128 * 128 + 7]


def test_each_chunk_counts_from_its_own_beginning() -> None:
    found = scan(b"\x05\xff\x2f\0", b"\x03\x90\x3c\x40\x04\xff\x2f\0", END, b"\x02\xc1\x07\x02\x81\x3c\x40" + END)
    assert messages(found) == [(1, 3, 0x90, 60, 64), (3, 2, 0xC1, 7), (3, 4, 0x81, 60, 64)]
    assert found.ends == [5, 7, 0, 4]


def test_status_running_on_behind_other_events_is_counted() -> None:
    body = b"\0\x90\x3c\x40\0\xff\x01\0\0\x3c\0\0\xf0\1\xf7\0\x3d\x40\0\xc0\5\0\xff\1\0\0\6" + END
    found = scan(body)
    assert messages(found) == [
        (0, 0, 0x90, 60, 64), (0, 0, 0x90, 60, 0), (0, 0, 0x90, 61, 64), (0, 0, 0xC0, 5), (0, 0, 0xC0, 6),
    ]  # fmt: skip
    assert found.bare == 3


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, smf.MAX_DELTA), st.integers(0x80, 0xEF), st.booleans())),
        min_size=1,
        max_size=3,
    )
)
def test_waits_of_every_size_and_any_status_are_read_back(chunks: list[list[tuple[int, int, bool]]]) -> None:
    bodies, expected, ends = [], [], []
    for number, events in enumerate(chunks):
        body, tick, running = b"", 0, 0
        for wait, status, say in events:
            tick += wait
            data = (status & 0x7F,) if 0xC0 <= status < 0xE0 else (status & 0x7F, 5)
            said = b"" if not say and status == running else bytes((status,))
            body += smf.variable(wait) + said + bytes(data)
            expected.append((number, tick, status, *data))
            running = status
        bodies.append(body + END)
        ends.append(tick)
    found = scan(*bodies)
    assert messages(found) == expected
    assert found.ends == ends


def test_runs_longer_than_one_match() -> None:
    body = bytes([1, 0x90, 60, 64, 1, 60, 0]) * 9000 + END
    found = scan(body)
    assert len(found.tick) == found.ends[0] == 18_000
    assert (np.diff(found.tick) == 1).all()


def test_a_sound_file_is_split() -> None:
    assert smf.split(header() + track(b"a") + track(b"bc")) == (smf.Header(1, 1, 480), [b"a", b"bc"])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MThd\0\0",
        header(length=10) + track(END),
        header(midi_format=3) + track(END),
        header(division=0) + track(END),
        header(),
        header() + track(END)[:-2],
        header() + b"Junk" + track(END)[4:],
        header() + track(END) + b"x",
    ],
)
def test_anything_odd_is_left_to_the_repair(data: bytes) -> None:
    with pytest.raises(smf.Unsound):
        smf.split(data)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes([0, 60, 64]) + END,
        bytes([0, 0x90, 60]),
        bytes([0, 0x90, 60, 0x90]) + END,
        bytes([0, 0xC0, 0x90]) + END,
        bytes([0x80, 0x80, 0x80, 0x80, 0]) + END,
        b"\x00\xff",
        b"\x00\xff\x05\x09la",
        b"\x00\xff\xff\x00" + END,
        b"\x00\xf4" + END,
        END + b"\0",
    ],
)
def test_unsound_chunks_are_told(body: bytes) -> None:
    with pytest.raises(smf.Unsound):
        scan(body)


def test_more_events_than_allowed_are_refused() -> None:
    with pytest.raises(FileFormatError, match=r"too much: \d+ events, where 10 are allowed \(--limit events="):
        smf.scan([bytes([1, 0x90, 60, 64]) * 50 + END], Limits(events=10))


@pytest.mark.parametrize(
    ("division", "expected"),
    [
        (0xE728, (500, 500_000)),  # 25 frames of 40 ticks: a thousand a second
        (0xE850, (960, 500_000)),
        (0xE250, (1200, 500_000)),
        (0xE304, (60, 500_500)),  # 29 stands for 30000/1001
        (0xE701, (25, 1_000_000)),
    ],
)
def test_smpte_ticks_last_as_long_in_quarters(division: int, expected: tuple[int, int]) -> None:
    assert smf.smpte(division) == expected


@pytest.mark.parametrize("division", [0xE700, 0x8001, 0xFF10])
def test_what_is_no_smpte_rate_is_refused(division: int) -> None:
    with pytest.raises(FileFormatError, match="no SMPTE clock has"):
        smf.smpte(division)


def test_a_wait_that_does_not_fit_is_refused() -> None:
    assert smf.variable(smf.MAX_DELTA) == b"\xff\xff\xff\x7f"
    with pytest.raises(FileFormatError, match="a wait of 268435456 ticks does not fit"):
        smf.variable(smf.MAX_DELTA + 1)
