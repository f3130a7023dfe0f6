"""Metrics of pitch against figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from musegen.errors import RequestError
from musegen.evaluate import pitch
from musegen.score.model import KeySignature, Score, Track
from musegen.score.ops import transpose
from tests.tiny_corpus import TICKS, tune


def melody(*pitches: int, **frame: object) -> Score:
    """Quarters one after the other."""
    notes = [(i * TICKS, p, TICKS, 80) for i, p in enumerate(pitches)]
    return Score(TICKS, (Track(notes=notes),), **frame)  # type: ignore[arg-type]


SCALE = melody(60, 62, 64, 65, 67, 69, 71, 72)
DRUMS = Score(TICKS, (Track(notes=[(0, 36, 10, 80), (TICKS, 38, 10, 80)], is_drum=True),))


def test_entropy_of_equal_shares_is_the_logarithm_of_their_number() -> None:
    assert pitch.pitch_class_entropy(melody(60, 61, 62, 63)) == pytest.approx(2)
    assert pitch.pitch_class_entropy(melody(60, 72, 84)) == 0
    assert pitch.pitch_entropy(melody(60, 72)) == pytest.approx(1)
    assert pitch.pitch_class_entropy(melody(*range(60, 72))) == pytest.approx(pitch.METRICS["pitch_class_entropy"].high)


def test_entropy_of_bars_is_their_mean_and_silent_bars_do_not_count() -> None:
    notes = [(0, 60, 9, 80), (9, 61, 9, 80), (8 * TICKS, 60, 9, 80)]  # bars 1 and 3 of 4/4: 1 bit and 0 bits
    score = Score(TICKS, (Track(notes=notes),))
    assert pitch.pitch_class_entropy_of_bars(score, 1) == pytest.approx(0.5)
    assert pitch.pitch_class_entropy_of_bars(score, 4) == pytest.approx(pitch.pitch_class_entropy(score))


def test_counts_and_ranges() -> None:
    assert (pitch.n_pitches(SCALE), pitch.n_pitch_classes(SCALE), pitch.pitch_range(SCALE)) == (8, 7, 12)
    assert pitch.mean_pitch(melody(60, 64)) == 62


def test_scales() -> None:
    assert pitch.scale_consistency(SCALE) == 1
    assert pitch.scale_consistency(melody(*range(60, 72))) == pytest.approx(7 / 12)
    assert pitch.pitch_in_scale_rate(SCALE, 7, "major") == pytest.approx(7 / 8), "F is not in G major"
    assert pitch.pitch_in_scale_rate(SCALE, 9, "minor") == 1


def test_the_key_in_force_counts_and_minor_has_its_leading_note() -> None:
    keys = (KeySignature(TICKS, 0, "minor"), KeySignature(3 * TICKS, 1, "major"))
    score = melody(
        61, 68, 70, 65, 66, key_signatures=keys
    )  # before any key; G# yes, A# no in A minor; F no, F# yes in G
    assert pitch.in_key_rate(score) == pytest.approx(2 / 4)
    assert math.isnan(pitch.in_key_rate(melody(60)))


@pytest.mark.parametrize(("last", "expected"), [((48, 64, 67), 1.0), ((52, 60, 67), 0.0), ((55, 60, 64), 0.0)])
def test_the_bass_of_the_last_sonority_decides_the_ending(last: tuple[int, ...], expected: float) -> None:
    bass, *upper = last
    held = [(0, bass, 4 * TICKS, 80), *((2 * TICKS, p, 2 * TICKS, 80) for p in upper), (TICKS, 40, TICKS // 2, 80)]
    score = Score(TICKS, (Track(notes=held),), key_signatures=(KeySignature(0, 0, "major"),))
    assert pitch.ends_on_tonic(score) == expected
    assert math.isnan(pitch.ends_on_tonic(Score(TICKS, score.tracks)))


def test_intervals_lie_within_a_track_along_its_highest_notes() -> None:
    upper = Track(notes=[(0, 72, 9, 80), (0, 60, 9, 80), (TICKS, 74, 9, 80), (9 * TICKS, 74, 9, 80)])
    lower = Track(notes=[(0, 40, 9, 80), (TICKS, 33, 9, 80)])
    score = Score(TICKS, (upper, lower, *DRUMS.tracks))
    assert pitch.mean_interval(score) == pytest.approx((2 + 0 + 7) / 3)
    rates = {name: pitch.METRICS[name](score) for name in ("unison_rate", "step_rate", "leap_rate")}
    assert rates == pytest.approx(dict.fromkeys(rates, 1 / 3))
    assert pitch.interval_histogram(score)[[12 - 7, 12, 12 + 2]] == pytest.approx([1 / 3] * 3)
    assert pitch.transition_histogram(score).reshape(12, 12)[[0, 2, 4], [2, 2, 9]] == pytest.approx([1 / 3] * 3)


def test_what_is_wider_than_an_octave_is_in_the_outer_bins() -> None:
    histogram = pitch.interval_histogram(melody(60, 80, 40))
    assert (histogram[0], histogram[-1]) == (0.5, 0.5)


def test_leaps_turn_back_or_go_on() -> None:
    assert pitch.leap_reversal_rate(melody(60, 67, 65, 72, 74, 74)) == 0.5, "up and back; up and on"
    assert math.isnan(pitch.leap_reversal_rate(melody(60, 67, 67))), "a repeated note says neither"
    assert math.isnan(pitch.leap_reversal_rate(melody(60, 62, 64)))


def test_drums_have_no_pitch() -> None:
    with pytest.raises(RequestError, match="only drums"):
        pitch.evaluate(DRUMS)
    assert all(math.isnan(metric(DRUMS)) for metric in pitch.METRICS.values())
    assert all(np.isnan(histogram(DRUMS)).all() for histogram in pitch.HISTOGRAMS.values())
    both = Score(TICKS, (*SCALE.tracks, *DRUMS.tracks), key_signatures=(KeySignature(0, 0, "major"),))
    alone = Score(TICKS, SCALE.tracks, key_signatures=both.key_signatures)
    assert pitch.evaluate(both) == pytest.approx(pitch.evaluate(alone), nan_ok=True)


def test_a_single_note_has_no_interval() -> None:
    values = pitch.evaluate(melody(60))
    undefined = {name for name, value in values.items() if math.isnan(value)}
    assert undefined == {
        "in_key_rate", "ends_on_tonic", "mean_interval", "unison_rate", "step_rate", "leap_rate", "leap_reversal_rate",
    }  # fmt: skip


def test_only_height_changes_with_transposition() -> None:
    piece = tune(3, voices=2)
    before, after = pitch.evaluate(piece), pitch.evaluate(transpose(piece, 5))
    assert after.pop("mean_pitch") == pytest.approx(before.pop("mean_pitch") + 5)
    assert after == pytest.approx(before, nan_ok=True)
    moved = pitch.pitch_class_histogram(transpose(piece, 5))
    np.testing.assert_allclose(np.roll(pitch.pitch_class_histogram(piece), 5), moved)
