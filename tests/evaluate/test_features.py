"""The features by which sets are compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from musegen.errors import RequestError
from musegen.evaluate import features, pieces
from musegen.evaluate.compare import FRECHET_SCALARS
from musegen.evaluate.features import (
    SCALARS,
    excerpt,
    harmonic_intervals,
    measure,
    measure_scores,
    pitch_class_relations,
)
from musegen.score.formats import write
from musegen.score.model import NOTE_DTYPE, Score, Tempo, Track, frozen
from musegen.score.ops import slice_bars, transpose
from musegen.score.timing import n_bars
from tests.tiny_corpus import tune


def chord_score(*chords: tuple[int, ...]) -> Score:
    rows = [(480 * i, pitch, 480, 80) for i, chord in enumerate(chords) for pitch in chord]
    return Score(480, (Track(notes=frozen(rows, NOTE_DTYPE)),))


def test_every_scalar_is_a_metric_and_none_is_there_twice() -> None:
    assert set(SCALARS) <= set(pieces.METRICS)
    assert len(set(SCALARS)) == len(SCALARS)
    assert set(FRECHET_SCALARS) <= set(SCALARS)


@pytest.mark.parametrize("semitones", [-7, 1, 5, 12])
def test_a_transposed_piece_has_the_same_features(semitones: int) -> None:
    score = tune(3, bars=16, voices=4)
    scalars, histograms = measure(score, 16)
    moved, moved_histograms = measure(transpose(score, semitones), 16)
    np.testing.assert_allclose(moved, scalars, rtol=1e-12)
    for name, values in histograms.items():
        np.testing.assert_allclose(moved_histograms[name], values, rtol=1e-12, err_msg=name)


def test_tempo_velocity_instrument_and_what_is_said_change_nothing() -> None:
    score = tune(4, voices=2)
    tracks = []
    for track in score.tracks:
        notes = track.notes.copy()
        notes["velocity"] = 33
        tracks.append(replace(track, notes=notes, program=5, name="x"))
    other = replace(score, tracks=tuple(tracks), tempos=(Tempo(0, 300_000),), key_signatures=(), title="y")
    np.testing.assert_array_equal(measure(other, 12)[0], measure(score, 12)[0])


def test_a_note_off_a_tick_early_changes_nothing() -> None:
    score = tune(5)
    notes = score.tracks[0].notes.copy()
    notes["duration"] -= 1
    clipped = score.with_tracks([replace(score.tracks[0], notes=notes)])
    np.testing.assert_array_equal(measure(clipped, 12)[0], measure(score, 12)[0])


def test_what_comes_after_the_excerpt_does_not_matter() -> None:
    long, short = tune(6, bars=20), slice_bars(tune(6, bars=20), 0, 8)
    np.testing.assert_array_equal(measure(long, 8)[0], measure(short, 8)[0])
    assert n_bars(excerpt(long, 8)) == 8
    assert n_bars(excerpt(long, None)) == 20


def test_histograms_sum_to_one_and_have_a_label_a_bin() -> None:
    _, histograms = measure(tune(7, voices=3), 12)
    for name, values in histograms.items():
        assert values.sum() == pytest.approx(1), name
        assert len(features.bin_labels(name, len(values))) == len(values)


def test_pitch_class_relations_of_a_triad() -> None:
    # Pairs of C E G with themselves and each other: three of nine alike, two thirds of each other kind.
    expected = np.array([3, 0, 0, 2, 2, 2, 0]) / 9
    np.testing.assert_allclose(pitch_class_relations(chord_score((60, 64, 67))), expected)
    np.testing.assert_allclose(pitch_class_relations(chord_score((60, 66)))[[0, 6]], [0.5, 0.5])


def test_harmonic_intervals_count_from_the_bass_at_each_onset() -> None:
    shares = harmonic_intervals(chord_score((48, 64, 67), (50, 62, 65)))
    np.testing.assert_allclose(shares[[0, 3, 4, 7]], [0.25] * 4)
    assert shares.sum() == pytest.approx(1)
    assert np.isnan(harmonic_intervals(tune(1))).all()


def test_a_held_note_sounds_at_the_onsets_it_is_held_over() -> None:
    rows = [(0, 48, 960, 80), (0, 55, 480, 80), (480, 57, 480, 80), (960, 50, 480, 80)]
    shares = harmonic_intervals(Score(480, (Track(notes=frozen(rows, NOTE_DTYPE)),)))
    np.testing.assert_allclose(shares[[7, 9]], [0.5, 0.5])


def test_short_and_silent_pieces_are_named_and_the_rest_measured() -> None:
    late = Score(480, (Track(notes=frozen([(4 * 1920, 60, 480, 80)], NOTE_DTYPE)),))
    table = measure_scores({"short": tune(1, bars=3), "good": tune(2, bars=4), "late": late}, bars=4)
    assert table.names == ("good",)
    assert table.skipped == {
        "short": "has 3 bars, fewer than the 4 compared",
        "late": "holds no notes there; there is nothing to compare",
    }
    with pytest.raises(RequestError, match="none of 1 pieces can be compared"):
        measure_scores({"short": tune(1, bars=3)}, bars=4)


def test_files_give_the_same_table_as_scores(tmp_path: Path) -> None:
    scores = {str(tmp_path / f"{i}.mid"): tune(i) for i in range(3)}
    for name, score in scores.items():
        write(score, name)
    (tmp_path / "broken.mid").write_bytes(b"MThd no more")
    first = next(iter(scores))
    table = features.measure_files([*scores, tmp_path / "broken.mid"], bars=8, groups={first: "work"})
    np.testing.assert_array_equal(table.scalars, measure_scores(scores, bars=8).scalars)
    assert table.groups == ("work", *list(scores)[1:])
    assert list(table.skipped) == [str(tmp_path / "broken.mid")]


def test_the_columns_of_the_matrix_are_those_of_the_blocks() -> None:
    table = measure_scores({str(i): tune(i, voices=2) for i in range(4)}, bars=8)
    matrix, blocks = table.matrix(), table.blocks()
    assert list(blocks) == [*SCALARS, *features.HISTOGRAMS]
    assert blocks["position"].stop - blocks["position"].start == table.histograms["position"].shape[1]
    np.testing.assert_array_equal(matrix[:, blocks["interval"]], table.histograms["interval"])
    assert matrix.shape[1] == max(block.stop for block in blocks.values())
