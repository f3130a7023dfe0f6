"""Our own JSON: nothing lost, everything checked."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musegen.errors import FileFormatError
from musegen.score.formats.options import Limits, ReadOptions, WriteOptions
from musegen.score.formats.score_json import from_bytes, to_bytes
from musegen.score.model import NOTE_DTYPE, MidiEvent, Score, Text, TimeSignature, Track, frozen
from tests.strategies import scores

READ, WRITE = ReadOptions(), WriteOptions()
DOCUMENT = {"format": "musegen score", "version": 1, "ticks_per_beat": 480}


def read(text: str | bytes, options: ReadOptions = READ) -> Score:
    return from_bytes(text.encode() if isinstance(text, str) else text, pytest.fail, options)


def document(**fields: Any) -> str:
    return json.dumps({**DOCUMENT, **fields})


@st.composite
def whole_scores(draw: st.DrawFn) -> Score:
    """Scores that also hold what `scores` does not make: pressures, releases, other events, metronomes."""
    score = draw(scores())
    tick, value = st.integers(0, 2**31 - 1), st.integers(0, 127)
    data = st.one_of(
        st.binary(max_size=5).map(lambda rest: b"\xf0" + rest),
        st.binary(max_size=5).map(lambda rest: b"\xff\x7f" + rest),
    )
    others = st.lists(st.builds(MidiEvent, tick, data), max_size=2).map(tuple)
    metronome = st.builds(TimeSignature, tick, st.just(6), st.just(8), st.integers(0, 255), st.integers(0, 255))
    tracks = tuple(
        replace(
            track,
            pressures=draw(st.lists(st.tuples(tick, st.integers(-1, 127), value), max_size=3)),
            releases=draw(st.lists(st.tuples(tick, value, value), max_size=3)),
            others=draw(others),
        )
        for track in score.tracks
    )
    metres = (*score.time_signatures, *draw(st.lists(metronome, max_size=2)))
    return replace(score, tracks=tracks, others=draw(others), time_signatures=metres)


@given(whole_scores())
def test_a_score_comes_back_equal_and_its_bytes_too(score: Score) -> None:
    data = to_bytes(score, WRITE)
    endless = ReadOptions(limits=Limits(bars=2**62, seconds=2**62))
    assert read(data, endless) == score
    assert to_bytes(read(data, endless), WRITE) == data
    assert data.endswith(b"}\n")


def test_a_note_is_a_line_and_what_is_empty_is_left_out() -> None:
    track = Track(frozen([(0, 60, 480, 80), (480, 62, 480, 80)], NOTE_DTYPE), name="Flöte")
    lines = to_bytes(Score(480, (track,)), WRITE).decode().splitlines()
    assert "[0,60,480,80]," in lines and "[480,62,480,80]" in lines and '{"name": "Flöte",' in lines
    assert not any(word in line for line in lines for word in ("bends", "lyrics", "tempos", "channel"))


NOTES = [[0, 60, 480, 80]] * 3
FAULTS: list[tuple[str | bytes, str]] = [
    ("", "not JSON: Expecting value in line 1, column 1"),
    ("{", "not JSON"),
    (b"\xff\xfe{", "not JSON in UTF-8: byte 0"),
    ("[" * 100_000, "objects in objects without end"),
    ('{"end": 1' + "0" * 5000 + "}", "a number of thousands of digits"),
    ("[]", 'not a musegen score: it has no "format"'),
    (json.dumps({**DOCUMENT, "version": 2}), "version is 2, this musegen reads 1"),
    (json.dumps({**DOCUMENT, "version": True}), "version true is no whole number"),
    ('{"format": "musegen score", "format": "musegen score"}', 'the key "format" stands twice'),
    (document(end=float("nan")), "NaN is no number of JSON"),
    (document(end=1.0), "end 1.0 is no whole number"),
    (document(end=2**31), "end 2147483648 is out of range 0..2147483647"),
    (document(end=10**30), "end of more than 20 digits is out of range"),
    (document(ticks_per_beat=0), "ticks_per_beat 0 is out of range"),
    (document(title=5), "title 5 is no text"),
    (document(title="\ud800"), "title holds half a character"),
    (document(tempos=[[0, 0]]), r"tempos\[0\]: microseconds_per_quarter 0 is out of range"),
    (document(tempos={"0": 1}), "tempos: an object is no list of rows"),
    (document(time_signatures=[[0, 4, 3]]), r"time_signatures\[0\]: denominator 3 is no power of two"),
    (document(time_signatures=[[0, 4, 4, 24]]), r"time_signatures\[0\]: a list of 4 is not \[time, numerator"),
    (document(key_signatures=[[0, 0, "dorian"]]), "neither major nor minor"),
    (document(chords=[[0]]), r"chords\[0\]: a list of 1 is not \[time, symbol\]"),
    (document(others=[[0, "90"]]), "is not hexadecimal bytes"),
    (document(tracks=5), "tracks: 5 is no list of tracks"),
    (document(tracks=[5]), r"tracks\[0\]: 5 is no track"),
    (document(tracks=[{"is_drum": 1}]), r"tracks\[0\].is_drum: 1 is neither true nor false"),
    (document(tracks=[{"channel": 16}]), r"tracks\[0\].channel 16 is out of range 0..15"),
    (document(tracks=[{}, {"notes": [*NOTES, [0, 200, 1, 1]]}]), r"tracks\[1\].notes\[3\]: pitch 200 is out of range"),
    (document(tracks=[{"notes": [*NOTES, [0, 60, 1, 0]]}]), r"notes\[3\]: velocity 0 is out of range 1..127"),
    (document(tracks=[{"notes": [*NOTES, [0, 60, 1]]}]), r"notes\[3\]: a list of 3 is not \[start, pitch, duration"),
    (document(tracks=[{"notes": [*NOTES, [0, 60, 1, "1"]]}]), r'notes\[3\]: velocity "1" is no whole number'),
    (document(tracks=[{"notes": [*NOTES, [0, 60, 1, True]]}]), r"notes\[3\]: velocity true is no whole number"),
    (document(tracks=[{"notes": [*NOTES, [0, 60, 10**40, 1]]}]), r"notes\[3\]: duration of more than 20 digits is out"),
    (document(tracks=[{"notes": [[2**30, 60, 2**30, 1]]}]), r"notes\[0\]: ends after the last tick"),
    (document(tracks=[{"notes": "C D E"}]), r'tracks\[0\].notes: "C D E" is no list of rows'),
    (document(tracks=[{"bends": [[0, 8192]]}]), r"bends\[0\]: value 8192 is out of range -8192..8191"),
    (document(tracks=[{"pressures": [[0, -2, 0]]}]), r"pressures\[0\]: pitch -2 is out of range -1..127"),
    (document(tracks=[{"lyrics": [[0, "\udc00"]]}]), r"lyrics\[0\]: text holds half a character"),
]


@pytest.mark.parametrize(("text", "said"), FAULTS, ids=[said[:40] for _, said in FAULTS])
def test_a_faulty_document_is_refused_in_one_line_that_says_where(text: str | bytes, said: str) -> None:
    with pytest.raises(FileFormatError, match=said) as error:
        read(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (Limits(bytes=20), document()),
        (Limits(events=50), document(tracks=[{"notes": [[]] * 50}])),
        (Limits(tracks=1), document(tracks=[{}, {}])),
        (Limits(notes=2), document(tracks=[{"notes": NOTES}])),
        (Limits(bars=10), document(end=480 * 45)),
        (Limits(seconds=10), document(end=480 * 21)),
    ],
)
def test_more_than_the_limits_allow_is_refused(limits: Limits, text: str) -> None:
    with pytest.raises(FileFormatError, match="too much"):
        read(text, ReadOptions(limits=limits))


def test_unknown_fields_are_named_and_left_out() -> None:
    said: list[str] = []
    text = document(mood="glad", tracks=[{"colour": 3, "name": "Oboe"}])
    assert from_bytes(text.encode(), said.append, READ) == Score(480, (Track(name="Oboe"),))
    assert said == ['2 unknown field(s) left out: "mood, tracks[0].colour"']


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (Score(tracks=(Track(frozen([(0, 200, 1, 1)], NOTE_DTYPE)),)), r"tracks\[0\].notes\[0\]: pitch 200"),
        (Score(markers=(Text(0, "\ud800"),)), r"markers\[0\]: text holds half a character"),
        (Score(title="\udfff"), "title holds half a character"),
        (Score(end=2**31), "end 2147483648"),
    ],
)
def test_what_no_reader_takes_is_not_written(score: Score, said: str) -> None:
    with pytest.raises(FileFormatError, match=said):
        to_bytes(score, WRITE)


def test_numbers_of_numpy_in_events_are_numbers() -> None:
    score = Score(time_signatures=(TimeSignature(np.int64(480), 3, 4),))  # type: ignore[arg-type]
    assert read(to_bytes(score, WRITE)) == score
