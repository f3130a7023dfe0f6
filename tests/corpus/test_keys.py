from __future__ import annotations

import numpy as np
import pytest

from musegen.corpus.keys import with_modes
from musegen.score.model import NOTE_DTYPE, KeySignature, Score, Track, frozen

A_MINOR = [57, 60, 64, 69, 68, 71, 64, 62, 60, 59] * 2
C_MAJOR = [60, 64, 67, 72, 71, 67, 65, 64, 62, 59] * 2


def line(*pitches: int, at: int = 0) -> list[tuple[int, int, int, int]]:
    return [(at + 480 * i, pitch, 480, 80) for i, pitch in enumerate(pitches)]


def score_of(rows: list[tuple[int, int, int, int]], *keys: KeySignature, is_drum: bool = False) -> Score:
    return Score(480, (Track(frozen(rows, NOTE_DTYPE), is_drum=is_drum),), key_signatures=keys)


@pytest.mark.parametrize(
    ("pitches", "said", "mode"),
    [
        ([*A_MINOR, 57], "major", "minor"),
        ([*A_MINOR, 60], "major", "major"),  # ends on C
        ([*C_MAJOR, 60], "major", "major"),
        ([*C_MAJOR, 57], "major", "major"),  # ends on A, but the notes are C major's
        ([*C_MAJOR, 60], "minor", "minor"),
        ([*A_MINOR[:10], 57], "major", "major"),  # too few notes to speak against the file
    ],
)
def test_a_major_key_becomes_minor_where_the_notes_say_so(pitches: list[int], said: str, mode: str) -> None:
    keys = with_modes(score_of(line(*pitches), KeySignature(0, 0, said))).key_signatures
    assert keys == (KeySignature(0, 0, mode),)


def test_each_key_of_a_piece_is_told_by_its_own_notes() -> None:
    rows = line(*C_MAJOR, 60) + line(*(np.array([*A_MINOR, 57]) + 2).tolist(), at=480 * 24)
    score = score_of(rows, KeySignature(0, 0, "major"), KeySignature(480 * 24, 2, "major"))
    assert [key.mode for key in with_modes(score).key_signatures] == ["major", "minor"]


def test_nothing_is_said_of_drums_or_of_a_piece_without_keys() -> None:
    key = KeySignature(0, 0, "major")
    assert with_modes(score_of(line(*A_MINOR, 57), key, is_drum=True)).key_signatures == (key,)
    assert with_modes(score_of(line(*A_MINOR, 57))).key_signatures == ()
