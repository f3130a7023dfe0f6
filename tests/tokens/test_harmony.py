"""Chord symbols <-> words."""

import pytest

from musegen.tokens.harmony import chord_symbol, parse_chord
from musegen.tokens.vocabulary import VOCABULARY


@pytest.mark.parametrize("symbol", ["C", "Dm", "Bb7", "F#maj7", "Abm7/Eb", "Gsus4", "Edim7", "N"])
def test_symbols_come_back(symbol: str) -> None:
    word = parse_chord(symbol)
    assert word is not None and chord_symbol(*word) == symbol


@pytest.mark.parametrize(
    ("written", "meant"), [("B:maj", "B"), ("D:min7", "Dm7"), ("A-", "Am"), ("C/C", "C"), ("N.C.", "N")]
)
def test_other_spellings(written: str, meant: str) -> None:
    assert parse_chord(written) == parse_chord(meant)


@pytest.mark.parametrize("symbol", ["", "H", "C:hmm", "verse 2"])
def test_what_is_no_chord(symbol: str) -> None:
    assert parse_chord(symbol) is None


def test_every_word_has_its_symbol() -> None:
    for value in range(VOCABULARY.blocks["Chord"].size):
        assert parse_chord(chord_symbol(value)) == (value, -1)
