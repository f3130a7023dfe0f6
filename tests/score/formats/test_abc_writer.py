"""Score -> ABC, as text and as music21 reads it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musegen.errors import FileFormatError
from musegen.score.formats.abc_writer import to_bytes
from musegen.score.model import Chord, KeySignature, Score, Tempo, Text, TimeSignature, Track

MELODY = [
    (0, 60, 480, 80), (480, 61, 240, 80), (720, 73, 240, 80), (960, 61, 480, 80), (1440, 64, 480, 80),
    (1440, 67, 480, 80), (1920, 60, 2880, 80), (4800, 62, 320, 80), (5120, 65, 160, 80), (5280, 66, 480, 80),
]  # fmt: skip
PIECE = Score(
    480,
    (Track(MELODY, program=41, lyrics=(Text(0, "A-"), Text(480, "men so"), Text(1920, "long"))),),
    tempos=(Tempo(0, 500_000), Tempo(2400, 461_538)),
    time_signatures=(TimeSignature(0, 1, 4), TimeSignature(480, 4, 4), TimeSignature(4320, 3, 4)),
    key_signatures=(KeySignature(0, -3, "minor"), KeySignature(2400, 2, "major")),
    chords=(Chord(480, "C"), Chord(2880, "Dm7")),
    title="Air: 100% new",
)


def abc(score: Score, warn: Any = pytest.fail) -> list[str]:
    return to_bytes(score, None, warn).decode().splitlines()


def line(*notes: tuple[int, int], **frame: Any) -> Score:
    """A score of (pitch, duration) notes, one after the other."""
    rows, at = [], 0
    for pitch, duration in notes:
        rows.append((at, pitch, duration, 80))
        at += duration
    return Score(480, (Track(rows),), **frame)


def music(score: Score) -> str:
    """The lines of music alone."""
    lines = abc(score)
    start = next(i for i, text in enumerate(lines) if text.startswith("%%MIDI")) + 1
    return "\n".join(lines[start:])


def read(score: Score) -> Any:
    from music21 import converter

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return converter.parseData(to_bytes(score).decode(), format="abc").parts[0]


def sounding(part: Any) -> list[tuple[Fraction, int, Fraction]]:
    """The notes of a music21 part, tied ones as one."""
    rows: list[list[Any]] = []
    held: dict[Any, list[Any]] = {}
    for element in part.flatten().notes:
        if "Harmony" in element.classes:
            continue
        for single in element.notes if element.isChord else (element,):
            start, length = Fraction(element.offset), Fraction(element.quarterLength)
            tie = single.tie.type if single.tie else ""
            row = held.pop((start, single.pitch.midi), None) if tie in {"stop", "continue"} else None
            if row is None:
                row = [start, single.pitch.midi, Fraction(0)]
                rows.append(row)
            row[2] += length
            held[start + length, single.pitch.midi] = row
    return sorted(tuple(row) for row in rows)


def test_a_piece_with_everything() -> None:
    assert abc(PIECE) == [
        "%abc-2.1",
        "X:1",
        "T:Air: 100\\% new",
        "M:4/4",
        "L:1/8",
        "Q:1/4=120",
        "K:Cm",
        "%%MIDI program 41",
        'C2 | "C"_D_d D2 [=EG]2 C2- |',
        "w: A\\- men~so * * * long",
        "L:1/8",
        "K:D",
        "Q:1/4=130",
        '=C2- "Dm7"C6- |',
        "L:1/8",
        "M:3/4",
        "=C2 (3:2:2D2 ^E F2 |]",
    ]


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (line((60, 960), (62, 480), (64, 480)), "C4 D2 E2 |]"),
        (line((60, 240), (62, 240), (64, 240), (65, 240), (67, 960)), "CDEF G4 |]"),
        (line((60, 120), (62, 120), (64, 240), (65, 480)), "CDE2 F4 |]"),
        (line((48, 480), (59, 480), (72, 480), (84, 480)), "C,2 B,2 c2 c'2 |]"),
        (line((60, 160), (62, 160), (64, 160), (65, 480)), "(3:2:3CDE F2 |]"),
        (line((60, 1440), (62, 960)), "C6 D2- | D2 |]"),
        (line((66, 480), (78, 480), (65, 480), (77, 480)), "^F2 ^f2 =F2 =f2 |]"),
        (line((66, 480), (66, 1440), (66, 480)), "^F2 F6 | ^F2 |]"),
    ],
)
def test_lengths_octaves_and_accidentals(score: Score, text: str) -> None:
    assert music(replace(score, key_signatures=(KeySignature(0, 0, "major"),))) == text


def test_rests_are_written_to_the_end_of_the_piece() -> None:
    track = Track([(480, 60, 480, 80)])
    assert music(Score(480, (track,), end=3840)) == "z2 C2 z4 | z8 |]"


def test_a_grace_note_stands_in_braces() -> None:
    assert music(Score(480, (Track([(0, 60, 0, 80), (0, 62, 480, 80)]),))) == "{/C}D2 |]"


@pytest.mark.parametrize(
    ("tracks", "reason"),
    [
        ((), "no track has notes"),
        ((Track(), Track()), "no track has notes"),
        ((Track(MELODY), Track(MELODY)), "2 tracks have notes"),
        ((Track([(0, 36, 1, 80)], is_drum=True),), "drum kit"),
        ((Track([(1920, 60, 960, 80), (2400, 64, 960, 80)]),), "bar 2 has notes that overlap"),
    ],
)
def test_what_is_no_melody_is_refused(tracks: tuple[Track, ...], reason: str) -> None:
    with pytest.raises(FileFormatError, match=reason + ".*write MusicXML or MIDI instead"):
        to_bytes(Score(480, tracks))


def test_silent_tracks_beside_the_melody_are_counted() -> None:
    said: list[str] = []
    to_bytes(Score(480, (Track(), Track(MELODY[:1]))), None, said.append)
    assert said == ["1 silent track(s) left out"]


def test_lyrics_that_cannot_be_aligned_are_counted() -> None:
    said: list[str] = []
    lyrics = (Text(0, "a*b"), Text(5, "x"), Text(480, "ok"), Text(480, "twice"))
    lines = abc(Score(480, (Track(MELODY[:3], lyrics=lyrics),)), said.append)
    assert lines[-1] == "w: * ok *"
    assert sorted(said) == [
        "1 further lyric(s) of one note left out", "1 lyric(s) at no note's beginning left out",
        "1 lyric(s) that ABC cannot say left out",
    ]  # fmt: skip


def test_music21_reads_notes_metres_keys_tempi_and_chords() -> None:
    part = read(PIECE)
    # music21 10.5 makes no ties of chords; this chord has none.
    wanted = [(Fraction(a, 480), p, Fraction(b, 480)) for a, p, b, _ in MELODY]
    assert sounding(part) == sorted(wanted)

    def found(kind: str, value: str) -> list[tuple[Any, Any]]:
        return [(e.getOffsetInHierarchy(part), getattr(e, value)) for e in part.recurse().getElementsByClass(kind)]

    assert found("TimeSignature", "ratioString")[0] == (0, "4/4")
    assert found("KeySignature", "sharps") == [(0, -3), (5, 2)]
    assert found("MetronomeMark", "number") == [(0, 120), (5, 130)]
    assert found("ChordSymbol", "figure") == [(1, "C"), (6, "Dm7")]


@st.composite
def melodies(draw: st.DrawFn) -> Score:
    """One voice of values, triplets and rests, under some key and metre."""
    steps = st.sampled_from([(120, 1), (240, 1), (480, 1), (720, 1), (960, 1), (160, 3), (320, 3), (96, 5)])
    rows, at = [], 0
    for length, count in draw(st.lists(steps, min_size=1, max_size=12)):
        at = at if count == 1 else -(-at // 480) * 480
        for _ in range(count):
            pitch = draw(st.integers(36, 96) | st.none())
            if pitch is not None:
                rows.append((at, pitch, length, 80))
            at += length
    key = KeySignature(0, draw(st.integers(-7, 7)), draw(st.sampled_from(["major", "minor"])))
    metre = TimeSignature(0, *draw(st.sampled_from([(2, 4), (3, 4), (4, 4), (6, 8), (5, 8)])))
    return Score(480, (Track([*rows, (at, 60, 480, 80)]),), time_signatures=(metre,), key_signatures=(key,))


@given(melodies())
@settings(max_examples=30, deadline=None)
def test_music21_hears_every_melody_as_it_is(score: Score) -> None:
    wanted = [(Fraction(a, 480), p, Fraction(b, 480)) for a, p, b, _ in score.tracks[0].notes.tolist()]
    heard = [(a.limit_denominator(999), p, b.limit_denominator(999)) for a, p, b in sounding(read(score))]
    assert heard == wanted
