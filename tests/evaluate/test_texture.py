"""Metrics of texture against figures worked out by hand, and against a piano roll."""

from __future__ import annotations

import math

import numpy as np
import pytest

from musegen.evaluate import texture
from musegen.score.chords import parse_symbol
from musegen.score.model import Chord, Score, Track
from tests.tiny_corpus import TICKS, tune


def sounding(*notes: tuple[int, int, int], chords: tuple[Chord, ...] = ()) -> Score:
    """Notes of (start, end, pitch) in quarters."""
    rows = [(start * TICKS, pitch, (end - start) * TICKS, 80) for start, end, pitch in notes]
    return Score(TICKS, (Track(notes=rows),), chords=chords)


def test_polyphony_by_time() -> None:
    score = sounding((0, 1, 60), (2, 4, 60), (2, 4, 64), (3, 4, 67))  # 1, rest, 2, 3
    assert texture.polyphony(score) == pytest.approx(6 / 3)
    assert texture.max_polyphony(score) == 3
    assert texture.simultaneity_rate(score) == pytest.approx(2 / 3)
    assert texture.polyphony_rate(score) == pytest.approx(1 / 4), "more than two, of all time"


def test_one_pitch_twice_is_one_pitch() -> None:
    twice = Score(TICKS, (*sounding((0, 2, 60)).tracks, *sounding((1, 3, 60)).tracks))
    assert texture.polyphony(twice) == texture.max_polyphony(twice) == 1


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_a_piano_roll(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [(int(s), int(p), int(d), 80) for s, p, d in zip(rng.integers(0, 200, 60), rng.integers(55, 80, 60),
                                                          rng.integers(0, 30, 60), strict=True)]  # fmt: skip
    score = Score(24, (Track(notes=rows[:30]), Track(notes=rows[30:])))
    roll = np.zeros((score.notes_end, 128), bool)
    for start, pitch, duration, _ in rows:
        roll[start : start + duration, pitch] = True
    count = roll.sum(axis=1)
    assert texture.polyphony(score) == pytest.approx(count.sum() / np.count_nonzero(count))
    assert texture.max_polyphony(score) == count.max()
    assert texture.polyphony_rate(score) == pytest.approx(np.count_nonzero(count > 2) / len(count))
    pairs = good = 0
    for row in roll:
        pitches = np.flatnonzero(row)
        for i, low in enumerate(pitches):
            for high in pitches[i + 1 :]:
                pairs += 1
                interval = (high - low) % 12
                good += interval in {0, 3, 4, 7, 8, 9} or (interval == 5 and i > 0)
    assert texture.consonance_rate(score) == pytest.approx(good / pairs)


def test_a_fourth_is_consonant_only_above_the_bass() -> None:
    assert texture.consonance_rate(sounding((0, 1, 60), (0, 1, 65))) == 0
    assert texture.consonance_rate(sounding((0, 1, 60), (0, 1, 67), (0, 1, 72))) == 1
    assert texture.consonance_rate(sounding((0, 1, 60), (0, 1, 61), (0, 1, 67))) == pytest.approx(1 / 3)
    assert math.isnan(texture.consonance_rate(sounding((0, 1, 60), (1, 2, 61))))


def test_drums_make_no_texture() -> None:
    drums = Track(notes=[(0, 36, TICKS, 80), (0, 40, TICKS, 80)], is_drum=True)
    assert texture.polyphony(Score(TICKS, (*sounding((0, 1, 60)).tracks, drums))) == 1
    assert all(math.isnan(metric(Score(TICKS, (drums,)))) for metric in texture.METRICS.values())


@pytest.mark.parametrize(
    ("symbol", "tones"),
    [
        ("C", {0, 4, 7}), ("Dm7", {2, 5, 9, 0}), ("F#m7b5", {6, 9, 0, 4}), ("Bb/D", {10, 2, 5}),
        ("C/Bb", {0, 4, 7, 10}),
        ("G7b9", {7, 11, 2, 5, 8}), ("C7#5", {0, 4, 8, 10}), ("C7no3", {0, 7, 10}), ("Asus4", {9, 2, 4}),
        ("C:maj", {0, 4, 7}), ("Cadd9", {0, 2, 4, 7}), ("N", set()), ("Cwhatever", set()), ("?", set()),
    ],
)  # fmt: skip
def test_chord_tones(symbol: str, tones: set[int]) -> None:
    assert texture.chord_tones(parse_symbol(symbol)) == tones


def test_melody_against_its_chords() -> None:
    chords = (Chord(TICKS, "C"), Chord(3 * TICKS, "N"), Chord(4 * TICKS, "G7"))
    tune_ = [(0, 1, 61), (1, 2, 64), (2, 3, 65), (3, 4, 66), (4, 5, 60), (5, 6, 67), (6, 7, 61)]
    score = sounding(*tune_, chords=chords)
    # told are E yes, F no (and the next F# is near), C no (the next G is far), G yes, C# no (no next)
    assert texture.chord_tone_rate(score) == pytest.approx(2 / 5)
    assert texture.chord_tone_ratio(score) == pytest.approx(3 / 5)
    assert math.isnan(texture.chord_tone_rate(sounding(*tune_)))
    below = Score(TICKS, (*score.tracks, Track(notes=[(0, 61, 7 * TICKS, 80)])), chords=chords)
    assert texture.chord_tone_rate(below) == pytest.approx(2 / 5), "the melody is the first track"


def test_voices_of_a_tune() -> None:
    assert texture.polyphony(tune(1, voices=1)) == 1
    assert 2 < texture.polyphony(tune(1, voices=3)) <= 3
