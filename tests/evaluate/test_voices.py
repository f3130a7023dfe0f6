"""Voice leading on chords with known faults."""

from __future__ import annotations

import math

import pytest

from musegen.errors import RequestError
from musegen.evaluate import voices
from musegen.score.model import Score, Track
from musegen.score.ops import transpose
from tests.tiny_corpus import TICKS

Chords = list[tuple[int, int, int, int]]
CLEAN: Chords = [(72, 67, 64, 48), (71, 67, 62, 55), (72, 67, 64, 48)]


def setting(chords: Chords) -> Score:
    """A quarter for each chord, soprano first; 0 is a rest."""
    tracks = (
        Track(notes=[(i * TICKS, chord[voice], TICKS, 80) for i, chord in enumerate(chords) if chord[voice]])
        for voice in range(4)
    )
    return Score(TICKS, tuple(tracks))


def test_a_clean_setting_has_no_fault() -> None:
    assert set(voices.evaluate(setting(CLEAN)).values()) == {0.0}


@pytest.mark.parametrize(
    ("chords", "fifths", "octaves"),
    [
        ([(72, 67, 64, 48), (74, 69, 65, 50)], 1, 1),  # all a step up: C-G to D-A, C-C to D-D
        ([(76, 67, 60, 48), (77, 69, 60, 53)], 0, 0),  # tenor and bass: C-C to F-C
        ([(74, 67, 62, 55), (79, 67, 59, 48)], 0, 0),  # soprano and bass: a fifth to a fifth, but in contrary motion
        ([(79, 67, 64, 48), (67, 67, 64, 48)], 0, 0),  # one voice leaps an octave, the others stay
        ([(76, 69, 60, 45), (79, 72, 64, 48)], 2, 1),  # fifths of the soprano with alto and bass; alto and bass
    ],
)
def test_parallels_are_counted_in_100_changes(chords: Chords, fifths: int, octaves: int) -> None:
    values = voices.evaluate(setting(chords))
    assert (values["parallel_fifths"], values["parallel_octaves"]) == (100 * fifths, 100 * octaves)


def test_without_a_change_there_is_nothing_to_count() -> None:
    assert math.isnan(voices.evaluate(setting([CLEAN[0]] * 2))["parallel_fifths"])


def test_parallels_go_by_the_number_of_changes() -> None:
    values = voices.evaluate(setting([*CLEAN, (74, 69, 65, 50)]))
    assert values["parallel_fifths"] == pytest.approx(100 / 3) and values["parallel_octaves"] == pytest.approx(100 / 3)


def test_a_rest_between_breaks_a_parallel() -> None:
    values = voices.evaluate(setting([(72, 67, 64, 48), (0, 67, 64, 0), (74, 67, 65, 50)]))
    assert values["parallel_octaves"] == 0


def test_crossings_spacing_leaps_and_ranges() -> None:
    assert voices.evaluate(setting([*CLEAN, (66, 67, 62, 50)]))["voice_crossing_rate"] == 1 / 4
    assert voices.evaluate(setting([*CLEAN, (81, 67, 62, 50)]))["wide_spacing_rate"] == 1 / 4
    assert voices.evaluate(setting([*CLEAN, (72, 67, 62, 62)]))["wide_leap_rate"] == pytest.approx(1 / 12)
    assert voices.evaluate(setting([*CLEAN, (72, 67, 62, 38)]))["out_of_range_rate"] == pytest.approx(1 / 16)
    assert voices.evaluate(transpose(setting(CLEAN), 24))["out_of_range_rate"] > 0.5


def test_the_order_of_the_tracks_does_not_matter() -> None:
    score = setting([*CLEAN, (74, 69, 65, 50), (66, 67, 62, 50)])
    assert voices.evaluate(score.with_tracks(score.tracks[::-1])) == voices.evaluate(score)


def test_a_legato_overlap_is_still_a_line() -> None:
    score = setting(CLEAN)
    longer = [Track(notes=[(s, p, d + TICKS // 16, v) for s, p, d, v in t.notes.tolist()]) for t in score.tracks]
    assert voices.evaluate(score.with_tracks(longer)) == voices.evaluate(score)


def test_what_is_no_setting_for_four_voices_is_refused_and_nan() -> None:
    score = setting(CLEAN)
    chord = Track(notes=[(0, 50, TICKS, 80), (0, 53, TICKS, 80)], name="Organ")
    for wrong, reason in (
        (score.with_tracks(score.tracks[:3]), "has 3 tracks with pitches"),
        (score.with_tracks([*score.tracks[:3], chord]), "track 'Organ' sounds chords"),
        (Score(TICKS, (Track(),)), "no notes"),
    ):
        with pytest.raises(RequestError, match=reason):
            voices.evaluate(wrong)
        assert all(math.isnan(metric(wrong)) for metric in voices.METRICS.values())
    drums = Track(notes=[(0, 36, TICKS, 80)], is_drum=True)
    assert voices.evaluate(score.with_tracks([*score.tracks, drums])) == voices.evaluate(score)
