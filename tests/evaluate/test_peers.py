"""Our metrics beside muspy's and pretty_midi's, each reading the same 50 files with its own reader.

Where a peer computes the same, the figures are equal; where ours differ, a test says by what and why.
"""

from __future__ import annotations

import math
from pathlib import Path

import muspy
import numpy as np
import pretty_midi
import pytest

from musegen.evaluate import pitch, rhythm, texture
from musegen.evaluate.notes import beat_starts
from musegen.score import timing
from musegen.score.formats import read, write
from musegen.score.model import Score, TimeSignature, Track
from musegen.score.ops import shift, transpose
from tests.tiny_corpus import TICKS, tune

SAMPLES = sorted((Path(__file__).parents[2] / "midi_samples").glob("*.mid"))
N_FILES = 50
SAME = {
    "pitch_class_entropy": (muspy.pitch_class_entropy, pitch.pitch_class_entropy),
    "pitch_entropy": (muspy.pitch_entropy, pitch.pitch_entropy),
    "n_pitches_used": (muspy.n_pitches_used, pitch.n_pitches),
    "n_pitch_classes_used": (muspy.n_pitch_classes_used, pitch.n_pitch_classes),
    "pitch_range": (muspy.pitch_range, pitch.pitch_range),
    "scale_consistency": (muspy.scale_consistency, pitch.scale_consistency),
    "pitch_in_scale_rate": (
        lambda music: muspy.pitch_in_scale_rate(music, 2, "minor"),
        lambda score: pitch.pitch_in_scale_rate(score, 2, "minor"),
    ),
    "polyphony": (muspy.polyphony, texture.polyphony),
    "polyphony_rate": (muspy.polyphony_rate, texture.polyphony_rate),
    "drum_pattern_consistency": (muspy.drum_pattern_consistency, rhythm.drum_pattern_consistency),
}
"""What muspy has as well: its function and ours. Of drums alone ours are NaN, its range is -127 and its rates are 0."""


def made_up(number: int) -> Score:
    """Tunes in one to four voices, at all heights, some with rests before them, a drum track, or another metre."""
    piece = transpose(tune(number, bars=4 + number % 9, voices=1 + number % 4), number % 7 - 3)
    if number % 3 == 0:
        piece = shift(piece, TICKS * (1 + number % 5))
    if number % 5 == 0:
        beats = [(start, 36 + start % 7, 60, 90) for start in range(0, 8 * TICKS, (160, 120, 200)[number % 3])]
        piece = piece.with_tracks([*piece.tracks, Track(notes=beats, is_drum=True)])
    metre = (TimeSignature(0, 3, 4), TimeSignature(0, 4, 4), TimeSignature(0, 5, 4))[number % 3]
    return Score(TICKS, piece.tracks, time_signatures=(metre,))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("peers")
    paths = [folder / f"{number}.mid" for number in range(N_FILES - len(SAMPLES))]
    for number, path in enumerate(paths):
        write(made_up(number), path)
    return [*SAMPLES, *paths]


@pytest.fixture(scope="module")
def pairs(files: list[Path]) -> list[tuple[Score, muspy.Music]]:
    assert len(files) == N_FILES
    return [(read(path), muspy.read_midi(path)) for path in files]


def same(ours: float, theirs: float) -> bool:
    return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(ours) and math.isnan(theirs))


@pytest.mark.parametrize("name", SAME)
def test_muspy_agrees(pairs: list[tuple[Score, muspy.Music]], name: str) -> None:
    theirs, ours = SAME[name]
    of_drums = name != "drum_pattern_consistency"
    told = 0
    for score, music in pairs:
        if of_drums and all(track.is_drum for track in score.tracks):
            assert math.isnan(ours(score))
            continue
        assert same(ours(score), theirs(music)), score.title
        told += not math.isnan(ours(score))
    assert told >= (45 if of_drums else 4), "most files have to say something"


def shortened(music: muspy.Music) -> muspy.Music:
    """With notes a tick shorter: muspy takes a note to sound in the beat or bar that it ends on."""
    copy = music.deepcopy()
    for track in copy.tracks:
        for note in track.notes:
            note.duration -= 1
    return copy


def bar_of(score: Score) -> int | None:
    """The bar of a piece in one metre of quarters, in ticks."""
    metres = {(metre.numerator, metre.denominator) for metre in score.time_signatures}
    if len(metres) != 1:
        return None
    ((numerator, denominator),) = metres
    return numerator * score.ticks_per_beat if denominator == 4 else None


def test_empty_beats_and_bars_are_muspys_but_for_ends_on_the_beat(pairs: list[tuple[Score, muspy.Music]]) -> None:
    told = differs = 0
    for score, music in pairs:
        bar = bar_of(score)
        if bar is None:
            continue
        told += 1
        differs += not same(rhythm.empty_beat_rate(score), muspy.empty_beat_rate(music))
        assert same(rhythm.empty_beat_rate(score), muspy.empty_beat_rate(shortened(music)))
        assert same(rhythm.empty_bar_rate(score), muspy.empty_measure_rate(shortened(music), bar))
    assert told >= 40 and differs >= 5


def test_groove_consistency_is_muspys_but_for_a_bar_after_the_end(pairs: list[tuple[Score, muspy.Music]]) -> None:
    """muspy adds an empty bar to a piece that ends on a bar line, and counts in ticks: the more, the nearer to 1."""
    told = longer = 0
    for score, music in pairs:
        bar = bar_of(score)
        if bar is None:
            continue
        ours = rhythm.groove_consistency(score, steps_per_quarter=score.ticks_per_beat)
        n = timing.n_bars(score)
        if score.notes_end % bar == 0:
            onsets = np.unique(np.concatenate([track.notes["start"] for track in score.tracks]))
            last = np.count_nonzero(onsets // bar == n - 1)
            ours = (ours * (n - 1) + 1 - last / bar) / n
            longer += 1
        told += 1
        assert same(ours, muspy.groove_consistency(music, bar))
    assert told >= 40 and longer >= 20


def test_a_note_that_ends_on_a_beat_leaves_that_beat_empty(tmp_path: Path) -> None:
    score = Score(TICKS, (Track(notes=[(0, 60, TICKS, 80), (2 * TICKS, 60, TICKS // 2, 80)]),))
    write(score, tmp_path / "a.mid")
    assert rhythm.empty_beat_rate(score) == pytest.approx(1 / 3)
    assert muspy.empty_beat_rate(muspy.read_midi(tmp_path / "a.mid")) == 0


def test_beats_of_six_eight_are_dotted_here_and_quarters_in_muspy(tmp_path: Path) -> None:
    notes = [(0, 60, TICKS * 3 // 2 - 1, 80), (TICKS * 3, 60, 10, 80)]
    score = Score(TICKS, (Track(notes=notes),), time_signatures=(TimeSignature(0, 6, 8),))
    write(score, tmp_path / "a.mid")
    assert rhythm.empty_beat_rate(score) == pytest.approx(1 / 3)
    assert muspy.empty_beat_rate(muspy.read_midi(tmp_path / "a.mid")) == 1 / 4


def test_groove_does_not_depend_on_the_resolution_here(tmp_path: Path) -> None:
    values = []
    for ticks in (24, 480):
        notes = [(beat * ticks, 60, ticks // 2, 80) for beat in (0, 1, 2, 3, 4, 6)]
        score = Score(ticks, (Track(notes=notes),))
        write(score, tmp_path / f"{ticks}.mid")
        music = muspy.read_midi(tmp_path / f"{ticks}.mid")
        values.append((rhythm.groove_consistency(score), muspy.groove_consistency(music, 4 * ticks)))
    assert values[0] == pytest.approx((1 - 2 / 64, 1 - 2 / 96))
    assert values[1] == pytest.approx((1 - 2 / 64, 1 - 2 / 1920))


def test_pretty_midis_pitch_class_histogram_agrees_if_notes_count_alike(files: list[Path]) -> None:
    told = 0
    for path in files:
        theirs = pretty_midi.PrettyMIDI(str(path)).get_pitch_class_histogram()
        ours = pitch.pitch_class_histogram(read(path))
        if np.isnan(ours).all():
            assert not theirs.any(), "drums are left out by both"
            continue
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        told += 1
    assert told >= 45


def test_pretty_midis_transitions_join_what_touches_within_a_track(tmp_path: Path) -> None:
    """It joins a note to all that begin within 50 ms of its end; ours joins neighbours of the skyline, over rests."""
    score = Score(TICKS, (Track(notes=[(0, 60, TICKS, 80), (2 * TICKS, 62, TICKS, 80), (3 * TICKS, 64, TICKS, 80)]),))
    write(score, tmp_path / "a.mid")
    theirs = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid")).get_pitch_class_transition_matrix()
    ours = pitch.transition_histogram(score).reshape(12, 12)
    assert (ours[0, 2], ours[2, 4]) == (0.5, 0.5)
    assert (theirs[0, 2], theirs[2, 4]) == (0, 1)


def test_beats_and_bar_lines_are_pretty_midis(files: list[Path]) -> None:
    """But in 6/4, which has two beats there and six here."""
    told = 0
    for path in files:
        score, theirs = read(path), pretty_midi.PrettyMIDI(str(path))
        pairs = [(timing.bar_starts(score), theirs.get_downbeats())]
        if not any(metre.numerator == 6 and metre.denominator == 4 for metre in score.time_signatures):
            pairs.append((beat_starts(score), theirs.get_beats()))
            told += 1
        for ours, other in pairs:
            seconds = timing.tick_to_second(score, ours)
            n = min(len(seconds), len(other))
            assert n >= 2 and abs(len(seconds) - len(other)) <= 5, "ours end with the bar, theirs with the last note"
            np.testing.assert_allclose(seconds[:n], other[:n], atol=1e-6)
    assert told >= 45
