from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musegen import conditions
from musegen.errors import RequestError
from musegen.score.model import KeySignature
from musegen.score.theory import Key, parse_key
from musegen.tokens import STYLES
from musegen.tokens.harmony import parse_chord
from musegen.tokens.vocabulary import KEYS, METRES, N_DENSITIES


def told(*chords: tuple[int, str]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """(step, symbol) pairs as rows of step, Chord and Bass value."""
    table = []
    for step, symbol in chords:
        word = parse_chord(symbol)
        assert word is not None
        table.append((step, *word))
    return np.array(table, np.int64).reshape(-1, 3)


def spoken(row: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> tuple[list[int], list[int], int]:
    """The pitch classes, the bass and whether a chord is told, of one beat."""
    return np.flatnonzero(row[:12]).tolist(), np.flatnonzero(row[12:24]).tolist(), int(row[24])


def test_each_key_moves_to_c_by_the_shorter_way() -> None:
    moves = set()
    for signature in KEYS:
        key = Key.from_signature(KeySignature(0, *signature))
        semitones = conditions.to_c(key)
        assert (key.tonic_pc + semitones) % 12 == 0
        moves.add(semitones)
    assert sorted(moves) == list(range(-6, 6))
    assert conditions.to_c(parse_key("G major")) == 5 and conditions.to_c(parse_key("A minor")) == 3
    assert conditions.to_c(None) == 0


@pytest.mark.parametrize(
    ("symbol", "tones", "bass"),
    [
        ("C", [0, 4, 7], 0),
        ("Dm7", [0, 2, 5, 9], 2),
        ("F#m7b5/C", [0, 4, 6, 9], 0),
        ("Bb/F", [2, 5, 10], 5),
        ("Bmmaj7", [2, 6, 10, 11], 11),
        ("Eaug", [0, 4, 8], 4),
    ],
)
@pytest.mark.parametrize("semitones", [0, 5, -6])
def test_a_chord_is_its_tones_and_its_bass(symbol: str, tones: list[int], bass: int, semitones: int) -> None:
    (row,) = conditions.chord_values(told((0, symbol)), 1, semitones)
    moved = sorted((tone + semitones) % 12 for tone in tones)
    assert spoken(row) == (moved, [(bass + semitones) % 12], 1)
    assert row.shape == (conditions.CHORD_SIZE,)


def test_the_chord_of_a_beat_begins_in_its_first_half_or_before() -> None:
    chords = told((5, "C"), (10, "G"), (17, "N"), (24, "F"), (25, "Dm"))
    roots = [spoken(row) for row in conditions.chord_values(chords, 8)]
    c, g, d = ([0, 4, 7], [0], 1), ([2, 7, 11], [7], 1), ([2, 5, 9], [2], 1)
    assert roots == [([], [], 0), c, c, g, ([], [], 1), ([], [], 1), d, d]


def test_a_chord_from_before_the_clip_goes_on_in_it() -> None:
    chords = told((-40, "F"), (-3, "G"), (4, "C"))
    assert [spoken(row)[1] for row in conditions.chord_values(chords, 3)] == [[7], [0], [0]]
    assert not conditions.chord_values(told(), 4, 3).any()


def test_beats_say_where_they_stand() -> None:
    facts = conditions.beat_values(3, 7, 10, 12)
    assert facts[:, 0].tolist() == [0, 1, 2] * 3
    assert facts[:, 1].tolist() == [7] * 3 + [8] * 6  # counted up to FAR
    assert facts[:, 2].tolist() == [4] * 3 + [3] * 3 + [2] * 3
    assert conditions.beat_values(4, 0, 1, 1)[:, 1:].tolist() == [[0, 0]] * 4
    assert (conditions.beat_values(8, 0, 100, 100).max(axis=0) < conditions.BEAT_SIZES).all()


@pytest.mark.parametrize(
    ("metre", "beats"), [((4, 4), 4), ((3, 4), 3), ((6, 8), 3), ((2, 4), 2), ((2, 2), 4), ((16, 8), 8), ((2, 1), 8)]
)
def test_bars_of_whole_quarters_have_beats(metre: tuple[int, int], beats: int) -> None:
    assert conditions.beats_a_bar(*metre) == beats


@pytest.mark.parametrize("metre", [(5, 8), (3, 8), (9, 8), (7, 16), (1, 32), (9, 4), (5, 2)])
def test_other_bars_are_refused(metre: tuple[int, int]) -> None:
    with pytest.raises(RequestError, match=f"{metre[0]}/{metre[1]}.*transformer"):
        conditions.beats_a_bar(*metre)


def test_all_metres_that_are_told_apart_can_be_written() -> None:
    assert all(conditions.beats_a_bar(*metre) for metre in conditions.METRES)
    values = [int(conditions.clip_values(None, None, None, metre)[3]) for metre in conditions.METRES]
    assert values == list(range(1, 1 + len(conditions.METRES)))


@given(
    st.none() | st.sampled_from(STYLES),
    st.none() | st.sampled_from(KEYS).map(lambda key: Key.from_signature(KeySignature(0, *key))),
    st.none() | st.integers(1, N_DENSITIES),
    st.sampled_from(METRES),
)
def test_values_of_a_clip_are_in_their_tables(
    style: str | None, key: Key | None, density: int | None, metre: tuple[int, int]
) -> None:
    values = conditions.clip_values(style, key, density, metre)
    assert all(0 <= value < size for value, size in zip(values.tolist(), conditions.CLIP_SIZES, strict=True))
    assert [value == 0 for value in values[:3].tolist()] == [style is None, key is None, density is None]
    assert (values[3] == 0) == (metre not in conditions.METRES)
    if key is not None:
        assert values[1] == (2 if key.mode == "minor" else 1)
