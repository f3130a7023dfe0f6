from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musegen.score.model import NOTE_DTYPE, KeySignature, Score, Track, frozen
from musegen.score.notation.clefs import ALTO, BASS, LOW_BASS, LOW_TREBLE, PERCUSSION, TREBLE, clef_of
from musegen.score.notation.spelling import Name, key_alterations, name_of, spell
from tests.strategies import scores

SIGNS = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def names(fifths: int | None, mode: str, *pitches: int | tuple[int, ...]) -> str:
    """The names of quarters one after the other; a tuple is a chord."""
    rows = [
        (i * 480, p, 480, 80)
        for i, group in enumerate(pitches)
        for p in (group if isinstance(group, tuple) else (group,))
    ]
    keys = () if fifths is None else (KeySignature(0, fifths, mode),)
    score = Score(480, (Track(frozen(rows, NOTE_DTYPE)),), key_signatures=keys)
    return " ".join(name.step + SIGNS[name.alter] for name in spell(score)[0])


@pytest.mark.parametrize(
    ("fifths", "mode", "pitches", "expected"),
    [
        (0, "major", (60, 62, 64, 65, 67, 69, 71), "C D E F G A B"),
        (3, "major", (69, 71, 73, 74, 76, 78, 80), "A B C# D E F# G#"),
        (-5, "major", (61, 63, 65, 66, 68, 70, 72), "Db Eb F Gb Ab Bb C"),
        (7, "major", (61, 63, 65, 66, 68, 70, 72), "C# D# E# F# G# A# B#"),
        (0, "minor", (69, 68, 69), "A G# A"),
        (-3, "minor", (60, 71, 60), "C B C"),
        (4, "minor", (61, 72, 61), "C# B# C#"),
        (-4, "minor", (65, 64, 65), "F E F"),
        (6, "minor", (75, 74, 75), "D# C## D#"),
        (0, "major", (67, 66, 67), "G F# G"),
        (0, "major", (62, 63, 64), "D D# E"),
        (0, "major", (64, 63, 62), "E Eb D"),
        (0, "major", (60, 61, 62), "C C# D"),
        (0, "major", (69, 68, 67), "A Ab G"),
        (0, "major", (67, 68, 69), "G G# A"),
        (0, "major", ((64, 68, 71), (60, 69)), "E G# B C A"),
        (0, "major", ((65, 68, 72), (64, 67, 72)), "F Ab C E G C"),
    ],
)
def test_names_follow_key_and_line(fifths: int, mode: str, pitches: tuple[int, ...], expected: str) -> None:
    assert names(fifths, mode, *pitches) == expected


def test_without_a_key_the_likeliest_one_names_the_notes() -> None:
    assert names(None, "", 61, 63, 65, 66, 68, 70, 72, 61) == "Db Eb F Gb Ab Bb C Db"


@given(scores(max_tracks=2))
def test_a_name_says_its_pitch(score: Score) -> None:
    for track, found in zip(score.tracks, spell(score), strict=True):
        assert len(found) == (0 if track.is_drum else len(track.notes))
        for pitch, name in zip(track.notes["pitch"].tolist(), found, strict=False):
            assert 12 * (name.octave + 1) + STEPS[name.step] + name.alter == pitch
            assert abs(name.alter) <= 2


@given(st.integers(0, 127))
def test_octaves_change_at_c(pitch: int) -> None:
    fifths = (pitch * 7 + 1) % 12 - 1
    name = name_of(pitch, fifths)
    assert 12 * (name.octave + 1) + STEPS[name.step] + name.alter == pitch


def test_b_sharp_and_c_flat_belong_to_the_octave_of_their_letter() -> None:
    assert name_of(60, 12) == Name("B", 1, 3)
    assert name_of(59, -7) == Name("C", -1, 4)


def test_a_signature_alters_its_letters() -> None:
    assert key_alterations(2) == {"F": 1, "C": 1}
    assert key_alterations(-3) == {"B": -1, "E": -1, "A": -1}
    assert key_alterations(0) == {}


@pytest.mark.parametrize(
    ("track", "clef"),
    [
        (Track([(0, 72, 1, 80)]), TREBLE),
        (Track([(0, 45, 1, 80)]), BASS),
        (Track(), TREBLE),
        (Track([(0, 60, 1, 80)], program=41), ALTO),
        (Track([(0, 60, 1, 80)], name="Viola II"), ALTO),
        (Track([(0, 55, 1, 80)], program=24), LOW_TREBLE),
        (Track([(0, 31, 1, 80)], program=33), LOW_BASS),
        (Track([(0, 48, 1, 80)], program=33), BASS),
        (Track([(0, 36, 1, 80)], is_drum=True), PERCUSSION),
    ],
)
def test_a_clef_keeps_the_notes_on_the_staff(track: Track, clef: object) -> None:
    assert clef_of(track) == clef
