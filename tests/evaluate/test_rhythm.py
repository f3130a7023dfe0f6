"""Metrics of rhythm against figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from musegen.errors import RequestError
from musegen.evaluate import rhythm
from musegen.score.model import Score, Tempo, TimeSignature, Track
from musegen.score.ops import map_times
from tests.tiny_corpus import TICKS, tune


def played(*notes: tuple[float, float], metres: tuple[TimeSignature, ...] = (), **track: object) -> Score:
    """Notes of (start, duration) in quarters."""
    rows = [(round(start * TICKS), 60, round(length * TICKS), 80) for start, length in notes]
    return Score(TICKS, (Track(notes=rows, **track),), time_signatures=metres)  # type: ignore[arg-type]


def test_density_goes_by_quarters_and_by_seconds() -> None:
    score = played((0, 1), (1, 1), (2, 2))
    slow = Score(TICKS, score.tracks, tempos=(Tempo(0, 1_000_000), Tempo(2 * TICKS, 2_000_000)))
    assert rhythm.note_density(score) == rhythm.note_density(slow) == 3 / 4
    assert rhythm.notes_per_second(score) == 3 / 2
    assert rhythm.notes_per_second(slow) == 3 / 6


def test_a_beat_is_empty_if_nothing_sounds_in_it() -> None:
    assert rhythm.empty_beat_rate(played((0, 1), (2, 0.5))) == pytest.approx(1 / 3), "beat 2; the bar's end is no beat"
    assert rhythm.empty_beat_rate(played((0, 2.1))) == 0, "held"
    assert rhythm.empty_beat_rate(played((3, 1))) == 3 / 4, "silence before the first note counts"
    assert rhythm.empty_bar_rate(played((0, 1), (8, 1))) == pytest.approx(1 / 3)


def test_beats_follow_the_metre() -> None:
    six_eight, two_four = TimeSignature(0, 6, 8), TimeSignature(3 * TICKS, 2, 4)
    score = played((0, 1), (3, 0.5), metres=(six_eight, two_four))
    assert rhythm.empty_beat_rate(score) == pytest.approx(1 / 3), "two dotted beats, the second empty; then one quarter"
    assert rhythm.on_beat_rate(played((0, 1), (1, 1), (1.5, 1), (3.5, 1), metres=(six_eight, two_four))) == 2 / 4
    assert rhythm.on_beat_rate(played((0, 1), (1, 1), (1.5, 1), (3.5, 1))) == 2 / 4


def test_groove_compares_neighbours_or_all_pairs() -> None:
    a, b = [(0, 1), (1, 1), (2, 1), (3, 1)], [(0, 1), (2, 1)]
    score = played(*a, *((4 + s, d) for s, d in a), *((8 + s, d) for s, d in b))
    assert rhythm.groove_consistency(score) == pytest.approx(1 - (0 + 2 / 64) / 2)
    assert rhythm.groove_similarity(score) == pytest.approx(1 - (0 + 2 / 64 + 2 / 64) / 3)
    assert math.isnan(rhythm.groove_consistency(played((0, 1)))), "one bar has no neighbour"


def test_groove_leaves_out_neighbours_of_other_lengths() -> None:
    metres = (TimeSignature(0, 3, 4), TimeSignature(3 * TICKS, 2, 4), TimeSignature(5 * TICKS, 3, 4))
    score = played((0, 1), (3, 1), (5, 1), (6, 1), metres=metres)
    assert math.isnan(rhythm.groove_consistency(score))
    assert rhythm.groove_similarity(score) == pytest.approx(1 - 1 / 48), "the two bars of 3/4"


def test_groove_of_all_pairs_is_what_a_loop_over_pairs_says() -> None:
    score = tune(5, bars=9, voices=3)
    patterns, size = rhythm._patterns(score, rhythm.GROOVE_STEPS)
    pairs = [(i, j) for i in range(len(size)) for j in range(i)]
    slow = np.mean([1 - np.count_nonzero(patterns[i] != patterns[j]) / size[i] for i, j in pairs])
    assert rhythm.groove_similarity(score) == pytest.approx(float(slow))


def test_lengths_and_their_bins() -> None:
    score = played((0, 1), (1, 0.5), (1.5, 0.5), (2, 0.45))
    assert rhythm.mean_duration(score) == pytest.approx(2.45 / 4)
    assert rhythm.mean_inter_onset(score) == pytest.approx(2 / 3)
    half, whole = rhythm.NOTE_VALUES.index(1 / 2), rhythm.NOTE_VALUES.index(1)
    assert rhythm.duration_histogram(score)[[half, whole]] == pytest.approx([3 / 4, 1 / 4]), "0.45 is nearest to 1/2"
    assert rhythm.inter_onset_histogram(score)[[half, whole]] == pytest.approx([2 / 3, 1 / 3])
    assert rhythm.duration_entropy(score) == pytest.approx(0.8112781)
    ends = rhythm.duration_histogram(played((0, 0.01), (1, 100)))
    assert (ends[0], ends[-1]) == (0.5, 0.5)


def test_every_note_value_is_in_a_bin_of_its_own() -> None:
    bins = rhythm._binned(np.array(rhythm.NOTE_VALUES))
    assert bins.tolist() == [1] * len(rhythm.NOTE_VALUES)


def test_places_in_the_bar_are_counted_from_the_bar_line() -> None:
    pickup = (TimeSignature(0, 1, 4), TimeSignature(TICKS, 4, 4))
    histogram = rhythm.position_histogram(played((0, 1), (1, 1), (1.25, 1), (4.98, 0.01), metres=pickup))
    assert histogram[[0, 1]] == pytest.approx([2 / 4, 1 / 4]) and histogram[15] == pytest.approx(1 / 4)
    early = rhythm.position_histogram(played((0, 1), (3.98, 1), (8, 1)))
    assert early[0] == pytest.approx(1), "just before the bar line is on it"


def test_what_is_off_the_grid() -> None:
    assert rhythm.on_grid_rate(played((0, 1), (0.25, 1), (1 / 3, 1), (0.4, 1))) == 3 / 4
    assert rhythm.on_grid_rate(played((0, 1), (3.995, 1), (4.25, 1))) == 1


def test_drums_count_in_rhythm_but_have_no_length() -> None:
    drums = played((0, 0.1), (0.5, 0.1), (0.75, 0.1), (1 + 1 / 3, 0.1), is_drum=True)
    assert rhythm.note_density(drums) > 0 and rhythm.mean_inter_onset(drums) > 0
    assert math.isnan(rhythm.mean_duration(drums)) and math.isnan(rhythm.duration_entropy(drums))
    assert rhythm.drum_pattern_consistency(drums) == 3 / 4
    assert math.isnan(rhythm.drum_pattern_consistency(played((0, 1))))


def test_no_note_is_refused() -> None:
    with pytest.raises(RequestError, match="no notes"):
        rhythm.evaluate(Score(TICKS, (Track(),)))


@pytest.mark.parametrize("seed", range(4))
def test_rhythm_does_not_depend_on_the_resolution(seed: int) -> None:
    piece = tune(seed, voices=2)
    finer = map_times(piece, lambda ticks: ticks * 3, ticks_per_beat=3 * TICKS)
    assert rhythm.evaluate(finer) == pytest.approx(rhythm.evaluate(piece), nan_ok=True)
    for histogram in rhythm.HISTOGRAMS.values():
        np.testing.assert_allclose(histogram(finer), histogram(piece))
