"""Damaged and made-up MIDI bytes: a Score that can be written and read again, or an error in a line; nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musegen.errors import FileFormatError
from musegen.score.formats import midi
from musegen.score.formats.midi_reader import BEYOND_REPAIR
from tests.score.formats.mutate import of_bytes, of_meaning, taken_apart
from tests.score.formats.odd_bytes import chunk, header, meta, sysex, vlq
from tests.score.formats.odd_files import FILES
from tests.strategies import UNLIMITED

resource = pytest.importorskip("resource")  # not everywhere; it measures memory

SAMPLES = Path(__file__).parents[3] / "midi_samples"
NAMES = ("drum_groove", "frere_jacques", "musegen_jig", "musegen_waltz", "silent_night")
ODD = (
    "format 0: 16 channels", "format 2: with a tempo each", "karaoke: syllables", "sysex: in three packets",
    "rare channel message: bend range by RPN",
)  # fmt: skip
MEGABYTES = 300
"""What all mutants of a test may take above what was taken before."""


def base_files() -> list[bytes]:
    """Ten sound files that have, together, every kind of event."""
    samples = [(SAMPLES / f"{name}.mid").read_bytes() for name in NAMES]
    return samples + [file.data for file in FILES if f"{file.kind}: {file.name}" in ODD]


def outcome(data: bytes) -> str:
    """What came of it; anything but a Score that survives writing and reading, or a FileFormatError, escapes."""
    said: list[str] = []
    score = None
    try:
        score = midi.from_bytes(data, said.append)
    except FileFormatError as error:
        said.append(str(error))
    assert all(line and "\n" not in line for line in said)
    assert BEYOND_REPAIR not in said
    if score is None:
        return "refused"
    assert midi.from_bytes(midi.to_bytes(score), pytest.fail, UNLIMITED) == score
    return "repaired" if said else "read"


def outcomes_of_mutants(count: int, seed: int) -> Counter[str]:
    """What came of `count` mutants, every other one damaged in its bytes and in its meaning."""
    files, random, result = base_files(), Random(seed), Counter[str]()
    parts = [taken_apart(file) for file in files]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        place = random.randrange(len(files))
        data = of_meaning(parts[place], random) if number % 2 else of_bytes(files[place], random.choice(files), random)
        try:
            result[outcome(data)] += 1
        except Exception as error:
            raise AssertionError(f"mutant {number} of seed {seed}: {data.hex()}") from error
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) / 1024 < MEGABYTES
    return result


def test_base_files_are_sound_and_taken_apart_as_they_are() -> None:
    files = base_files()
    assert len(files) == 10
    for file in files:
        assert taken_apart(file).joined() == file
        assert outcome(file) == "read" or taken_apart(file).fields[0] == 2


def test_mutants_are_read_or_refused() -> None:
    found = outcomes_of_mutants(1500, seed=1)
    assert min(found["read"], found["repaired"], found["refused"]) > 50  # otherwise they are too tame or too wild


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_mutants_are_read_or_refused(seed: int) -> None:
    outcomes_of_mutants(2000, seed)


# ---- made-up streams -------------------------------------------------------------------------------------------

BYTE = st.integers(0, 255)
DATA = st.integers(0, 127)
ODD_DATA = st.one_of(DATA, DATA, DATA, BYTE)
NUMBERS = st.sampled_from([0, 0, 0, 1, 10, 127, 128, 480, 2**14, 2**21]).map(vlq)
ODD_NUMBERS = st.one_of(NUMBERS, NUMBERS, NUMBERS, st.integers(0, 2**36).map(vlq), st.binary(max_size=5))
KINDS = st.sampled_from(
    [0, 1, 2, 3, 5, 6, 0x20, 0x21, 0x2F, 0x51, 0x51, 0x54, 0x58, 0x58, 0x59, 0x59, 0x7F, 0x80, 0xF7]
)
PAYLOADS = st.one_of(
    st.binary(max_size=6), st.sampled_from([b"\4\2\x18\x08", b"\7\xa1\x20", b"\0\0", b"\xfd\1", b"\0\0\0\0\0", b"la "])
)


def _bytes(*parts: st.SearchStrategy[int]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(bytes)


def _joined(*parts: bytes) -> bytes:
    return b"".join(parts)


def _without_wait(event: bytes) -> bytes:
    return event[1:]


FEW = st.sampled_from([60, 61])
"""Few pitches and channels meet more often."""
SOUND_EVENTS = st.one_of(
    _bytes(st.sampled_from([0x80, 0x90, 0x91]), FEW, st.sampled_from([0, 64])),
    _bytes(st.sampled_from([0x80, 0x90, 0x91]), FEW, st.sampled_from([0, 64])),
    _bytes(FEW, st.sampled_from([0, 64])),  # a status that runs on, if one does
    _bytes(st.sampled_from([0xA0, 0xB0, 0xE0, 0xEF]), DATA, DATA),
    _bytes(st.sampled_from([0xC0, 0xC9, 0xD0]), DATA),
    st.builds(meta, KINDS.filter(lambda kind: kind < 0x80), PAYLOADS).map(_without_wait),
    st.builds(sysex, PAYLOADS, st.sampled_from([0xF0, 0xF7])).map(_without_wait),
)
ODD_EVENTS = st.one_of(
    _bytes(st.integers(0x80, 0xFF), ODD_DATA, ODD_DATA),
    _bytes(st.integers(0xF1, 0xFE)),
    st.builds(_joined, KINDS.map(lambda kind: bytes((0xFF, kind))), ODD_NUMBERS, PAYLOADS),
    st.builds(_joined, st.sampled_from([b"\xf0", b"\xf7"]), ODD_NUMBERS, PAYLOADS),
    st.binary(max_size=4),
)


def mostly(usual: Any, *odd: Any) -> st.SearchStrategy[Any]:
    """`usual` nine times of ten, so that what is odd meets what is sound."""
    return st.sampled_from([usual] * 9 + [None]).flatmap(lambda kept: st.sampled_from(odd if kept is None else [kept]))


EVENTS = st.integers(0, 9).flatmap(
    lambda n: st.tuples(NUMBERS, SOUND_EVENTS) if n else st.tuples(ODD_NUMBERS, ODD_EVENTS)
).map(b"".join)  # fmt: skip
ENDS = mostly(b"\0\xff\x2f\0", b"", b"\0\xff\x2f", b"\0\xff\x2f\1")
BODIES = st.tuples(st.lists(EVENTS, max_size=12).map(b"".join), ENDS).map(b"".join)
SIZES = mostly(-1, 0, 1, 4, 20, 40, 2**32 - 1).map(lambda size: None if size < 0 else size)
CHUNKS = st.builds(chunk, BODIES, mostly(b"MTrk", b"MThd", b"Junk", b"MTr\0"), SIZES)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Bytes like those of a MIDI file, most of them sound."""
    chunks = draw(st.lists(CHUNKS, max_size=4))
    head = header(
        draw(mostly(len(chunks), 0, 1, 3, 65_535)),
        draw(mostly(1, 0, 2, 3)),
        draw(mostly(480, 1, 96, 32_767, 0, 0xE728, 0xE301, 0x8000, 0xFFFF)),
        length=draw(mostly(6, 0, 4, 7, 2**32 - 1)),
    )
    before, behind = draw(mostly(b"", b"\xef\xbb\xbf", bytes(5))), draw(mostly(b"", b"\0", b"MTrk", b"\r\n"))
    return bytes(before + head + b"".join(chunks) + behind)


@given(streams())
@settings(max_examples=400)
def test_made_up_streams_are_read_or_refused(data: bytes) -> None:
    outcome(data)


@pytest.mark.slow
@given(streams())
@settings(max_examples=2000)
def test_many_made_up_streams_are_read_or_refused(data: bytes) -> None:
    outcome(data)


@given(st.binary(max_size=60))
def test_any_bytes_behind_a_header_are_read_or_refused(data: bytes) -> None:
    outcome(header() + chunk(data))
    outcome(header() + data)
