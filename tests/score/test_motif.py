from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musegen.errors import RequestError
from musegen.score.motif import parse_motif
from musegen.score.theory import pitch_name


def test_notes_rests_and_length() -> None:
    motif = parse_motif("D4:1 F#4:1/2 A4:.5 r:1 D5:2 r:1.5")
    assert motif.notes.tolist() == [
        (0, 62, 480, 80),
        (480, 66, 240, 80),
        (720, 69, 240, 80),
        (1440, 74, 960, 80),
    ]
    assert motif.length == 3120


def test_chord_and_velocity_and_resolution() -> None:
    motif = parse_motif(" C4+G4+E4:1/3\n Bb3:2/3 ", ticks_per_beat=24, velocity=99)
    assert motif.notes.tolist() == [(0, 60, 8, 99), (0, 64, 8, 99), (0, 67, 8, 99), (8, 58, 16, 99)]
    assert motif.length == 24


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("D4:1 H4:1 A4:1", '"H4:1" at position 6 (word 2)', "H4"),
        ("D4", '"D4" at position 1 (word 1)', "length is missing"),
        ("D4:1  E4:", '"E4:" at position 7 (word 2)', "number of quarters"),
        ("D4:1/0", "position 1", "number of quarters"),
        ("D4:00/00", "position 1", "number of quarters"),
        ("D4:1e3", "position 1", "number of quarters"),
        ("D4:-1", "position 1", "number of quarters"),
        ("D4:٣", "position 1", "number of quarters"),
        ("D4:0", "position 1", "more than 0"),
        ("D4:1/7", "position 1", "between two ticks"),
        ("C4+C4:1", "position 1", "twice"),
        ("C4+:1", "position 1", "pitch"),
        (":1", "position 1", "pitch"),
        ("C12:1", "position 1", "C12"),
        ("", "motif:", "no note"),
        ("r:1 r:2", "motif:", "no note"),
    ],
)
def test_a_typo_is_shown_with_its_place(text: str, place: str, reason: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_motif(text)
    message = str(caught.value)
    assert place in message
    assert reason in message
    assert "F#4:1/2" in message
    assert "\n" not in message


words = st.lists(
    st.tuples(
        st.lists(st.integers(0, 127), max_size=4, unique=True),
        st.sampled_from(["1", "2", "1/2", "0.25", "1.5", "1/3", "1/12", "3/4"]),
    ),
    min_size=1,
)


@given(words)
def test_time_adds_up_and_every_pitch_is_kept(pairs: list[tuple[list[int], str]]) -> None:
    text = " ".join("+".join(map(pitch_name, pitches)) + ":" + q if pitches else "r:" + q for pitches, q in pairs)
    if not any(pitches for pitches, _ in pairs):
        with pytest.raises(RequestError):
            parse_motif(text)
        return
    motif = parse_motif(text)
    assert motif.length == 480 * sum(Fraction(q) for _, q in pairs)
    assert sorted(motif.notes["pitch"]) == sorted(p for pitches, _ in pairs for p in pitches)


@given(st.text())
def test_any_text_gives_notes_or_a_request_error(text: str) -> None:
    try:
        motif = parse_motif(text)
    except RequestError:
        return
    assert len(motif.notes) > 0
