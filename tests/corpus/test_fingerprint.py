from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from musegen.corpus.fingerprint import exact_key, fingerprint, index_of, sonorities
from musegen.score.joining import concatenate
from musegen.score.model import NOTE_DTYPE, Score, Track, frozen
from musegen.score.ops import transpose
from tests.tiny_corpus import tune


def changed(score: Score, **fields: float) -> Score:
    """Each field of all notes times a number."""
    tracks = []
    for track in score.tracks:
        notes = track.notes.copy()
        for name, factor in fields.items():
            notes[name] = notes[name] * factor
        tracks.append(replace(track, notes=frozen(notes, NOTE_DTYPE)))
    return score.with_tracks(tracks)


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


def containment(a: Score, b: Score) -> float:
    first, second = fingerprint(a), fingerprint(b)
    return len(np.intersect1d(first, second)) / min(len(first), len(second))


@pytest.mark.parametrize("voices", [1, 4])
def test_another_key_another_rhythm_the_same_music(voices: int) -> None:
    score = tune(1, voices=voices)
    assert np.array_equal(fingerprint(transpose(score, 5)), fingerprint(score))
    assert np.array_equal(fingerprint(changed(score, start=2, duration=2)), fingerprint(score))
    assert containment(score, changed(score, duration=0.25)) > 0.3
    assert containment(score, held_as_repeated(score)) > 0.3
    assert containment(score, concatenate([score, score])) == 1
    assert len(fingerprint(tune(2, voices=voices))) and containment(score, tune(2, voices=voices)) == 0


def test_a_piece_within_a_longer_one_is_found() -> None:
    pieces = [(str(seed), fingerprint(tune(seed))) for seed in range(5)]
    medley = concatenate([tune(3), tune(9)])
    assert index_of(pieces).closest(fingerprint(transpose(medley, -4))) == ("3", 1.0)
    assert index_of(pieces).closest(fingerprint(tune(77))) == ("", 0.0)
    assert index_of(pieces).closest(fingerprint(Score())) == ("", 0.0)
    assert index_of([]).closest(fingerprint(medley)) == ("", 0.0)


def test_what_any_two_pieces_may_share_is_no_fingerprint() -> None:
    trill = frozen([(120 * i, 60 + 2 * (i % 2), 120, 80) for i in range(400)], NOTE_DTYPE)
    assert len(fingerprint(Score(480, (Track(trill),)))) == 0


def test_exact_keys_ignore_the_key_the_unit_and_lengths_only() -> None:
    score = tune(1)
    assert exact_key(score) == exact_key(transpose(score, 7)) == exact_key(changed(score, start=2))
    assert exact_key(score) == exact_key(changed(score, duration=0.5))
    assert exact_key(score) != exact_key(held_as_repeated(score))
    assert exact_key(score) != exact_key(tune(2))
    drums = score.with_tracks(replace(track, is_drum=True) for track in score.tracks)
    assert exact_key(drums) not in {exact_key(score), exact_key(changed(drums, pitch=0.5))}


def test_sonorities_merge_equal_neighbours() -> None:
    notes = frozen([(0, 60, 480, 80), (0, 64, 960, 80), (480, 60, 480, 80), (960, 67, 480, 80)], NOTE_DTYPE)
    score = Score(480, (Track(notes),))
    assert [np.flatnonzero(row).tolist() for row in sonorities(score)] == [[60, 64], [67]]
    assert [np.flatnonzero(row).tolist() for row in sonorities(score, held=False)] == [[60, 64], [60], [67]]
    assert len(sonorities(Score())) == 0


def test_a_fingerprint_is_the_same_in_every_process_and_version() -> None:
    assert int(fingerprint(tune(1, voices=2)).min()) == 38781005124831800, (
        "splits of folders without a manifest follow from it"
    )
