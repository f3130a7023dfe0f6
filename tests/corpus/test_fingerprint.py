from __future__ import annotations

import numpy as np
import pytest

from musegen.corpus.clean import off_grid_share
from musegen.corpus.encode import polyphony_of
from musegen.corpus.fingerprint import exact_key, fingerprint, index_of, sonorities
from musegen.score.joining import concatenate
from musegen.score.model import NOTE_DTYPE, Score, Track, frozen
from musegen.score.ops import transpose
from tests.tiny_corpus import tune


def held_as_repeated(score: Score) -> Score:
    """Every note as two of half its length."""
    tracks = []
    for track in score.tracks:
        first, second = track.notes.copy(), track.notes.copy()
        first["duration"] //= 2
        second["duration"] //= 2
        second["start"] += first["duration"]
        tracks.append(Track(frozen(np.concatenate([first, second]), NOTE_DTYPE), program=track.program))
    return score.with_tracks(tracks)


@pytest.mark.parametrize("voices", [1, 4])
def test_another_key_another_rhythm_the_same_music(voices: int) -> None:
    score = tune(1, voices=voices)
    assert fingerprint(transpose(score, 5)) == fingerprint(score)
    if voices == 1:
        assert fingerprint(held_as_repeated(score)) == fingerprint(score)
    other = fingerprint(tune(2, voices=voices))
    assert other
    assert not fingerprint(score) & other


def test_a_piece_within_a_longer_one_is_found() -> None:
    pieces = [(str(seed), fingerprint(tune(seed))) for seed in range(5)]
    medley = concatenate([tune(3), tune(9)])
    name, share = index_of(pieces).closest(fingerprint(transpose(medley, -4)))
    assert name == "3"
    assert share == 1.0
    assert index_of(pieces).closest(fingerprint(tune(77))) == ("", 0.0)
    assert index_of(pieces).closest(frozenset()) == ("", 0.0)


def test_exact_keys_ignore_the_key_and_the_resolution_only() -> None:
    score = tune(1)
    assert exact_key(score) == exact_key(transpose(score, 7))
    assert exact_key(score) != exact_key(held_as_repeated(score))
    assert exact_key(score) != exact_key(tune(2))


def test_sonorities_merge_equal_neighbours() -> None:
    notes = frozen([(0, 60, 480, 80), (0, 64, 960, 80), (480, 60, 480, 80), (960, 67, 480, 80)], NOTE_DTYPE)
    score = Score(480, (Track(notes),))
    assert sonorities(score) == [(60, 64), (67,)]
    assert polyphony_of(score) == 2
    assert sonorities(Score()) == []


def test_off_grid_notes_are_counted() -> None:
    notes = frozen([(0, 60, 480, 80), (480, 60, 473, 80), (960, 60, 160, 80), (1447, 60, 480, 80)], NOTE_DTYPE)
    assert off_grid_share(Score(480, (Track(notes),))) == 0.5
    assert off_grid_share(Score()) == 0.0
