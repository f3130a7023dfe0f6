import pytest

from musegen.errors import RequestError
from musegen.score.model import KeySignature
from musegen.score.theory import (
    Key,
    key_of_pitch_class,
    parse_key,
    parse_meter,
    parse_pitch,
    pitch_name,
    scale_pitch_classes,
    transpose_chord,
)

SIGNATURES = [(fifths, mode) for fifths in range(-7, 8) for mode in ("major", "minor")]
MAJORS = ["Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#"]
MINORS = ["Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#"]


@pytest.mark.parametrize(
    ("text", "name", "fifths"),
    [
        ("D major", "D major", 2),
        ("D", "D major", 2),
        ("d", "D major", 2),
        ("Dm", "D minor", -1),
        ("DM", "D major", 2),
        ("d minor", "D minor", -1),
        ("  D MINOR ", "D minor", -1),
        ("F# minor", "F# minor", 3),
        ("f sharp minor", "F# minor", 3),
        ("Bb", "Bb major", -2),
        ("bb", "Bb major", -2),
        ("Bbm", "Bb minor", -5),
        ("E flat major", "Eb major", -3),
        ("Cb", "Cb major", -7),
        ("a# minor", "A# minor", 7),
        ("G# major", "Ab major", -4),
        ("D♭ major", "Db major", -5),
    ],
)
def test_keys_are_read(text: str, name: str, fifths: int) -> None:
    key = parse_key(text)
    assert (key.name, key.fifths) == (name, fifths)


@pytest.mark.parametrize("text", ["H", "", "D dorian", "Dmaj7", "major", "C##", "12"])
def test_what_is_no_key_is_refused_with_examples(text: str) -> None:
    with pytest.raises(RequestError, match=r"not a key; say it like D major"):
        parse_key(text)


def test_tonics_follow_the_circle_of_fifths() -> None:
    assert [Key.from_signature(KeySignature(0, fifths, "major")).tonic for fifths in range(-7, 8)] == MAJORS
    assert [Key.from_signature(KeySignature(0, fifths, "minor")).tonic for fifths in range(-7, 8)] == MINORS


@pytest.mark.parametrize(("fifths", "mode"), SIGNATURES)
def test_a_key_is_its_name_and_its_signature(fifths: int, mode: str) -> None:
    signature = KeySignature(96, fifths, mode)
    key = Key.from_signature(signature)
    assert parse_key(key.name) == key
    assert key.signature(96) == signature


@pytest.mark.parametrize(("fifths", "mode"), SIGNATURES)
def test_transposed_keys_move_tonic_and_scale(fifths: int, mode: str) -> None:
    key = Key.from_signature(KeySignature(0, fifths, mode))
    for semitones in range(-13, 14):
        moved = key.transposed(semitones)
        assert moved == Key.from_signature(moved.signature())
        assert moved.tonic_pc == (key.tonic_pc + semitones) % 12
        assert abs(moved.fifths) <= 6 or semitones % 12 == 0
        assert moved.transposed(-semitones).tonic_pc == key.tonic_pc


def test_keys_by_pitch_class_have_few_accidentals() -> None:
    majors = [key_of_pitch_class(pc, "major").name.split()[0] for pc in range(12)]
    minors = [key_of_pitch_class(pc, "minor").name.split()[0] for pc in range(12)]
    assert majors == ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]
    assert minors == ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B"]


def test_scales() -> None:
    assert scale_pitch_classes(parse_key("D")) == {2, 4, 6, 7, 9, 11, 1}
    assert scale_pitch_classes(parse_key("Am"), raised=False) == {9, 11, 0, 2, 4, 5, 7}
    assert scale_pitch_classes(parse_key("Am")) == {9, 11, 0, 2, 4, 5, 7, 6, 8}


def test_pitch_names_are_read_as_written() -> None:
    assert pitch_name(60) == "C4"
    assert [parse_pitch(pitch_name(pitch)) for pitch in range(128)] == list(range(128))
    spelt = ["F#4", "Gb4", "g♭4", "B##3", "Cb4", "c-1", "G9"]
    assert [parse_pitch(text) for text in spelt] == [66, 66, 66, 61, 59, 0, 127]


@pytest.mark.parametrize(
    ("text", "said"), [("H4", "not a pitch"), ("C", "not a pitch"), ("G#9", "outside"), ("Cb-1", "outside")]
)
def test_what_is_no_pitch_is_refused(text: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        parse_pitch(text)


def test_metres_are_read() -> None:
    assert [parse_meter(text) for text in ("6/8", " 3 / 4 ", "24/32", "1/1")] == [(6, 8), (3, 4), (24, 32), (1, 1)]


@pytest.mark.parametrize("text", ["5/7", "0/4", "25/8", "4", "4/4/4", "4/0", "x", "4/64", "-3/4"])
def test_what_is_no_metre_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match=r"is not a metre; say"):
        parse_meter(text)


def test_chord_symbols_move_with_root_and_bass() -> None:
    assert transpose_chord("Dm7", 1, flats=True) == "Ebm7"
    assert transpose_chord("Dm7", 1) == "D#m7"
    assert transpose_chord("F#m7b5/C", 2, flats=True) == "Abm7b5/D"
    assert transpose_chord("N", 5) == "N"
