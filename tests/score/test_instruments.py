import pytest

from musegen.errors import RequestError
from musegen.score.instruments import DRUM_NAMES, FAMILIES, PROGRAM_NAMES, RANGES, parse_instrument


def test_the_tables_are_whole() -> None:
    assert len(PROGRAM_NAMES) == len(set(PROGRAM_NAMES)) == len(RANGES) == 128
    assert len(FAMILIES) == 16
    assert set(DRUM_NAMES) >= set(range(35, 82))
    known = {
        0: "Acoustic Grand Piano",
        24: "Acoustic Guitar (nylon)",
        40: "Violin",
        56: "Trumpet",
        73: "Flute",
        127: "Gunshot",
    }
    assert {program: PROGRAM_NAMES[program] for program in known} == known
    assert DRUM_NAMES[36] == "Bass Drum 1"
    assert DRUM_NAMES[81] == "Open Triangle"


def test_ranges_hold_an_octave_at_least_and_are_in_midi() -> None:
    assert all(low >= 0 and low + 12 <= high <= 127 for low, high in RANGES)
    assert RANGES[40] == (55, 103)  # a violin's lowest string is G3


def test_every_name_and_number_is_read() -> None:
    for program, name in enumerate(PROGRAM_NAMES):
        assert parse_instrument(name.upper()) == (program, False)
        assert parse_instrument(str(program)) == (program, False)


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("piano", 0),
        ("organ", 19),
        ("alto", 65),
        ("shaku", 77),
        ("honky tonk", 3),
        ("sax", 65),
        ("sawtooth", 81),
        ("Harp", 46),
    ],
)
def test_everyday_names_and_unique_parts_are_read(text: str, program: int) -> None:
    assert parse_instrument(text) == (program, False)


@pytest.mark.parametrize("text", ["drums", "Drum Kit", "PERCUSSION"])
def test_drums_are_read(text: str) -> None:
    assert parse_instrument(text) == (0, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("celo", "did you mean Cello"),
        ("electric", r"fits several: Electric Grand Piano, Electric Piano 1"),
        ("128", "from 0 to 127"),
        ("", "say a General MIDI name"),
        ("qqq", "say a General MIDI name"),
        ("drms", "did you mean drums"),
    ],
)
def test_unknown_instruments_are_refused_with_the_near_ones(text: str, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        parse_instrument(text)
